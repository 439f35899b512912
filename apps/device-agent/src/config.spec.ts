import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Config, ConfigError, type Environment, readConfig, readStateDir, VARIABLES } from './config.js';

const url = 'wss://cloud.example.com/fedecks/websocket';
let directory: string;

beforeEach(() => (directory = mkdtempSync(join(tmpdir(), 'config-'))));
afterEach(() => rmSync(directory, { recursive: true }));

function file(text: string): string {
  const path = join(directory, 'agent.env');
  writeFileSync(path, text);
  return path;
}

/** Ignores the files in this machine's /etc. */
function read(env: Environment, text = ''): Promise<Config> {
  return readConfig(file(text), env);
}

async function messageFor(reading: Promise<unknown>): Promise<string> {
  try {
    await reading;
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  }
  return '';
}

describe('readConfig', () => {
  it('requires only the url', async () => {
    expect(await read({ FEDECKS_URL: url })).toEqual({
      urls: [url],
      deviceId: hostname(),
      stateDir: expect.stringMatching(/fedecks-agent$/) as string,
      login: { type: 'none' },
      healthFile: undefined,
      outbox: undefined,
      tls: undefined,
      environment: { FEDECKS_URL: url },
      telemetryIntervalMs: 60_000,
      exec: undefined,
      startDelayMs: undefined,
      pingIntervalMs: undefined,
      phaseTimeoutMs: undefined,
      upgradeTimeoutMs: undefined,
    });
  });

  it('reads all variables', async () => {
    const execFile = join(directory, 'exec.json');
    writeFileSync(execFile, '{ "disk": ["df", "-h"] }', { mode: 0o600 });
    const env = {
      FEDECKS_URL: `${url}, wss://spare.example.com  ws://10.0.0.1:4000/fedecks/websocket`,
      FEDECKS_DEVICE_ID: 'greenhouse-1',
      FEDECKS_STATE_DIR: '/data/agent',
      FEDECKS_LOGIN_FILE: '/data/login.json',
      FEDECKS_HEALTH_FILE: '/dev/shm/connected',
      FEDECKS_OUTBOX: '/data/outbox',
      FEDECKS_START_DELAY_MS: '0',
      FEDECKS_PING_INTERVAL_MS: '55000',
      FEDECKS_PHASE_TIMEOUT_MS: '30000',
      FEDECKS_UPGRADE_TIMEOUT_MS: '120000',
      FEDECKS_EXEC_FILE: execFile,
      FEDECKS_SERVERNAME: 'cloud.internal',
      FEDECKS_PINS: `sha256/${'A'.repeat(43)}= sha256/${'B'.repeat(43)}=`,
      TELEMETRY_INTERVAL_MS: '1000',
    };
    expect(await read(env)).toEqual({
      urls: [url, 'wss://spare.example.com', 'ws://10.0.0.1:4000/fedecks/websocket'],
      deviceId: 'greenhouse-1',
      stateDir: '/data/agent',
      login: { type: 'login_file', path: '/data/login.json' },
      healthFile: '/dev/shm/connected',
      outbox: '/data/outbox',
      tls: {
        servername: 'cloud.internal',
        pins: [`sha256/${'A'.repeat(43)}=`, `sha256/${'B'.repeat(43)}=`],
      },
      environment: env,
      telemetryIntervalMs: 1000,
      exec: new Map([['disk', { command: ['df', '-h'], choices: new Map() }]]),
      startDelayMs: 0,
      pingIntervalMs: 55_000,
      phaseTimeoutMs: 30_000,
      upgradeTimeoutMs: 120_000,
    });
  });

  it('reads from the file what the environment does not set', async () => {
    const text = `# Where the cloud is\nFEDECKS_URL="${url}"\nFEDECKS_DEVICE_ID=cellar\nhttps_proxy=http://proxy:3128\n`;
    const config = await read({ FEDECKS_DEVICE_ID: 'greenhouse-1' }, text);
    expect(config).toMatchObject({ urls: [url], deviceId: 'greenhouse-1' });
    expect(config.environment['https_proxy']).toBe('http://proxy:3128');
  });

  it.each([
    [{ FEDECKS_CLAIM: '7K3M-9QTX-0ABC-WV5N' }, { type: 'claim', code: '7K3M-9QTX-0ABC-WV5N' }],
    [{ FEDECKS_CLAIM_FILE: '/run/claim' }, { type: 'claim_file', path: '/run/claim' }],
  ])('reads the claim of %j', async (variables, login) => {
    expect(
      await readConfig(undefined, { FEDECKS_URL: 'wss://cloud.example.com', ...variables }),
    ).toMatchObject({
      login,
    });
  });

  it('refuses two sources of credentials, and shows neither', async () => {
    const env = {
      FEDECKS_URL: 'wss://cloud.example.com',
      FEDECKS_CLAIM: '7K3M',
      FEDECKS_LOGIN_FILE: '/login',
    };
    const reading = readConfig(undefined, env);
    await expect(reading).rejects.toThrow('FEDECKS_CLAIM and FEDECKS_LOGIN_FILE are set: keep one of them.');
    await expect(reading).rejects.not.toThrow('7K3M');
  });

  it('treats empty variables as not set', async () => {
    const nothing = Object.fromEntries(Object.keys(VARIABLES).map((name) => [name, '']));
    const text = `FEDECKS_LOGIN_FILE=/data/login.json`;
    const config = await read({ ...nothing, FEDECKS_URL: url }, text);
    expect(config).toMatchObject({ login: { type: 'none' }, deviceId: hostname(), tls: undefined });
  });

  it('reports all missing and invalid variables at once', async () => {
    const message = await messageFor(
      read(
        {
          FEDECKS_DEVICE_ID: 'é'.repeat(63),
          FEDECKS_STATE_DIR: `/${'d'.repeat(120)}`,
          FEDECKS_START_DELAY_MS: '1.5',
          FEDECKS_PHASE_TIMEOUT_MS: '20s',
          FEDECKS_UPGRADE_TIMEOUT_MS: '120001',
          FEDECKS_OUTBOX: `/${'d'.repeat(120)}/`,
          FEDECKS_CA_FILE: '/nowhere/ca.pem',
          FEDECKS_CERT_FILE: '/nowhere/cert.pem',
          FEDECKS_PINS: 'hunter2',
          TELEMETRY_INTERVAL_MS: 'often',
        },
        'FEDECKS_ULR=wss://hunter2\n',
      ),
    );
    const names = [
      'FEDECKS_URL must be set',
      'FEDECKS_DEVICE_ID must',
      'FEDECKS_STATE_DIR is 25 bytes too long',
      'FEDECKS_OUTBOX must name a directory of its own',
      'FEDECKS_START_DELAY_MS must',
      'FEDECKS_PHASE_TIMEOUT_MS must be a whole number of milliseconds, from 1000 to 120000.',
      'FEDECKS_UPGRADE_TIMEOUT_MS must',
      'FEDECKS_CA_FILE names a file that the agent cannot read (ENOENT)',
      'FEDECKS_CERT_FILE and FEDECKS_KEY_FILE go together',
      'Each of FEDECKS_PINS must',
      'TELEMETRY_INTERVAL_MS must',
    ];
    for (const name of names) expect(message).toContain(`- ${name}`);
    expect(message).toContain('sets unknown variables: FEDECKS_ULR');
    expect(message).not.toContain('hunter2');
  });

  it.each([
    'cloud.example.com',
    'https://cloud.example.com',
    'ws://',
    'wss://cloud.example.com/#fragment',
    'wss://user:hunter2@cloud.example.com',
    `${url} wss://user:hunter2@spare.example.com`,
  ])('rejects the url %j, without showing it', async (wrong) => {
    const message = await messageFor(read({ FEDECKS_URL: wrong }));
    expect(message).toContain('- FEDECKS_URL ');
    expect(message).not.toContain('hunter2');
  });

  it.each(['0', '999', '86400001', '-1000', '1e4', ' 1000'])('rejects an interval of %j', async (wrong) => {
    expect(await messageFor(read({ FEDECKS_URL: url, TELEMETRY_INTERVAL_MS: wrong }))).toContain(
      'TELEMETRY_INTERVAL_MS',
    );
  });

  it('rejects invalid certificate and key files, without showing them', async () => {
    const path = file('hunter2');
    const env = {
      FEDECKS_URL: url,
      FEDECKS_CA_FILE: path,
      FEDECKS_CERT_FILE: path,
      FEDECKS_KEY_FILE: path,
    };
    const message = await messageFor(readConfig(undefined, env));
    expect(message).toContain('- FEDECKS_CA_FILE must name a file of PEM certificates');
    expect(message).toContain('- FEDECKS_CERT_FILE and FEDECKS_KEY_FILE must name a PEM certificate and its');
    expect(message).not.toContain('hunter2');
  });

  it('rejects an outbox that is no directory', async () => {
    const path = file('hunter2');
    const problem = (outbox: string): Promise<string> =>
      messageFor(readConfig(undefined, { FEDECKS_URL: url, FEDECKS_OUTBOX: outbox }));
    expect(await problem(path)).toContain('- FEDECKS_OUTBOX must name a directory, and names a file.');
    expect(await problem(join(path, 'outbox'))).toContain(
      '- FEDECKS_OUTBOX names a directory that the agent cannot use (ENOTDIR).',
    );
    expect(await problem(join(directory, 'new'))).toBe('');
    expect(await problem(directory)).toBe('');
  });

  it('rejects certificates for a url without TLS', async () => {
    const env = { FEDECKS_URL: 'ws://127.0.0.1', FEDECKS_SERVERNAME: 'cloud.internal' };
    expect(await messageFor(read(env))).toContain('- FEDECKS_URL must start with wss://');
  });

  it('rejects a config file that does not exist', async () => {
    const message = await messageFor(readConfig(join(directory, 'no.env'), { FEDECKS_URL: url }));
    expect(message).toContain('no.env (ENOENT)');
  });
});

describe('readStateDir', () => {
  it('prefers the environment, then the file, then the default', async () => {
    const path = file('FEDECKS_STATE_DIR=/from/file\n');
    expect(await readStateDir(path, { FEDECKS_STATE_DIR: '/from/environment' })).toBe('/from/environment');
    expect(await readStateDir(path, {})).toBe('/from/file');
    expect(await readStateDir(file(''), {})).toMatch(/fedecks-agent$/);
  });

  it('reads no file that it does not need', async () => {
    const env = { FEDECKS_STATE_DIR: '/from/environment' };
    expect(await readStateDir(undefined, env)).toBe('/from/environment');
    await expect(readStateDir(join(directory, 'no.env'), env)).rejects.toThrow(ConfigError);
  });
});

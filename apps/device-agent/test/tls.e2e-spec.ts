import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Certificates } from '../../../libs/fedecks/test/support/certificates.js';
import { ConnectProxy } from '../../../libs/fedecks/test/support/connect-proxy.js';
import { EXIT } from '../src/cli/exit.js';
import { type AgentStatus } from '../src/control/status.js';
import { AgentProgram } from './support/agent-program.js';
import { Cloud, CREDENTIALS } from './support/cloud.js';

const certificates = new Certificates();
const ca = certificates.make({ name: 'A CA of our own', isCa: true });
const server = certificates.make({ name: 'cloud.internal', issuer: ca });
const device = certificates.make({ name: 'greenhouse-1', issuer: ca });
const spare = certificates.make({ name: 'spare' });

let program: AgentProgram;
let cloud: Cloud;
let proxy: ConnectProxy;
let directory: string;
let env: NodeJS.ProcessEnv;

beforeAll(async () => {
  program = await AgentProgram.compile();
});

afterAll(async () => {
  certificates.remove();
});

beforeEach(async () => {
  const { key, cert } = server;
  cloud = await Cloud.start(0, { key, cert, ca: ca.cert, requestCert: true, rejectUnauthorized: true });
  proxy = await ConnectProxy.listen();
  directory = await mkdtemp(join(tmpdir(), 'device-agent-tls-'));
  const loginFile = join(directory, 'login.json');
  await writeFile(loginFile, JSON.stringify(CREDENTIALS));
  env = {
    FEDECKS_URL: cloud.url,
    FEDECKS_DEVICE_ID: 'greenhouse-1',
    FEDECKS_STATE_DIR: join(directory, 'state'),
    FEDECKS_START_DELAY_MS: '0',
    FEDECKS_LOGIN_FILE: loginFile,
    FEDECKS_CA_FILE: ca.certFile,
    FEDECKS_CERT_FILE: device.certFile,
    FEDECKS_KEY_FILE: device.keyFile,
    FEDECKS_SERVERNAME: 'cloud.internal',
    FEDECKS_PINS: `${spare.pin}, ${server.pin}`,
    https_proxy: proxy.url,
  };
});

afterEach(async () => {
  await program.stopAll();
  await proxy.close();
  await cloud.close();
  await rm(directory, { recursive: true });
});

async function status(): Promise<AgentStatus & { code: number | null }> {
  const { code, stdout } = await program.command(['status', '--json'], env);
  return { ...(JSON.parse(stdout) as AgentStatus), code };
}

describe('a cloud with its own CA and server name, that requires a client certificate, behind a proxy', () => {
  it('accepts a configured agent, and gets its telemetry', async () => {
    await program.run(env).logged('Logged in');
    await cloud.event('telemetry');
    expect(await status()).toMatchObject({ code: EXIT.ok, state: 'connected', lastError: null });
    expect((await proxy.asked.next()).authority).toBe(new URL(cloud.url).host);
    expect(proxy.carried.length).toBeGreaterThan(0);
    expect(proxy.carried.includes('telemetry')).toBe(false);
  });

  it.each([
    ['a pin of another key', { FEDECKS_PINS: spare.pin }, 'FEDECKS_PINS does not contain its key'],
    [
      'no certificate of its own',
      { FEDECKS_CERT_FILE: '', FEDECKS_KEY_FILE: '' },
      'a client certificate, and the device has none: set FEDECKS_CERT_FILE and FEDECKS_KEY_FILE',
    ],
  ])('gets no login from an agent with %s, which says what to change', async (_with, wrong, said) => {
    const running = program.run({ ...env, ...wrong });
    // In the agent's log.
    await running.logged(said);
    const { code, lastError } = await status();
    expect(code).toBe(EXIT.notConnected);
    expect(lastError).toContain(said);
    // And in the output of `login`.
    const login = await program.command(['login', '--stdin'], env, JSON.stringify(CREDENTIALS));
    expect(login).toMatchObject({ code: EXIT.failed, stderr: expect.stringContaining(said) as string });
    expect(cloud.logins).toBe(0);
  });
});

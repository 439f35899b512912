import { existsSync, readFileSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { eventually } from '../../../libs/fedecks/test/support/eventually.js';
import { EXIT, EXIT_MEANINGS } from '../src/cli/exit.js';
import { VARIABLES } from '../src/config.js';
import { type AgentStatus } from '../src/control/status.js';
import { AgentProgram, type Ended } from './support/agent-program.js';
import { Cloud, CREDENTIALS } from './support/cloud.js';

const ID = 'greenhouse-1';
/** The command of the image's HEALTHCHECK. */
const [, , HEALTH_CHECK = ''] = JSON.parse(
  /^ +CMD (\[.*\])$/m.exec(readFileSync(new URL('../Dockerfile', import.meta.url), 'utf8'))![1]!,
) as string[];
const README = readFileSync(new URL('../README.md', import.meta.url), 'utf8');

let program: AgentProgram;
let cloud: Cloud;
let directory: string;
let env: NodeJS.ProcessEnv;
let socket: string;

beforeAll(async () => {
  program = await AgentProgram.compile();
});

beforeEach(async () => {
  cloud = await Cloud.start();
  directory = await mkdtemp(join(tmpdir(), 'device-agent-cli-'));
  socket = join(directory, 'state', 'agent.sock');
  env = {
    FEDECKS_URL: cloud.url,
    FEDECKS_DEVICE_ID: ID,
    FEDECKS_STATE_DIR: join(directory, 'state'),
    FEDECKS_START_DELAY_MS: '0',
  };
});

afterEach(async () => {
  await program.stopAll();
  await cloud.close();
  await rm(directory, { recursive: true });
});

function agent(...args: string[]): Promise<Ended> {
  return program.command(args, env);
}

function login(credentials: unknown = CREDENTIALS): Promise<Ended> {
  return program.command(['login', '--stdin'], env, JSON.stringify(credentials));
}

async function status(): Promise<AgentStatus & { code: number | null }> {
  const { code, stdout } = await agent('status', '--json');
  return { ...(JSON.parse(stdout) as AgentStatus), code };
}

/** Starts an agent without a token, and waits until it accepts commands. */
async function unregistered() {
  const running = program.run(env);
  await running.logged('log it in with `device-agent login`');
  return running;
}

async function connected() {
  const running = await unregistered();
  expect(await login()).toMatchObject({ code: EXIT.ok });
  return running;
}

describe('device-agent', () => {
  it('waits for a login, connects, sends, shows its log, and logs out', async () => {
    await unregistered();
    expect(await status()).toMatchObject({
      code: EXIT.notConnected,
      state: 'unregistered',
      tokenHeld: false,
    });
    expect(await agent('send', 'door')).toMatchObject({
      code: EXIT.failed,
      stderr: expect.stringContaining('the client is not connected') as string,
    });

    const before = Date.now();
    expect(await login()).toMatchObject({
      code: EXIT.ok,
      stdout: expect.stringMatching(/^Logged in\./) as string,
    });
    const now = await status();
    expect(now).toMatchObject({
      code: EXIT.ok,
      state: 'connected',
      deviceId: ID,
      url: cloud.url,
      lastError: null,
      nextAttemptAt: null,
      tokenHeld: true,
    });
    expect(Date.parse(now.since)).toBeGreaterThanOrEqual(before);
    expect(Date.parse(now.tokenExpiresAt!)).toBeGreaterThan(before);
    const shown = await agent('status');
    expect(shown.code).toBe(EXIT.ok);
    expect(shown.stdout).toMatch(/^State +connected\nSince .*\nDevice id +greenhouse-1\n/);
    expect(shown.stdout).toMatch(/\nToken +held, expires \d{4}-/);

    expect(await agent('send', 'door', '{"open":true}')).toMatchObject({ code: EXIT.ok, stdout: 'Sent.\n' });
    expect(await cloud.event('door')).toEqual({ open: true });
    expect(await agent('send', 'inspected')).toMatchObject({ code: EXIT.ok });
    expect(await cloud.event('inspected')).toBeNull();

    const { stdout: log } = await agent('logs');
    expect(log).toMatch(/^\d{4}-\S+Z LOG +\[Connection\] Connected$/m);
    expect((await agent('logs', '--lines', '1')).stdout.match(/\n/g)).toHaveLength(1);

    expect(await cloud.changes.next()).toBe('connected');
    expect(await agent('logout')).toMatchObject({ code: EXIT.ok });
    expect(await cloud.changes.next()).toBe('disconnected');
    expect(await status()).toMatchObject({
      code: EXIT.notConnected,
      state: 'unregistered',
      tokenHeld: false,
    });
    expect(existsSync(join(directory, 'state', 'token'))).toBe(false);
  });

  it('restarts after kill -9: replaces the stale socket, and connects with its token', async () => {
    const first = await connected();
    first.kill('SIGKILL');
    await first.ended();
    expect(existsSync(socket)).toBe(true);
    expect(await agent('status')).toMatchObject({
      code: EXIT.notRunning,
      stderr: expect.stringContaining('No agent is running') as string,
    });
    const second = program.run(env);
    await second.logged('Connected');
    expect(await status()).toMatchObject({ code: EXIT.ok, state: 'connected' });
    expect(cloud.logins).toBe(1);
  });

  it('shows when it started and connected by the current clock', async () => {
    const preload = fileURLToPath(new URL('support/stepped-clock.mjs', import.meta.url));
    const before = Date.now() - 1_000;
    const running = program.run({ ...env, NODE_OPTIONS: `--import=${preload}` });
    await running.logged('log it in with `device-agent login`');
    await login();
    expect((await status()).startedAt).toMatch(/^1970-01-01T/);
    running.kill('SIGWINCH');
    const { since, startedAt } = await eventually(status, ({ startedAt }) => !startedAt.startsWith('1970'));
    for (const time of [since, startedAt]) {
      expect(Date.parse(time)).toBeGreaterThanOrEqual(before);
      expect(Date.parse(time)).toBeLessThanOrEqual(Date.now() + 1_000);
    }
  });

  it('updates a health check file while it is connected, and removes it otherwise', async () => {
    const file = join(directory, 'connected');
    const check = async (): Promise<number | null> =>
      (await program.shell(HEALTH_CHECK, { FEDECKS_HEALTH_FILE: file }, directory)).code;
    env['FEDECKS_HEALTH_FILE'] = file;
    const running = await unregistered();
    expect(await check()).not.toBe(0);
    await login();
    await eventually(check, (code) => code === 0);
    await utimes(file, new Date(), new Date(Date.now() - 150_000));
    expect(await check()).not.toBe(0);
    await agent('logout');
    await eventually(
      () => existsSync(file),
      (exists) => !exists,
    );
    await login();
    await eventually(check, (code) => code === 0);
    running.kill('SIGTERM');
    expect(await running.ended()).toBe(EXIT.ok);
    expect(existsSync(file)).toBe(false);
  });

  it('restricts directory, socket and token to its user, whatever the umask', async () => {
    const umask = process.umask(0);
    try {
      await connected();
    } finally {
      process.umask(umask);
    }
    const mode = async (path: string): Promise<number> => (await stat(path)).mode & 0o777;
    expect(await mode(join(directory, 'state'))).toBe(0o700);
    expect(await mode(socket)).toBe(0o600);
    expect(await mode(join(directory, 'state', 'token'))).toBe(0o600);
  });

  it('warns when other users may enter an existing state directory', async () => {
    await mkdir(join(directory, 'state'));
    await chmod(join(directory, 'state'), 0o755);
    await program.run(env).logged('chmod 700');
  });

  it('does not start a second agent with the same state directory, and leaves the first alone', async () => {
    await connected();
    const second = await agent('run');
    expect(second).toMatchObject({ code: EXIT.alreadyRunning });
    expect(second.stderr).toContain('Another agent is running');
    expect(await status()).toMatchObject({ code: EXIT.ok, state: 'connected' });
  });

  it('exits cleanly when stopped, and leaves no socket', async () => {
    const running = await connected();
    running.kill('SIGTERM');
    expect(await running.ended()).toBe(EXIT.ok);
    expect(existsSync(socket)).toBe(false);
    expect(await cloud.changes.next()).toBe('connected');
    expect(await cloud.changes.next()).toBe('disconnected');
  });

  it('logs without colours unless to a terminal', async () => {
    const before = program.output.length;
    await unregistered();
    expect(program.output.slice(before)).not.toContain('\x1b');
  });

  it('exits with a special exit status when the cloud requests a restart, after its answer', async () => {
    const running = await connected();
    await cloud.push(ID, { event: 'restart', data: null });
    expect(await cloud.event('restarting')).toBeNull();
    expect(await running.ended()).toBe(EXIT.restart);
  });

  it('answers a request for a restart before it exits', async () => {
    const running = await connected();
    expect(await cloud.request(ID, 'restart', null)).toBeNull();
    expect(await cloud.event('restarting')).toBeNull();
    expect(await running.ended()).toBe(EXIT.restart);
  });

  it('connects without a writable state directory, and logs that commands cannot reach it', async () => {
    await writeFile(join(directory, 'file'), '');
    await writeFile(join(directory, 'login.json'), JSON.stringify(CREDENTIALS));
    const running = program.run({
      ...env,
      FEDECKS_STATE_DIR: join(directory, 'file', 'state'),
      FEDECKS_LOGIN_FILE: join(directory, 'login.json'),
    });
    await running.logged('Commands cannot reach this agent');
    await running.logged('Connected');
    await cloud.event('telemetry');
  });

  it('writes no secret to a log or a file', async () => {
    program.output = '';
    await unregistered();
    await login({ ...CREDENTIALS, password: 'open barley' });
    await login();
    const token = (await readFile(join(directory, 'state', 'token'), 'latin1')).trim().split('\n').at(-1)!;
    await agent('send', 'note', '"the payload of a person"');
    await agent('status', '--json');
    await agent('logs');
    const files = await readdir(join(directory, 'state'));
    const texts = await Promise.all(
      files
        .filter((name) => name !== 'agent.sock')
        .map((name) => readFile(join(directory, 'state', name), 'latin1')),
    );
    for (const secret of [
      CREDENTIALS.username,
      CREDENTIALS.password,
      'open barley',
      'the payload of a person',
    ]) {
      expect(texts.join() + program.output).not.toContain(secret);
      expect(texts.join()).not.toContain(Buffer.from(secret).toString('base64'));
    }
    expect(program.output).not.toContain(token);
    expect(program.output).not.toContain(Buffer.from(token, 'base64').toString());
  });
});

describe('device-agent login', () => {
  it('prompts at a terminal, without echoing the password', async () => {
    await unregistered();
    // A real pseudo-terminal, which would echo the input.
    const line = `"${process.execPath}" "${program.file}" login`;
    const terminal = program.start('script', ['-qec', line, '/dev/null'], { ...env, SHELL: '/bin/sh' });
    let shown = '';
    const until = async (text: string): Promise<void> => {
      while (!shown.includes(text)) {
        const [chunk] = (await once(terminal.stdout!, 'data', { signal: AbortSignal.timeout(5_000) })) as [
          Buffer,
        ];
        shown += chunk.toString();
      }
    };
    await until('Username:');
    terminal.stdin!.write(`${CREDENTIALS.username}\r`);
    await until('Password:');
    terminal.stdin!.write(`${CREDENTIALS.password}\r`);
    await until('Logged in.');
    const [code] = (await once(terminal, 'close')) as [number];
    expect(code).toBe(EXIT.ok);
    expect(shown).toContain(CREDENTIALS.username);
    expect(shown).not.toContain(CREDENTIALS.password);
    expect(shown).not.toMatch(/\*/);
  });

  it('prints why the login was rejected, and can be retried', async () => {
    await unregistered();
    const wrong = await login({ ...CREDENTIALS, password: 'open barley' });
    expect(wrong).toMatchObject({ code: EXIT.failed, stdout: '' });
    expect(wrong.stderr).toContain('403');
    expect(await status()).toMatchObject({
      state: 'unregistered',
      lastError: expect.stringContaining('403') as string,
    });
    expect(await login()).toMatchObject({ code: EXIT.ok });
  });

  it('prints what to do without credentials, and shows no input', async () => {
    await unregistered();
    const cases = [
      { args: [], input: '', code: EXIT.usage, said: 'Standard input is not a terminal' },
      { args: ['--stdin'], input: 'open sesame', code: EXIT.failed, said: 'must be JSON of the form' },
      { args: ['--stdin'], input: '["open sesame"]', code: EXIT.failed, said: 'must be JSON of the form' },
      {
        args: ['--credentials-file', '/nowhere'],
        input: '',
        code: EXIT.failed,
        said: 'cannot be read (ENOENT)',
      },
      {
        args: ['--credentials-file', 'x', '--stdin'],
        input: '',
        code: EXIT.usage,
        said: 'not both',
      },
    ];
    await Promise.all(
      cases.map(async ({ args, input, code, said }) => {
        const ended = await program.command(['login', ...args], env, input);
        expect(ended).toMatchObject({ code, stderr: expect.stringContaining(said) as string });
        expect(ended.stderr).not.toContain('sesame');
      }),
    );
    expect(cloud.logins).toBe(0);
  });
});

describe('device-agent logs --follow', () => {
  it('prints new lines until the agent exits', async () => {
    const running = await unregistered();
    const following = program.start(process.execPath, [program.file, 'logs', '--follow'], env);
    let shown = '';
    following.stdout!.on('data', (text: Buffer) => (shown += text.toString()));
    const closed = once(following, 'close');
    await once(following.stdout!, 'data');
    await login();
    running.kill('SIGTERM');
    expect(await closed).toEqual([EXIT.notRunning, null]);
    expect(shown).toMatch(/No token: a login is needed\n[^]*Login requested\n[^]*Connected\n[^]*Stopped\n/);
  });
});

describe('the control socket', () => {
  it('survives garbage, oversized requests, and clients that never finish', async () => {
    await connected();
    const idle = Array.from({ length: 10 }, () => connect(socket));
    for (const garbage of ['\0\xff\r\n\r\n', 'GET', `GET /${'x'.repeat(20_000)} HTTP/1.1\r\n\r\n`]) {
      const raw = connect(socket);
      // It may be disconnected while it writes.
      raw.on('error', () => undefined);
      raw.end(garbage);
      raw.resume();
      await new Promise((resolve) => raw.once('close', resolve));
    }
    const post = async (path: string, body: string): Promise<[number, string]> => {
      const headers = { connection: 'keep-alive' };
      const asking = request({ socketPath: socket, method: 'POST', path, headers, agent: false });
      asking.end(body);
      const [response] = (await once(asking, 'response')) as [IncomingMessage];
      let text = '';
      for await (const chunk of response) text += String(chunk);
      asking.socket?.destroy();
      return [response.statusCode!, text];
    };
    expect((await post('/send', JSON.stringify({ event: 'x', payload: 'y'.repeat(300_000) })))[0]).toBe(413);
    expect((await post('/send', '{"event":'))[0]).toBe(400);
    expect((await post('/send', '{}'))[0]).toBe(400);
    expect((await post('/nowhere', '{}'))[0]).toBe(404);
    expect((await post('/login', '7'))[0]).toBe(502);
    expect((await post('//', ''))[0]).toBe(404);
    expect(await status()).toMatchObject({ code: EXIT.ok, state: 'connected' });
    for (const each of idle) each.destroy();
  });
});

describe('the command line', () => {
  it('prints usage errors, and exits with the status for them', async () => {
    const cases = [
      { args: [], said: 'Usage: device-agent' },
      { args: ['sned'], said: 'Did you mean send?' },
      { args: ['status', '--jsno'], said: 'Did you mean --json?' },
      { args: ['send', 'door', 'open'], said: 'The payload must be JSON' },
      { args: ['logs', '--lines', 'many'], said: 'It must be a whole number' },
    ];
    await Promise.all(
      cases.map(async ({ args, said }) => {
        const ended = await agent(...args);
        expect(ended).toMatchObject({ code: EXIT.usage, stderr: expect.stringContaining(said) as string });
      }),
    );
  });

  it('prints help for every command, with examples and exit statuses', async () => {
    await Promise.all(
      ['run', 'login', 'status', 'send', 'logout', 'logs'].map(async (name) => {
        const { code, stdout } = await agent(name, '--help');
        expect(code).toBe(EXIT.ok);
        expect(stdout).toContain(`Usage: device-agent ${name}`);
        expect(stdout).toContain('Examples:');
        for (const status of Object.values(EXIT))
          expect(stdout).toMatch(new RegExp(`^  ${status} +\\S`, 'm'));
      }),
    );
  });

  it('rejects an invalid configuration at once, with the status for it', async () => {
    const wrong = await program.command(['run'], {
      FEDECKS_URL: 'https://cloud',
      TELEMETRY_INTERVAL_MS: '1',
    });
    expect(wrong.code).toBe(EXIT.config);
    expect(wrong.stderr).toMatch(/FEDECKS_URL must[^]*TELEMETRY_INTERVAL_MS must/);
  });

  it('reads its configuration from a file, for the agent and its commands', async () => {
    const file = join(directory, 'agent.env');
    await writeFile(
      file,
      Object.entries(env)
        .map(([name, value]) => `${name}="${value}"\n`)
        .join(''),
    );
    await program.run({}, '--config', file).logged('log it in');
    const asked = await program.command(['status', '--config', file], {});
    expect(asked).toMatchObject({ code: EXIT.notConnected, stderr: '' });
  });
});

describe('README.md', () => {
  it('shows commands that work as printed', async () => {
    await unregistered();
    await writeFile(join(directory, 'login.json'), JSON.stringify(CREDENTIALS));
    const lines = [...README.matchAll(/^```sh\n([^]*?)^```$/gm)].flatMap(([, text = '']) =>
      text.trim().split('\n'),
    );
    for (const name of ['login', 'status', 'send', 'logs', 'logout']) {
      expect(lines.join('\n')).toContain(`device-agent ${name}`);
    }
    for (const line of lines) {
      expect({ line, ...(await program.shell(line, env, directory)) }).toMatchObject({ line, code: EXIT.ok });
    }
  });

  it('documents every exit status and every variable', () => {
    for (const [name, meaning] of Object.entries(EXIT_MEANINGS)) {
      expect(README.replaceAll(/ +/g, ' ')).toContain(`| ${EXIT[name as keyof typeof EXIT]} | ${meaning} |`);
    }
    for (const name of Object.keys(VARIABLES)) expect(README).toContain(`| \`${name}\``);
  });
});

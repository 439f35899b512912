import { once } from 'node:events';
import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { RequestFailedError } from '@fedecks/nest';
import { atom, type Term } from '@fedecks/nest/wire';
import { eventually } from '../../../libs/fedecks/test/support/eventually.js';
import { Inbox } from '../../../libs/fedecks/test/support/inbox.js';
import { EXIT } from '../src/cli/exit.js';
import { type AgentStatus } from '../src/control/status.js';
import { AgentProgram, type RunningAgent } from './support/agent-program.js';
import { Cloud, CREDENTIALS } from './support/cloud.js';

const ID = 'greenhouse-1';
const DEFAULTS = { telemetryIntervalMs: 60_000, logLevel: 'debug' };
/** Whatever a command takes, it does not take these. */
const GARBAGE: readonly Term[] = [
  'text',
  7,
  2n ** 200n,
  true,
  atom('null'),
  ['settings', 'logs'],
  new Map<Term, Term>([[1, 2]]),
  new Uint8Array(100_000),
  { ['x'.repeat(100_000)]: 'y'.repeat(100_000) },
  Object.fromEntries(Array.from({ length: 5_000 }, (_, n) => [`${n}`, n])),
  { '\u202e\u0000\u001b[2J../../../etc/passwd': null },
  JSON.parse('{"__proto__": {"name": "disk"}, "constructor": 1}') as Term,
];

let program: AgentProgram;
let cloud: Cloud;
let directory: string;
let state: string;
let env: NodeJS.ProcessEnv;

beforeAll(async () => {
  program = await AgentProgram.compile();
});

beforeEach(async () => {
  cloud = await Cloud.start();
  directory = await mkdtemp(join(tmpdir(), 'device-agent-commands-'));
  state = join(directory, 'state');
  const loginFile = join(directory, 'login.json');
  await writeFile(loginFile, JSON.stringify(CREDENTIALS));
  env = {
    FEDECKS_URL: cloud.url,
    FEDECKS_DEVICE_ID: ID,
    FEDECKS_STATE_DIR: state,
    FEDECKS_LOGIN_FILE: loginFile,
    FEDECKS_START_DELAY_MS: '0',
  };
});

afterEach(async () => {
  await program.stopAll();
  await cloud.close();
  await rm(directory, { recursive: true });
});

async function connected(): Promise<RunningAgent> {
  const agent = program.run(env);
  await greeting();
  return agent;
}

/** What the agent says of itself when it connects. */
async function greeting(): Promise<Record<string, Term>> {
  while ((await cloud.changes.next(20_000)) !== 'connected');
  return (await cloud.event('hello')) as Record<string, Term>;
}

async function failure(request: Promise<unknown>): Promise<RequestFailedError> {
  const error: unknown = await request.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(RequestFailedError);
  return error as RequestFailedError;
}

/** What a stream yields until it is cancelled. */
function follow(payload: Term) {
  const lines = new Inbox<string>('line of the log');
  const stream = cloud.stream(ID, 'logs', payload);
  const ended = new Inbox<unknown>('end of the stream');
  const subscription = stream.subscribe({
    next: (line) => lines.put(line as string),
    error: (error) => ended.put(error),
    complete: () => ended.put('complete'),
  });
  const until = async (text: string): Promise<string[]> => {
    const read: string[] = [];
    do read.push(await lines.next(20_000));
    while (!read.at(-1)?.includes(text));
    return read;
  };
  return { until, ended, cancel: () => subscription.unsubscribe() };
}

async function status(): Promise<AgentStatus> {
  return JSON.parse((await program.command(['status', '--json'], env)).stdout) as AgentStatus;
}

async function allowExec(commands: unknown): Promise<void> {
  const file = join(directory, 'exec.json');
  await writeFile(file, JSON.stringify(commands));
  await chmod(file, 0o600);
  env['FEDECKS_EXEC_FILE'] = file;
}

/** Resolves when there is no such process. */
async function ended(pid: number): Promise<void> {
  const isAlive = (): boolean => {
    try {
      return process.kill(pid, 0);
    } catch {
      return false;
    }
  };
  await eventually(isAlive, (alive) => !alive);
}

async function ping(): Promise<void> {
  expect(await cloud.request(ID, 'ping', 'still there?')).toEqual({ event: 'pong', data: 'still there?' });
}

describe('settings', () => {
  it('are answered, changed, shown, and survive kill -9', async () => {
    const agent = await connected();
    expect(await cloud.request(ID, 'settings', null)).toEqual(DEFAULTS);
    const changed = { telemetryIntervalMs: 5_000, logLevel: 'warn' };
    expect(await cloud.request(ID, 'settings', changed)).toEqual(changed);
    agent.kill('SIGKILL');
    await agent.ended();
    program.run(env);
    expect(await greeting()).toMatchObject({ settings: changed });
    expect((await status()).settings).toEqual(changed);
    expect((await program.command(['status'], env)).stdout).toMatch(
      /^Settings {6}telemetryIntervalMs 5000, logLevel warn$/m,
    );
    expect(await cloud.request(ID, 'settings', { logLevel: null })).toEqual({
      ...changed,
      logLevel: 'debug',
    });
  });

  it('take effect at once', async () => {
    await connected();
    await cloud.event('telemetry');
    await cloud.request(ID, 'settings', { telemetryIntervalMs: 1_000 });
    for (let times = 0; times < 3; times++) await cloud.event('telemetry');
    await cloud.request(ID, 'settings', { logLevel: 'error' });
    const before = (await program.command(['logs'], env)).stdout;
    await ping();
    expect((await program.command(['logs'], env)).stdout).toBe(before);
    await cloud.request(ID, 'settings', { logLevel: 'log' });
    await ping();
    expect((await program.command(['logs'], env)).stdout).toContain('ping: answered');
  });

  it('that are delivered to a device that is offline are in force when it is back, the newest of a key', async () => {
    const agent = await connected();
    agent.kill('SIGTERM');
    await agent.ended();
    const old = await cloud.deliver(ID, 'settings', { telemetryIntervalMs: 9_000 }, { key: 'settings' });
    const newest = await cloud.deliver(ID, 'settings', { telemetryIntervalMs: 8_000 }, { key: 'settings' });
    program.run(env);
    expect(await old.final).toMatchObject({ state: 'cancelled', code: 'replaced' });
    const inForce = { ...DEFAULTS, telemetryIntervalMs: 8_000 };
    expect(await newest.final).toMatchObject({ state: 'done', result: inForce });
    expect(await cloud.request(ID, 'settings', null)).toEqual(inForce);
  });

  it('that are wrong are rejected with all problems named, by request and by delivery', async () => {
    await connected();
    const wrong = { telemetryIntervalMs: 'soon', logLevel: 'loud', url: 'wss://evil.example.com' };
    const all = /telemetryIntervalMs must.*logLevel must.*"url": unknown/;
    expect(await failure(cloud.request(ID, 'settings', wrong))).toMatchObject({
      code: 'invalid',
      text: expect.stringMatching(all) as string,
    });
    const delivery = await cloud.deliver(ID, 'settings', wrong, { key: 'settings' });
    expect(await delivery.final).toMatchObject({
      state: 'rejected',
      code: 'invalid',
      text: expect.stringMatching(/telemetryIntervalMs must/) as string,
    });
    expect(await cloud.request(ID, 'settings', null)).toEqual(DEFAULTS);
  });

  it('are those of one change or of the next, when kill -9 comes while they are written', async () => {
    for (let round = 0; round < 10; round++) {
      const agent = await connected();
      let acknowledged = 0;
      let asked = 0;
      const change = async (): Promise<void> => {
        for (;;) {
          const next = 1_000 + ++asked;
          await cloud.request(ID, 'settings', {
            telemetryIntervalMs: next,
            logLevel: next % 2 ? 'log' : 'warn',
          });
          acknowledged = asked;
        }
      };
      const changing = change().catch(() => undefined);
      await eventually(
        () => acknowledged,
        (count) => count > 0,
      );
      await pause(Math.random() * 60);
      agent.kill('SIGKILL');
      await Promise.all([agent.ended(), changing]);
      const kept = JSON.parse(await readFile(join(state, 'settings.json'), 'utf8')) as Record<
        string,
        unknown
      >;
      const number = (kept['telemetryIntervalMs'] as number) - 1_000;
      expect(number).toBeGreaterThanOrEqual(acknowledged);
      expect(number).toBeLessThanOrEqual(asked);
      expect(kept['logLevel']).toBe(number % 2 ? 'log' : 'warn');
    }
    program.run(env);
    await greeting();
    await cloud.request(ID, 'settings', { logLevel: 'log' });
    expect((await readdir(state)).filter((name) => name.startsWith('settings'))).toEqual(['settings.json']);
  }, 120_000);
});

describe('logs', () => {
  it('streams the newest lines, and ends', async () => {
    await connected();
    await ping();
    const lines = follow({ lines: 2 });
    expect(await lines.until('logs: 2 lines')).toEqual([
      expect.stringMatching(/^\d{4}-\S+Z LOG +\[Commands\] ping: answered with pong$/),
      expect.stringContaining('[Commands] logs: 2 lines'),
    ]);
    expect(await lines.ended.next()).toBe('complete');
  });

  it('follows the log until the cloud cancels, again and again', async () => {
    await connected();
    // More than the streams that may read at once.
    for (let times = 0; times < 20; times++) {
      const lines = follow({ lines: 0, follow: true });
      await cloud.push(ID, { event: `marker ${times}`, data: null });
      await lines.until(`marker ${times}`);
      lines.cancel();
    }
    await ping();
  });

  it('says so when 8 streams read it already', async () => {
    await connected();
    const eight = Array.from({ length: 8 }, () => follow({ lines: 1, follow: true }));
    for (const each of eight) await each.until('');
    expect(await follow({ lines: 1 }).ended.next()).toMatchObject({
      code: 'failed',
      text: expect.stringContaining('8 others read the log') as string,
    });
    await ping();
  });

  it('keeps up with a flood, or says what is lost, and the agent goes on', async () => {
    await connected();
    const lines = follow({ lines: 0, follow: true });
    for (let n = 1; n <= 3_000; n++) {
      await cloud.push(ID, { event: 'x'.repeat(900), data: n });
      // A device that has a MiB to read is disconnected: on a busy machine it would be, if the flood did not wait.
      if (n % 1_000 === 0) await ping();
    }
    // Dropped messages are logged, so what comes now is read.
    await eventually(
      async () => {
        await cloud.push(ID, { event: 'the end of the flood', data: null });
        return (await program.command(['logs', '--lines', '5'], env)).stdout;
      },
      (text) => text.includes('the end of the flood'),
      30_000,
    );
    const read = await lines.until('the end of the flood');
    expect(read.length).toBeGreaterThan(100);
    lines.cancel();
    await ping();
  }, 90_000);

  it('shows no secret', async () => {
    const first = await connected();
    first.kill('SIGTERM');
    await first.ended();
    const [token = ''] = (await readFile(join(state, 'token'), 'latin1')).trim().split('\n').slice(-1);
    program.run({
      ...env,
      FEDECKS_URL: `ws://nowhere.invalid/fedecks/websocket?key=urlsecret ${cloud.url}`,
      http_proxy: 'http://proxyuser:proxysecret@127.0.0.1:1',
      no_proxy: '127.0.0.1',
    });
    await greeting();
    await cloud.revoke(ID);
    await greeting();
    await cloud.request(ID, 'ping', 'payload of a person');
    await failure(cloud.request(ID, 'settings', { logLevel: 'payload of a person' }));
    const shown = (await follow({ lines: 500 }).until('logs: 500 lines')).join('\n');
    expect(shown).toContain('nowhere.invalid');
    const { username, password } = CREDENTIALS;
    for (const secret of [username, password, token, 'urlsecret', 'proxysecret', 'payload of a person'])
      expect(shown).not.toContain(secret);
    expect(shown).not.toContain(Buffer.from(token, 'base64').toString());
  });

  it('is not delivered: its stream would keep its lane for ever', async () => {
    await connected();
    const delivery = await cloud.deliver(ID, 'logs', { follow: true });
    expect(await delivery.final).toMatchObject({ state: 'rejected', code: 'invalid' });
  });
});

describe('exec', () => {
  it('is off by default', async () => {
    await connected();
    expect(await failure(cloud.request(ID, 'exec', { name: 'disk' }))).toMatchObject({
      code: 'invalid',
      text: 'exec is off on this device: FEDECKS_EXEC_FILE is not set',
    });
  });

  it('runs a command of the configuration, by request and by delivery', async () => {
    await allowExec({
      greet: { command: ['printf', '%s!', '{who}'], arguments: { who: ['you', '$(id)'] } },
      fail: ['sh', '-c', 'echo no >&2; exit 3'],
    });
    program.run(env);
    expect(await greeting()).toMatchObject({ exec: ['greet', 'fail'] });
    const success = {
      exitStatus: 0,
      signal: null,
      stdout: '',
      stderr: '',
      isTruncated: false,
      isTimedOut: false,
    };
    expect(await cloud.request(ID, 'exec', { name: 'greet', arguments: { who: '$(id)' } })).toEqual({
      ...success,
      stdout: '$(id)!',
    });
    const delivery = await cloud.deliver(ID, 'exec', { name: 'fail' });
    expect(await delivery.final).toMatchObject({
      state: 'done',
      result: { ...success, exitStatus: 3, stderr: 'no\n' },
    });
  });

  it('does not keep other commands waiting, and is killed when the cloud gives up', async () => {
    const started = join(directory, 'started');
    await allowExec({ wait: ['sh', '-c', `echo $$ > ${started}; sleep 1000`] });
    await connected();
    const waiting = cloud.stream(ID, 'exec', { name: 'wait' }).subscribe();
    const pid = Number(
      await eventually(
        () => readFile(started, 'utf8'),
        (text) => text.endsWith('\n'),
      ),
    );
    await ping();
    process.kill(pid, 0);
    waiting.unsubscribe();
    await ended(pid);
  });

  it.each(['request', 'delivery'])('of a %s leaves nothing behind when the agent stops', async (way) => {
    const started = join(directory, 'started');
    await allowExec({ wait: ['sh', '-c', `echo $$ > ${started}; sleep 1000`] });
    const agent = await connected();
    if (way === 'delivery') await cloud.deliver(ID, 'exec', { name: 'wait' });
    else cloud.stream(ID, 'exec', { name: 'wait' }).subscribe({ error: () => undefined });
    const pid = Number(
      await eventually(
        () => readFile(started, 'utf8'),
        (text) => text.endsWith('\n'),
      ),
    );
    agent.kill('SIGTERM');
    expect(await agent.ended()).toBe(EXIT.ok);
    await ended(pid);
  });
});

describe('restart', () => {
  it('that is delivered happens once', async () => {
    const agent = await connected();
    const delivery = await cloud.deliver(ID, 'restart', null);
    expect(await agent.ended()).toBe(EXIT.restart);
    program.run(env);
    await greeting();
    expect(await delivery.final).toMatchObject({ state: 'done' });
    await ping();
    await pause(2_000);
    await ping();
  });

  it('is refused by an agent that a person runs at a terminal, where nothing starts it again', async () => {
    const line = `"${process.execPath}" "${program.file}" run`;
    const terminal = program.start('script', ['-qec', line, '/dev/null'], { ...env, SHELL: '/bin/sh' });
    await greeting();
    expect(await failure(cloud.request(ID, 'restart', null))).toMatchObject({
      code: 'invalid',
      text: expect.stringContaining('nothing starts it again') as string,
    });
    await ping();
    expect((await status()).state).toBe('connected');
    terminal.kill('SIGTERM');
    await once(terminal, 'close');
  });
});

describe.each(['settings', 'logs', 'exec'])('%s', (command) => {
  it('rejects what is no payload for it in a few words, and the agent goes on', async () => {
    await allowExec({ disk: ['df'] });
    await connected();
    for (const garbage of GARBAGE) {
      const { code, text } = await failure(cloud.request(ID, command, garbage));
      expect({ code, isShort: text.length < 1_000 }).toEqual({ code: 'invalid', isShort: true });
      await cloud.push(ID, { event: command, data: garbage });
    }
    await ping();
    expect(await cloud.request(ID, 'settings', null)).toEqual(DEFAULTS);
    const log = (await program.command(['logs', '--lines', '500'], env)).stdout;
    expect(log).not.toContain('ERROR');
    expect(log).not.toContain('\u001b');
    expect(log.length).toBeLessThan(100_000);
  });
});

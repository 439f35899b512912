import { spawn } from 'node:child_process';
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { atom, encodeTerm, tuple } from '@fedecks/nest/wire';
import { type ChildApp } from './support/child-app.js';
import { type Cloud, PASSWORD, startCloud } from './support/cloud.js';
import { eventually } from './support/eventually.js';
import { FedecksCli } from './support/fedecks-cli.js';

const ID = 'poke-1';
const CREDENTIALS = JSON.stringify({ password: PASSWORD });

let cli: FedecksCli;
let cloud: Cloud;
let url: string;
let running: ChildApp | undefined;

beforeAll(async () => {
  cli = await FedecksCli.compile();
  cloud = await startCloud();
  url = `ws://127.0.0.1:${cloud.port}/fedecks/websocket`;
}, 60_000);

afterAll(async () => {
  await cloud.close();
  cli.remove();
});

beforeEach(() => {
  cli.forget();
  cloud.forget();
});

afterEach(() => running?.dispose());

async function logIn(): Promise<void> {
  const { code, stderr } = await cli.run(['login', url, '--id', ID], { input: CREDENTIALS });
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
}

/** Starts a command that stays connected, and waits until it is. */
async function startConnected(...args: string[]): Promise<ChildApp> {
  running = cli.start(args);
  await eventually(
    () => cloud.fedecks.devices().length,
    (length) => length === 1,
  );
  return running;
}

/** All files that the program has written. */
function files(): string[] {
  return readdirSync(cli.home, { recursive: true, encoding: 'utf8' })
    .map((name) => join(cli.home, name))
    .filter((path) => statSync(path).isFile());
}

describe('fedecks login', () => {
  it('logs in with credentials from standard input, and stores the token readable by the user only', async () => {
    const { code, stdout } = await cli.run(['login', url, '--id', ID], { input: CREDENTIALS });
    expect(stdout).toBe(`Logged in as ${ID}. The token is stored, the credentials are not.\n`);
    expect(code).toBe(0);
    expect(files().map((path) => path.split('/').pop())).toEqual(
      expect.arrayContaining(['login.json', 'token']),
    );
    for (const path of files()) {
      expect((statSync(path).mode & 0o777).toString(8)).toBe('600');
      expect(readFileSync(path, 'latin1')).not.toContain(PASSWORD);
      expect(readFileSync(path, 'latin1')).not.toContain(
        Buffer.from(PASSWORD).toString('base64').slice(0, -3),
      );
    }
    expect((statSync(join(cli.home, 'fedecks')).mode & 0o777).toString(8)).toBe('700');
  });

  /** Runs a command at a pseudo-terminal, which `script` gives it. */
  function atTerminal(command: string) {
    const child = spawn('script', ['-qec', command, '/dev/null'], { env: { ...process.env, ...cli.env } });
    let output = '';
    child.stdout.on('data', (text) => (output += String(text)));
    const ended = new Promise((resolve) => child.once('close', resolve));
    return { child, shown: () => output, ended };
  }

  it('prompts at a terminal without echoing the input', async () => {
    const command = `${cli.command} login ${url} --id ${ID} --ask username --ask password`;
    const { child, shown, ended } = atTerminal(command);
    await eventually(shown, (text) => text.includes('username (hidden): '));
    child.stdin.write('greenhouse\r');
    await eventually(shown, (text) => text.includes('password (hidden): '));
    child.stdin.write(`${PASSWORD}\r`);
    expect(await ended).toBe(0);
    expect(shown().replaceAll('\r', '')).toBe(
      `username (hidden): \npassword (hidden): \nLogged in as ${ID}. The token is stored, the credentials are not.\n`,
    );
  });

  it('exits with 130 at Ctrl-C, and sends nothing', async () => {
    const { child, shown, ended } = atTerminal(`${cli.command} login ${url} --id ${ID}`);
    await eventually(shown, (text) => text.includes('username'));
    const asked = cloud.asked.length;
    child.stdin.write('\u0003');
    expect(await ended).toBe(130);
    expect(shown()).toContain('Cancelled.');
    expect(cloud.asked.length).toBe(asked);
  });

  it('reports that the cloud rejects the credentials, without printing them', async () => {
    const { code, stderr } = await cli.run(['login', url, '--id', ID], { input: '{"password":"sesame"}' });
    expect(stderr).toContain('the cloud rejected the credentials or the token');
    expect(stderr).toContain(`fedecks check ${url} --id ${ID} --login`);
    expect(stderr).not.toContain('"sesame"');
    expect(code).toBe(1);
    expect(files()).toEqual([]);
  });

  it('ends with 130 at SIGTERM while it asks', async () => {
    const command = `echo pid $$; exec ${cli.command} login ${url} --id ${ID}`;
    const { shown, ended } = atTerminal(command);
    await eventually(shown, (text) => text.includes('username'));
    process.kill(Number(/pid (\d+)/.exec(shown())?.[1]), 'SIGTERM');
    expect(await ended).toBe(130);
    expect(shown()).toContain('Cancelled.');
  });

  it('reports that it could not store the token', async () => {
    writeFileSync(join(cli.home, 'fedecks'), 'in the way');
    const { code, stderr } = await cli.run(['login', url, '--id', ID], { input: CREDENTIALS });
    expect(stderr).toMatch(/^fedecks: Logged in, but could not store the token: .*\n$/);
    expect(code).toBe(1);
    const logout = await cli.run(['logout', '--url', url, '--id', ID]);
    expect(logout.stderr).toMatch(/^fedecks: .*(ENOTDIR|EEXIST).*\n$/);
    expect(logout.code).toBe(1);
  });

  it('takes no relative XDG_STATE_HOME, which would be another place in each directory', async () => {
    const env = { XDG_STATE_HOME: 'state', HOME: cli.home };
    await cli.run(['login', url, '--id', ID], { input: CREDENTIALS, env, cwd: cli.home });
    expect(files().map((path) => path.slice(cli.home.length))).toContain('/.local/state/fedecks/login.json');
    rmSync(join(cli.home, '.local'), { recursive: true });
  });

  it('keeps the login there was when another fails', async () => {
    await logIn();
    await cli.run(['login', url, '--id', ID], { input: '{"password":"wrong"}' });
    expect((await cli.run(['send', 'echo', '1', '--wait', '5'])).stdout).toBe('1\n');
  });

  it('suggests `check` when the cloud is unreachable', async () => {
    const { code, stderr } = await cli.run(['login', 'ws://127.0.0.1:1/fedecks', '--id', ID], {
      input: CREDENTIALS,
    });
    expect(stderr).toContain('ECONNREFUSED');
    expect(stderr).toContain('fedecks check ws://127.0.0.1:1/fedecks');
    expect(code).toBe(1);
  });

  it.each<[string, string[], string, number, string]>([
    ['text that is not JSON', ['--id', ID], 'secret-text', 1, 'must contain a JSON object of the form'],
    [
      'JSON that is not an object',
      ['--id', ID],
      '["secret-text"]',
      1,
      'must contain a JSON object of the form',
    ],
    ['a reserved key', ['--id', ID], '{"fedecks-token":"secret-text"}', 1, "the key 'fedecks-token'"],
    [
      'credentials that do not fit into the header',
      ['--id', ID],
      JSON.stringify({ p: 'x'.repeat(2000) }),
      1,
      'at most 1023 are allowed',
    ],
    ['input that is too long', ['--id', ID], 'x'.repeat(20_000), 1, 'longer than 16384 bytes'],
    ['no id', [], CREDENTIALS, 2, '--id is missing'],
  ])('rejects %s', async (_what, args, input, status, message) => {
    const { code, stderr } = await cli.run(['login', url, ...args], { input });
    expect(stderr).toContain(message);
    expect(stderr).not.toContain('secret-text');
    expect(code).toBe(status);
  });

  it.each<[string, string]>([
    ['http://localhost:3000', "must start with 'ws://' instead of 'http://'"],
    ['ws://user:hunter2@localhost', 'must not contain a user name or password'],
    ['localhost', 'must be a URL'],
  ])('rejects the URL %s with exit status 2', async (wrong, message) => {
    const { code, stderr } = await cli.run(['login', wrong, '--id', ID], { input: CREDENTIALS });
    expect(stderr).toContain(message);
    expect(stderr).not.toContain('hunter2');
    expect(code).toBe(2);
  });
});

describe('fedecks send', () => {
  it('sends an event with its payload', async () => {
    await logIn();
    const { code, stdout, stderr } = await cli.run(['send', 'temperature', '{"celsius":27.5}']);
    expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: '', stderr: '' });
    expect(await cloud.messages.next()).toEqual(tuple('temperature', { celsius: 27.5 }));
  });

  it('sends null without a payload argument, and terms in the JSON notation', async () => {
    await logIn();
    await cli.run(['send', 'inspected']);
    expect(await cloud.messages.next()).toEqual(tuple('inspected', null));
    await cli.run(['send', 'door', '{"$tuple":[{"$atom":"open"},{"$bytes":"AQI="}]}']);
    expect(await cloud.messages.next()).toEqual(tuple('door', tuple(atom('open'), Uint8Array.of(1, 2))));
    await cli.run(['send', 'offset', '--', '-5']);
    expect(await cloud.messages.next()).toEqual(tuple('offset', -5));
    await cli.run(['send', 'photo', '-'], { input: '{"size":3}' });
    expect(await cloud.messages.next()).toEqual(tuple('photo', { size: 3 }));
  });

  it('prints the reply with --wait', async () => {
    await logIn();
    const reply = await cli.run(['send', 'echo', '{"$tuple":[{"$atom":"ok"},[1,2.5]]}', '--wait', '5']);
    expect(reply).toEqual({ code: 0, stdout: '{"$tuple":[{"$atom":"ok"},[1,2.5]]}\n', stderr: '' });
  });

  it('fails when no reply arrives in time, or the cloud closes the connection', async () => {
    await logIn();
    const late = await cli.run(['send', 'boom', '--wait', '0.2']);
    expect(late.stderr).toBe('fedecks: No message arrived within 0.2 s.\n');
    expect(late.code).toBe(1);
    const closed = await cli.run(['send', 'stop', '--wait', '5']);
    expect(closed.stderr).toContain('fedecks: No message arrived. Connection lost: the cloud has ended it');
    expect(closed.code).toBe(1);
  });

  it('uses the last login, or the one given by --url and --id', async () => {
    await logIn();
    await cli.run(['login', url, '--id', 'poke-2'], { input: CREDENTIALS });
    await cli.run(['send', 'hello', '2']);
    await cloud.messages.next();
    expect(await cloud.disconnected.next()).toBe(ID);
    cloud.forget();
    await cli.run(['send', 'hello', '1', '--url', url, '--id', ID]);
    await cloud.messages.next();
    expect(await cloud.disconnected.next()).toBe(ID);
  });

  it('says what to do without a login, and when the token is rejected', async () => {
    const first = await cli.run(['send', 'hello']);
    expect(first).toMatchObject({
      code: 1,
      stderr: 'fedecks: No login yet. Log in: fedecks login URL --id ID\n',
    });
    await logIn();
    const other = await cli.run(['send', 'hello', '--id', 'poke-9']);
    expect(other.stderr).toContain(`No token for poke-9 at ${url}. Log in: fedecks login ${url} --id poke-9`);
    expect(other.code).toBe(1);
    await cloud.fedecks.revoke(ID);
    const refused = await cli.run(['send', 'hello']);
    expect(refused.stderr).toContain('The cloud rejects the token');
    expect(refused.stderr).toContain(`fedecks login ${url} --id ${ID}`);
    expect(refused.code).toBe(1);
  });

  it('deletes the token with `logout`', async () => {
    await logIn();
    expect(await cli.run(['logout'])).toMatchObject({ code: 0 });
    expect((await cli.run(['send', 'hello'])).stderr).toContain('No token for');
  });

  it.each<[string, string[], number, string]>([
    ['JSON that is none', ['hello', '{"a":'], 1, 'The payload is not JSON'],
    ['a word without quotes', ['hello', 'matey'], 1, `Put a string in double quotes: '"text"'.`],
    [
      'a notation that is wrong',
      ['hello', '{"a":[{"$atom":1}]}'],
      1,
      'The payload is invalid: $.a[0].$atom must be',
    ],
    ['no event', [], 2, 'Missing argument: fedecks send EVENT'],
    ['an option that does not exist', ['hello', '--wiat', '5'], 2, '--wiat'],
    ['a wait that is too short', ['hello', '--wait', '0'], 2, '--wait must be a number from 0.001'],
    ['a wait that is no number', ['hello', '--wait', 'long'], 2, '--wait must be a number'],
  ])('refuses %s before it connects', async (_what, args, status, message) => {
    const { code, stderr } = await cli.run(['send', ...args]);
    expect(stderr).toContain(message);
    expect(code).toBe(status);
  });
});

describe('fedecks listen', () => {
  it('prints each message as a line of JSON, and exits with 0 at Ctrl-C', async () => {
    await logIn();
    const app = await startConnected('listen');
    await cloud.fedecks.push(ID, { event: 'fan', data: { on: true } });
    expect(await app.line()).toBe('{"event":"fan","data":{"on":true}}');
    await cloud.fedecks.push(ID, tuple(atom('led'), '\u009b\u202e'));
    expect(await app.line()).toBe(String.raw`{"$tuple":[{"$atom":"led"},"\u009b\u202e"]}`);
    app.kill('SIGINT');
    expect(await app.exited(5_000)).toMatchObject({ code: 0, signal: null });
    expect(await cloud.disconnected.next()).toBe(ID);
    expect(app.stderr).toBe('');
  });

  it('exits after the given number of messages', async () => {
    await logIn();
    const app = await startConnected('listen', '--count', '2');
    for (const n of [1, 2, 3]) await cloud.fedecks.push(ID, n).catch(() => undefined);
    expect(await app.exited(5_000)).toMatchObject({ code: 0 });
    expect([await app.line(), await app.line()]).toEqual(['1', '2']);
  });

  it.each(['0', '1.5', '-1', 'all'])('refuses to count to %s', async (count) => {
    const { code, stderr } = await cli.run(['listen', `--count=${count}`]);
    expect(stderr).toContain('--count must be a');
    expect(code).toBe(2);
  });

  it('ends with 0 when nobody reads on', async () => {
    await logIn();
    const shell = spawn('sh', ['-c', `${cli.command} listen | head -n 1; echo "\${PIPESTATUS:-done}"`], {
      env: { ...process.env, ...cli.env },
    });
    let shown = '';
    shell.stdout.on('data', (text) => (shown += String(text)));
    let errors = '';
    shell.stderr.on('data', (text) => (errors += String(text)));
    const ended = new Promise((resolve) => shell.once('close', resolve));
    await eventually(
      () => cloud.fedecks.devices().length,
      (length) => length === 1,
    );
    // It notices the closed pipe when it writes.
    while (cloud.fedecks.devices().length > 0) {
      await cloud.fedecks.push(ID, 'again').catch(() => undefined);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    expect(await ended).toBe(0);
    expect(shown).toBe('"again"\ndone\n');
    expect(errors).toBe('');
  });

  it('exits with 1 when the token is revoked, and prints the reason', async () => {
    await logIn();
    const app = await startConnected('listen');
    await cloud.fedecks.revoke(ID);
    expect(await app.exited(5_000)).toMatchObject({ code: 1 });
    expect(app.stderr).toContain('Connection lost: the cloud has revoked the token (close code 4150)');
    expect(app.stderr).toContain(`fedecks login ${url} --id ${ID}`);
  });
});

describe('fedecks tail', () => {
  it('prints events with their time, and exits with 0 at Ctrl-C', async () => {
    await logIn();
    const app = await startConnected('tail');
    await cloud.fedecks.push(ID, tuple('fan', { on: true }));
    const lines: string[] = [];
    while (!lines.some((line) => line.includes('message'))) lines.push(await app.line());
    for (const line of lines) expect(line).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z {2}\w+/);
    const shown = lines.map((line) => line.slice(26));
    expect(shown).toContain(`Connecting to ${url} with token`);
    expect(shown).toContain('Connected');
    expect(shown).toContain('message  {"$tuple":["fan",{"on":true}]}');
    await cloud.fedecks.disconnect(ID);
    while (!lines.at(-1)?.includes('Connecting in')) lines.push(await app.line());
    expect(lines.join('\n')).toContain('Connection lost: the cloud has ended it');
    app.kill('SIGINT');
    expect(await app.exited(5_000)).toMatchObject({ code: 0, signal: null });
  });

  it('prints messages in the notation of Elixir', async () => {
    await logIn();
    const app = await startConnected('tail', '--elixir');
    await cloud.fedecks.push(ID, tuple(atom('fan'), new Map([[atom('on'), true]])));
    let line = await app.line();
    while (!line.includes('message')) line = await app.line();
    // This client decodes a map with atom keys as a JavaScript object.
    expect(line.slice(26)).toBe('message  {:fan, %{"on" => true}}');
  });

  it('prints why it cannot connect, and keeps trying', async () => {
    await logIn();
    const home = files().find((path) => path.endsWith('login.json'))!;
    expect(JSON.parse(readFileSync(home, 'utf8'))).toEqual({ url, deviceId: ID });
    const closed = await startCloud();
    const gone = `ws://127.0.0.1:${closed.port}/fedecks/websocket`;
    await cli.run(['login', gone, '--id', ID], { input: CREDENTIALS });
    await closed.close();
    running = cli.start(['tail']);
    let line = await running.line();
    while (!line.includes('could not be reached')) line = await running.line();
    expect(line).toContain('ECONNREFUSED');
    expect(await running.line()).toContain('Connecting in');
    running.kill('SIGINT');
    expect(await running.exited(5_000)).toMatchObject({ code: 0 });
  });
});

describe('fedecks', () => {
  it.each(['login', 'logout', 'send', 'listen', 'tail', 'decode', 'encode', 'check'])(
    'prints help for %s with examples and exit statuses',
    async (command) => {
      const { code, stdout } = await cli.run([command, '--help']);
      expect(code).toBe(0);
      expect(stdout).toMatch(new RegExp(`^Usage: fedecks ${command}`));
      expect(stdout).toMatch(/Examples:\n {2}\S/);
      expect(stdout).toContain('  2    the command line is wrong');
    },
  );

  it('lists its commands when none is given, or an unknown one', async () => {
    const none = await cli.run([]);
    expect(none.code).toBe(2);
    expect(none.stderr).toContain('check     test a connection');
    const wrong = await cli.run(['lisen']);
    expect(wrong.code).toBe(2);
    expect(wrong.stderr).toContain("Command 'lisen' does not exist");
    expect((await cli.run(['--help'])).code).toBe(0);
  });

  it('takes no inherited name for a command', async () => {
    const { code, stderr } = await cli.run(['toString']);
    expect(stderr).toMatch(/See: fedecks --help\n$/);
    expect(code).toBe(2);
  });

  it('ends with 1 when what it prints cannot be written', async () => {
    const shell = spawn('sh', ['-c', `${cli.command} decode 836101 > /dev/full`], {
      env: { ...process.env, ...cli.env },
    });
    let errors = '';
    shell.stderr.on('data', (text) => (errors += String(text)));
    expect(await new Promise((resolve) => shell.once('close', resolve))).toBe(1);
    expect(errors).toBe('fedecks: Cannot write to standard output (ENOSPC).\n');
  });

  it('ends with its exit status when nobody reads what is wrong', async () => {
    const shell = spawn('sh', ['-c', `sleep 0.2; ${cli.command} lisen`], {
      env: { ...process.env, ...cli.env },
    });
    shell.stderr.destroy();
    expect(await new Promise((resolve) => shell.once('close', resolve))).toBe(2);
  });

  it('lets a terminal take no orders from what it was given', async () => {
    const { stderr } = await cli.run(['\u001b[2J\u009b']);
    expect(stderr).toContain(String.raw`Command '\u001b[2J\u009b' does not exist`);
  });

  it('says its version', async () => {
    const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
      version: string;
    };
    expect((await cli.run(['--version'])).stdout).toBe(`${version}\n`);
  });

  it('reports that the file of the last login is damaged', async () => {
    await logIn();
    const file = files().find((path) => path.endsWith('login.json'))!;
    writeFileSync(file, '{');
    const { code, stderr } = await cli.run(['send', 'hello']);
    expect(stderr).toContain('login.json is damaged: delete it, and log in again.');
    expect(code).toBe(1);
  });
});

describe('fedecks decode and encode', () => {
  const BYTES = encodeTerm(tuple('fan', { on: true }));

  it.each<[string, string[], string | Buffer]>([
    ['hexadecimal', [BYTES.toString('hex')], ''],
    [
      'hexadecimal in capitals with spaces',
      [`0x${BYTES.toString('hex').toUpperCase().replace(/(..)/g, '$1 ')}`],
      '',
    ],
    ['Base64', [BYTES.toString('base64')], ''],
    ['a binary as iex prints it', [`<<${[...BYTES].join(', ')}>>`], ''],
    ['bytes on standard input', [], BYTES],
    ['hexadecimal on standard input', [], `${BYTES.toString('hex')}\n`],
    ['bytes with --from raw', ['--from', 'raw'], BYTES],
  ])('decodes %s', async (_what, args, input) => {
    const { code, stdout, stderr } = await cli.run(['decode', ...args], { input });
    expect({ code, stdout, stderr }).toEqual({
      code: 0,
      stdout: '{"$tuple":["fan",{"on":true}]}\n',
      stderr: '',
    });
  });

  it('read large ones, in whatever way they are written', async () => {
    const bytes = encodeTerm('y'.repeat(8_000_000));
    const spellings = [bytes.toString('hex'), bytes.toString('base64'), `<<${[...bytes].join(', ')}>>`];
    for (const input of spellings) {
      const { code, stdout, stderr } = await cli.run(['decode', '--to', 'base64'], { input });
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      expect(stdout === `${bytes.toString('base64')}\n`).toBe(true);
    }
  }, 60_000);

  it('read a file', async () => {
    const file = join(cli.home, 'message.etf');
    writeFileSync(file, BYTES);
    expect((await cli.run(['decode', '--file', file])).stdout).toBe('{"$tuple":["fan",{"on":true}]}\n');
  });

  it('encodes the same bytes as Erlang', async () => {
    // Written by Erlang/OTP: {:ok, 1}, with the atom in UTF-8 as from OTP 26 on.
    const hex = '8368027702' + '6f6b6101';
    const json = '{"$tuple":[{"$atom":"ok"},1]}';
    expect((await cli.run(['encode', json])).stdout).toBe(`${hex}\n`);
    expect((await cli.run(['encode', json, '--to', 'base64'])).stdout).toBe('g2gCdwJva2EB\n');
    expect((await cli.run(['encode', '--to', 'raw'], { input: json })).stdout).toBe(
      Buffer.from(hex, 'hex').toString(),
    );
    expect((await cli.run(['encode', json, '--to', 'elixir'])).stdout).toBe('{:ok, 1}\n');
    expect((await cli.run(['decode', hex, '--to', 'elixir'])).stdout).toBe('{:ok, 1}\n');
  });

  it.each<[string, string[], number, string]>([
    ['truncated bytes', ['decode', '836d0000000561'], 1, 'truncated at byte'],
    ['bytes without the version byte', ['decode', '0102'], 1, 'where a term has 131 (83 in hexadecimal)'],
    [
      'a fun',
      ['decode', '837164000d456c697869722e537472696e676400066c656e6774686101'],
      1,
      'unsafe at byte 2',
    ],
    ['Base64 with a character too many', ['decode', 'g2EBA'], 1, 'is not Base64'],
    ['Base64 with wrong padding', ['decode', 'g2EB=='], 1, 'is not Base64'],
    ['a number that is no byte', ['decode', '<<131, 97, 256>>'], 1, 'must have the form <<131, 97, 1>>'],
    ['a binary that iex has cut', ['decode', '<<131, 97, ...>>'], 1, 'must have the form <<131, 97, 1>>'],
    ['half a byte', ['decode', '8361f'], 1, 'is not hexadecimal, Base64'],
    ['no input', ['decode'], 1, 'The input is empty.'],
    [
      'a file that does not exist',
      ['decode', '-f', '/nowhere/term'],
      1,
      'Cannot read /nowhere/term (ENOENT)',
    ],
    ['an endless file', ['decode', '-f', '/dev/zero'], 1, '/dev/zero is longer than 83886080 bytes'],
    ['two inputs', ['decode', '8361', '-f', 'x'], 2, 'not both'],
    ['an unknown format', ['decode', '836101', '--to', 'xml'], 2, 'must be one of json, elixir'],
    ['a bomb', ['decode', bomb()], 1, 'too-large'],
    ['JSON that is none', ['encode', '{"a":'], 1, 'The input is not JSON (end of JSON input).'],
    ['a notation that is wrong', ['encode', '{"a":[1,{"$bytes":"?"}]}'], 1, '$.a[1].$bytes must be bytes'],
    ['a key with an unpaired surrogate', ['encode', String.raw`{"a":[{"\ud83d":1}]}`], 1, '$.a[0]'],
  ])('rejects %s, and says where', async (_what, args, status, message) => {
    const { code, stdout, stderr } = await cli.run(args);
    expect(stderr).toContain(message);
    expect(stdout).toBe('');
    expect(code).toBe(status);
  });
});

/** A compressed term that claims 1 GiB. */
function bomb(): string {
  return Buffer.concat([Buffer.of(131, 80, 64, 0, 0, 0), Buffer.from('789c030000000001', 'hex')]).toString(
    'hex',
  );
}

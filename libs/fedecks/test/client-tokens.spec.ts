import { chmod, chown, mkdir, mkdtemp, readdir, readFile, rm, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { jest } from '@jest/globals';
import { type ClientEvent, FedecksClient, FileTokenStore } from '@fedecks/nest/client';
import { type ChildApp, Program, type StartOptions } from './support/child-app.js';
import { type PeerConnection, PhoenixPeer } from './support/phoenix-peer.js';
import { chars, str, strMap, term, tuple } from './support/term-bytes.js';

const CREDENTIALS = { username: 'zaphod-the-president', password: 'heart-of-gold-42' };
const NOBODY = 65534;

let parent: string;
let directory: string;
let cloud: PhoenixPeer;
let device: Program;
let saver: Program;
const running: ChildApp[] = [];

beforeAll(async () => {
  [device, saver] = await Promise.all([Program.compile('device-app.ts'), Program.compile('token-saver.ts')]);
});

beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), 'fedecks-tokens-'));
  directory = join(parent, 'state');
  cloud = await PhoenixPeer.listen();
});

afterEach(async () => {
  for (const app of running.splice(0)) app.dispose();
  await cloud.close();
  await rm(parent, { recursive: true, force: true });
});

const store = (): FileTokenStore => new FileTokenStore(directory, 'nerves-242a');

/** The token in the store, and the problems the store reported. */
async function load(): Promise<{ token: string | undefined; reports: string[] }> {
  const reports: string[] = [];
  return { token: await store().load((reason) => reports.push(reason)), reports };
}

function start(credentials: object | null = null, user?: number, how: StartOptions = {}): ChildApp {
  const args = [
    { url: cloud.url, tokenStore: directory },
    credentials,
    ...(user === undefined ? [] : [user]),
  ];
  const app = device.start(
    args.map((each) => JSON.stringify(each)),
    how,
  );
  running.push(app);
  return app;
}

/** The process's next event of this type. */
async function told<Type extends ClientEvent['type']>(
  app: ChildApp,
  type: Type | 'logged_in',
): Promise<Extract<ClientEvent, { type: Type }>> {
  for (;;) {
    const event = JSON.parse(await app.line()) as Extract<ClientEvent, { type: Type }>;
    if (event.type === type) return event;
  }
}

/** Accepts the next connection, which must present this token, or credentials if undefined. */
async function accept(token: string | undefined): Promise<PeerConnection> {
  const connection = await cloud.accept();
  if (token !== undefined) {
    const fields = { 'fedecks-device-id': str('nerves-242a'), 'fedecks-token': str(token) };
    expect(connection.request.headers['x-fedecks-auth']).toBe(term(strMap(fields)).toString('base64'));
  }
  connection.upgrade();
  await connection.frame();
  return connection;
}

function sendToken(connection: PeerConnection, token: string): void {
  connection.binary(term(tuple(chars('token'), str(token))));
}

describe('full disk', () => {
  /** A file size limit of 0: writes fail as on a full disk, even for root. */
  const FULL = { by: ['prlimit', '--fsize=0'] };

  it('reports the failed save, and uses the new token from memory; the old one stays on disk', async () => {
    await store().save('stored-token');
    const app = start(null, undefined, FULL);
    const connection = await accept('stored-token');
    sendToken(connection, 'second-token');
    expect((await told(app, 'token_store_failed')).reason).toContain('EFBIG');
    connection.fin();
    const again = await accept('second-token');
    sendToken(again, 'third-token');
    expect((await told(app, 'token_store_failed')).reason).toContain('EFBIG');
    expect(await load()).toEqual({ token: 'stored-token', reports: [] });
    expect(await readdir(directory)).toEqual(['token']);

    // With free space again, the next token is stored.
    app.kill('SIGKILL');
    const later = start();
    sendToken(await accept('stored-token'), 'fourth-token');
    await told(later, 'token_stored');
    expect((await load()).token).toBe('fourth-token');
  });

  it('does not make a login fail', async () => {
    const app = start(CREDENTIALS, undefined, FULL);
    const connection = await accept(undefined);
    sendToken(connection, 'first-token');
    expect((await told(app, 'token_store_failed')).reason).toContain('EFBIG');
    await told(app, 'logged_in');
    connection.fin();
    await accept('first-token');
    app.endInput();
    expect(await app.exited(5_000)).toMatchObject({ code: 0 });
    expect(app.stderr).toBe('');
  });
});

describe('read-only disk', () => {
  it('reports the failed save, and uses the new token from memory; the old one stays on disk', async () => {
    await store().save('stored-token');
    await chmod(directory, 0o500);
    if (process.geteuid?.() === 0) {
      for (const path of [parent, directory, join(directory, 'token')]) await chown(path, NOBODY, NOBODY);
    }
    const app = start(null, NOBODY);
    const connection = await accept('stored-token');
    sendToken(connection, 'second-token');
    expect((await told(app, 'token_store_failed')).reason).toContain('EACCES');
    connection.fin();
    const again = await accept('second-token');
    // The file cannot be deleted either: the client forgets the token in memory only.
    again.close(4100);
    again.fin();
    await told(app, 'unregistered');
    expect((await told(app, 'token_store_failed')).reason).toContain('EACCES');
    await chmod(directory, 0o700);
    expect((await load()).token).toBe('stored-token');
  });
});

describe('damaged token file', () => {
  it.each([
    ['cut off', 3],
    ['empty', 0],
  ])('falls back to the previous token, and reports the damage: %s', async (_how, length) => {
    await store().save('first-token');
    await store().save('second-token');
    await truncate(join(directory, 'token'), length);
    const app = start();
    expect((await told(app, 'token_load_failed')).reason).toMatch(
      /token is damaged: the client uses the previous token\.$/,
    );
    await accept('first-token');
  });

  it('leaves the client unregistered without a previous token; a login works', async () => {
    await store().save('first-token');
    await truncate(join(directory, 'token'), 3);
    const app = start(CREDENTIALS);
    expect((await told(app, 'token_load_failed')).reason).toMatch(/: the client starts without a token\.$/);
    await told(app, 'unregistered');
    sendToken(await accept(undefined), 'new-token');
    await told(app, 'logged_in');
    expect(await load()).toEqual({ token: 'new-token', reports: [] });
  });
});

describe('power cut while tokens are saved', () => {
  it('leaves the old token or the new one, in files that load without an error', async () => {
    await store().save('token-0');
    let next = 1;
    for (let cut = 0; cut < 4; cut++) {
      const app = saver.start([directory, String(next)]);
      running.push(app);
      // Killed after a few saves, each time at another moment.
      let saved = 0;
      for (let count = 0; count < 3 + cut; count++) saved = Number(await app.line());
      app.kill('SIGKILL');
      await app.exited(5_000);
      const { token } = await load();
      expect(token).toMatch(/^token-\d+$/);
      next = Number(token?.slice('token-'.length));
      expect(next).toBeGreaterThanOrEqual(saved);
    }
  });
});

describe('secrets in output', () => {
  /** A secret in clear, and in Base64 at each of the three possible alignments. */
  function encodingsOf(secret: string): string[] {
    const inBase64 = [0, 1, 2].map((shift) => {
      const text = Buffer.from('x'.repeat(shift) + secret).toString('base64');
      return text.slice(Math.ceil((shift * 8) / 6), Math.floor(((shift + secret.length) * 8) / 6));
    });
    return [secret, Buffer.from(secret).toString('hex'), ...inBase64];
  }

  function expectNone(text: string, secrets: readonly string[]): void {
    for (const spelling of secrets.flatMap(encodingsOf)) expect(text).not.toContain(spelling);
  }

  async function filesIn(path: string): Promise<string> {
    const entries = await readdir(path, { recursive: true, withFileTypes: true });
    const files = entries.filter((entry) => entry.isFile());
    const texts = await Promise.all(
      files.map((file) => readFile(join(file.parentPath, file.name), 'latin1')),
    );
    return entries.map(({ name }) => name).join() + texts.join();
  }

  it("finds a secret in every encoding (this test's own search)", () => {
    for (const shift of [0, 1, 2, 3, 4]) {
      const written = Buffer.from(`${'y'.repeat(shift)}heart-of-gold-42zz`).toString('base64');
      expect(() => expectNone(written, ['heart-of-gold-42'])).toThrow('not.toContain');
    }
  });

  it('writes credentials nowhere, and tokens only into the files of the store', async () => {
    const written: string[] = [];
    const spies = (['log', 'info', 'warn', 'error', 'debug'] as const).map((method) =>
      jest
        .spyOn(console, method)
        .mockImplementation((...args) => void written.push(args.map(String).join(' '))),
    );
    await mkdir(directory, { recursive: true });
    const client = new FedecksClient({
      url: cloud.url,
      deviceId: 'nerves-242a',
      tokenStore: directory,
      startDelayMs: 0,
      retryMinMs: 1,
      retryMaxMs: 20,
      closeTimeoutMs: 30,
    });
    client.events$.subscribe((event) => written.push(JSON.stringify(event)));
    const fail = (error: unknown): void => {
      written.push(String(error), String((error as Error).stack), JSON.stringify(error));
    };

    const refused = client.login(CREDENTIALS).catch(fail);
    (await cloud.accept()).refuse(403);
    await refused;
    const lost = client.login(CREDENTIALS).catch(fail);
    (await accept(undefined)).reset();
    await lost;
    await client.login({ ...CREDENTIALS, 'fedecks-token': 'x' }).catch(fail);
    await client.login({ ...CREDENTIALS, certificate: 'x'.repeat(1_000) }).catch(fail);
    await client.login({ ...CREDENTIALS, when: NaN }).catch(fail);
    const login = client.login(CREDENTIALS);
    const connection = await accept(undefined);
    sendToken(connection, 'token-of-the-first-hour');
    await login;
    sendToken(connection, 'token-that-is-too-long'.repeat(100));
    await client.send({ secret: 'payload-of-the-device', wrong: () => undefined } as never).catch(fail);
    connection.text('payload-of-the-cloud');
    connection.fin();
    (await cloud.accept()).refuse(403);
    const last = client.login(CREDENTIALS).catch(fail);
    (await cloud.accept()).refuse(401);
    await last;
    written.push(JSON.stringify(client.details));
    await client.stop();
    for (const spy of spies) spy.mockRestore();

    expect(written.join()).toContain('oversized_token');
    const credentials = Object.values(CREDENTIALS);
    expectNone(written.join('\n'), credentials);
    expectNone(written.join('\n'), ['token-of-the-first-hour', 'token-that-is-too-long', 'payload-of-the']);
    expectNone(await filesIn(parent), credentials);
    expect((await load()).token).toBe('token-of-the-first-hour');
  });

  it('writes no secret to the output of a device in its own process', async () => {
    const app = start(CREDENTIALS, undefined, { options: ['--trace-warnings'] });
    const lines: string[] = [];
    const collect = async (until: string): Promise<void> => {
      for (let line = ''; !line.includes(until);) lines.push((line = await app.line()));
    };
    sendToken(await accept(undefined), 'token-of-the-first-hour');
    await collect('logged_in');
    app.endInput();
    await collect('stopped');
    await app.exited(5_000);
    expectNone(lines.join('\n') + app.stderr, [...Object.values(CREDENTIALS), 'token-of-the-first-hour']);
    expectNone(await filesIn(parent), Object.values(CREDENTIALS));
  });
});

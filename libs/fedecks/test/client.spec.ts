import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  ClientStoppedError,
  FedecksClient,
  FileTokenStore,
  LoginFailedError,
  MemoryTokenStore,
  NotConnectedError,
  type FedecksClientOptions,
} from '@fedecks/nest/client';
import { TermEncodeError, type Term } from '@fedecks/nest/wire';
import { ClientLog } from './support/client-log.js';
import { Inbox } from './support/inbox.js';
import { PhoenixPeer, type PeerConnection } from './support/phoenix-peer.js';
import { chars, str, strMap, term, tuple } from './support/term-bytes.js';

/** `#{"username" => "marvin", "password" => "paranoid", "fedecks-device-id" => "nerves-242a"}`, encoded by hand. */
const LOGIN_HEADER =
  'g3QAAAADbQAAAAh1c2VybmFtZW0AAAAGbWFydmlubQAAAAhwYXNzd29yZG0AAAAIcGFyYW5vaWRtAAAAEWZlZGVja3MtZGV2aWNlLWlkbQAAAAtuZXJ2ZXMtMjQyYQ==';
/** `#{"fedecks-device-id" => "nerves-242a", "fedecks-token" => "stored-token"}`. */
const TOKEN_HEADER =
  'g3QAAAACbQAAABFmZWRlY2tzLWRldmljZS1pZG0AAAALbmVydmVzLTI0MmFtAAAADWZlZGVja3MtdG9rZW5tAAAADHN0b3JlZC10b2tlbg==';
const TOKEN_PLEASE = '836b000c746f6b656e5f706c65617365';

const CREDENTIALS = { username: 'marvin', password: 'paranoid' };

let cloud: PhoenixPeer;
let client: FedecksClient;
let log: ClientLog;

function make(options: Partial<FedecksClientOptions> = {}): void {
  client = new FedecksClient({
    url: cloud.url,
    deviceId: 'nerves-242a',
    tokenStore: new MemoryTokenStore(),
    startDelayMs: 0,
    closeTimeoutMs: 30,
    ...options,
  });
  log = new ClientLog(client);
}

function sendToken(device: PeerConnection, token: string): void {
  device.binary(term(tuple(chars('token'), str(token))));
}

/** Accepts the device's next connection, and consumes its token request. */
async function accept(): Promise<PeerConnection> {
  const device = await cloud.accept();
  device.upgrade();
  expect((await device.frame()).payload.toString('hex')).toBe(TOKEN_PLEASE);
  return device;
}

/** Logs a client in, and returns the cloud's side of its connection. */
async function loggedIn(options: Partial<FedecksClientOptions> = {}): Promise<PeerConnection> {
  make(options);
  const login = client.login(CREDENTIALS);
  const device = await accept();
  sendToken(device, 'first-token');
  await login;
  return device;
}

beforeEach(async () => {
  cloud = await PhoenixPeer.listen();
});

afterEach(async () => {
  await client.stop();
  await cloud.close();
});

describe('upgrade request (§1)', () => {
  it('sends a GET with the credentials in the auth header, and no unexpected headers', async () => {
    make();
    const login = client.login(CREDENTIALS);
    const { request } = await cloud.accept();
    expect(request.line).toBe('GET /fedecks/websocket HTTP/1.1');
    expect(request.headers['x-fedecks-auth']).toBe(LOGIN_HEADER);
    expect(Object.keys(request.headers).sort()).toEqual([
      'connection',
      'host',
      'sec-websocket-key',
      'sec-websocket-version',
      'upgrade',
      'x-fedecks-attempt',
      'x-fedecks-auth',
    ]);
    const end = client.stop();
    await expect(login).rejects.toThrow(ClientStoppedError);
    await end;
  });

  it('presents the stored token', async () => {
    make({ tokenStore: new MemoryTokenStore('stored-token') });
    await client.start();
    const { request } = await cloud.accept();
    expect(request.headers['x-fedecks-auth']).toBe(TOKEN_HEADER);
  });

  it('requests / when the URL has no path (§3)', async () => {
    make({ url: `ws://127.0.0.1:${cloud.port}`, tokenStore: new MemoryTokenStore('stored-token') });
    await client.start();
    expect((await cloud.accept()).request.line).toBe('GET / HTTP/1.1');
  });
});

describe('start (§3)', () => {
  it('becomes unregistered without a token', async () => {
    make();
    await client.start();
    expect(await log.rest()).toEqual([{ type: 'unregistered', cause: 'no_token' }]);
    expect(client.details).toMatchObject({
      state: 'unregistered',
      tokenHeld: false,
      deviceId: 'nerves-242a',
    });
  });

  it('emits every state on the way to a connection, with its cause', async () => {
    make({ tokenStore: new MemoryTokenStore('stored-token') });
    await client.start();
    expect(client.details).toMatchObject({
      state: 'connection_scheduled',
      nextAttemptAt: expect.any(Date) as Date,
    });
    await accept();
    await log
      .until('connection_scheduled')
      .then((event) => expect(event).toMatchObject({ delayMs: 0, cause: 'started' }));
    expect(await log.until('connecting')).toEqual({ type: 'connecting', url: cloud.url, with: 'token' });
    await log.until('connected');
    expect(client.status).toBe('connected');
    expect(client.details).toMatchObject({ tokenHeld: true, nextAttemptAt: undefined, lastError: undefined });
  });

  it('does nothing when called again', async () => {
    let loads = 0;
    const tokenStore = new MemoryTokenStore();
    tokenStore.load = () => Promise.resolve(`stored-token-${++loads}`);
    make({ tokenStore });
    await Promise.all([client.start(), client.start()]);
    await accept();
    await client.start();
    await log.until('connected');
    expect({ loads, waiting: cloud.waiting }).toEqual({ loads: 1, waiting: 0 });
  });

  it('goes on without a token when the token store fails, and reports it', async () => {
    const tokenStore = new MemoryTokenStore();
    tokenStore.load = () => Promise.reject(new Error('disk on fire'));
    make({ tokenStore });
    await client.start();
    expect((await log.until('token_load_failed')).reason).toContain('disk on fire');
    expect(client.status).toBe('unregistered');
  });

  it('does not present a stored token that does not fit into the header', async () => {
    make({ tokenStore: new MemoryTokenStore('t'.repeat(2_000)) });
    await client.start();
    expect((await log.until('token_load_failed')).reason).toContain('too long');
    expect(client.status).toBe('unregistered');
  });
});

describe('login (§3)', () => {
  it('requests a token right after the upgrade, and resolves once it is stored', async () => {
    const tokenStore = new MemoryTokenStore();
    make({ tokenStore });
    const login = client.login(CREDENTIALS);
    const device = await cloud.accept();
    device.upgrade();
    const frame = await device.frame();
    expect({ ...frame, payload: frame.payload.toString('hex') }).toEqual({
      opcode: 2,
      masked: true,
      payload: TOKEN_PLEASE,
    });
    expect(await tokenStore.load()).toBeUndefined();
    sendToken(device, 'first-token');
    await login;
    expect(await tokenStore.load()).toBe('first-token');
    expect(client.status).toBe('connected');
    await log.until('token_stored');
  });

  it('stores tokens that the server sends later, unsolicited', async () => {
    const tokenStore = new MemoryTokenStore();
    const device = await loggedIn({ tokenStore });
    await log.until('token_stored');
    sendToken(device, 'second-token');
    await log.until('token_stored');
    expect(await tokenStore.load()).toBe('second-token');
  });

  it('stores the token in a file for the next run', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'fedecks-client-'));
    try {
      await loggedIn({ tokenStore: directory });
      expect(await new FileTokenStore(directory, 'nerves-242a').load(() => undefined)).toBe('first-token');
    } finally {
      await rm(directory, { recursive: true });
    }
  });

  it('rejects with the HTTP status when the credentials are rejected, and does not retry', async () => {
    make();
    const login = client.login(CREDENTIALS);
    (await cloud.accept()).refuse(403);
    await expect(login).rejects.toMatchObject({
      name: 'LoginFailedError',
      code: 'upgrade-failed',
      status: 403,
    });
    expect(await log.until('upgrade_failed')).toEqual({ type: 'upgrade_failed', status: 403 });
    expect(await log.until('unregistered')).toEqual({ type: 'unregistered', cause: 'login_failed' });
    expect(client.status).toBe('unregistered');
    expect(client.details.lastError).toMatch(/^The server refused with HTTP status 403: the cloud rejected/);
  });

  it('rejects when the server is unreachable', async () => {
    await cloud.close();
    make();
    await expect(client.login(CREDENTIALS)).rejects.toMatchObject({ code: 'connection-failed' });
    expect((await log.until('connection_failed')).reason).toContain('ECONNREFUSED');
    cloud = await PhoenixPeer.listen();
  });

  it('rejects when the connection is lost before the token arrives', async () => {
    make();
    const login = client.login(CREDENTIALS);
    const device = await accept();
    device.close(1011);
    device.fin();
    await expect(login).rejects.toMatchObject({
      code: 'connection-lost',
      message: expect.stringContaining('1011') as string,
    });
    expect(client.status).toBe('unregistered');
  });

  it('rejects and closes the connection when no token arrives', async () => {
    make({ phaseTimeoutMs: 200 });
    const login = client.login(CREDENTIALS);
    const device = await accept();
    await expect(login).rejects.toMatchObject({ code: 'no-token' });
    await device.ended();
    expect(await log.until('connection_lost')).toEqual({ type: 'connection_lost', cause: 'no_token' });
  });

  it('supersedes a pending login: rejects it and closes its connection', async () => {
    make();
    const former = client.login({ username: 'ford' });
    const dropped = await cloud.accept();
    const latter = client.login(CREDENTIALS);
    await expect(former).rejects.toMatchObject({ name: 'LoginFailedError', code: 'superseded' });
    await dropped.ended();
    const device = await accept();
    expect(device.request.headers['x-fedecks-auth']).toBe(LOGIN_HEADER);
    sendToken(device, 'token');
    await latter;
  });

  it('keeps the old token stored until the new one arrives', async () => {
    const tokenStore = new MemoryTokenStore('stored-token');
    make({ tokenStore });
    await client.start();
    await accept();
    const login = client.login(CREDENTIALS);
    const device = await accept();
    expect(device.request.headers['x-fedecks-auth']).toBe(LOGIN_HEADER);
    expect(await tokenStore.load()).toBe('stored-token');
    sendToken(device, 'new-token');
    await login;
    expect(await tokenStore.load()).toBe('new-token');
  });

  it('returns to the old token after it has failed', async () => {
    make({ tokenStore: new MemoryTokenStore('stored-token'), retryMinMs: 1, retryMaxMs: 10 });
    await client.start();
    const first = await accept();
    const login = client.login(CREDENTIALS);
    await first.ended();
    (await cloud.accept()).refuse(403);
    await expect(login).rejects.toThrow(LoginFailedError);
    const again = await accept();
    expect(again.request.headers['x-fedecks-auth']).toBe(TOKEN_HEADER);
    await log.until('connection_lost').then((event) => expect(event.cause).toBe('new_login'));
    await log.until('connection_scheduled').then((event) => expect(event.cause).toBe('login_failed'));
  });

  it('resolves with the token in memory when it cannot be stored, and reports that', async () => {
    const tokenStore = new MemoryTokenStore();
    tokenStore.save = () => Promise.reject(new Error('no space left on device'));
    await loggedIn({ tokenStore });
    expect((await log.until('token_store_failed')).reason).toContain('no space left');
    expect(client.details.tokenHeld).toBe(true);
  });

  it('stores the first and the last of tokens that arrive faster than the disk writes', async () => {
    const tokenStore = new MemoryTokenStore();
    const device = await loggedIn({ tokenStore });
    const saved = new Inbox<string>('saved token');
    let free = (): void => undefined;
    const busy = new Promise<void>((resolve) => (free = resolve));
    tokenStore.save = async (token) => {
      saved.put(token);
      await busy;
    };
    tokenStore.remove = async () => saved.put('none');
    const messages = new Inbox<Term>('message');
    client.messages$.subscribe((message) => messages.put(message));
    sendToken(device, 'token-1');
    expect(await saved.next()).toBe('token-1');
    for (let number = 2; number <= 1_000; number++) sendToken(device, `token-${number}`);
    device.binary('8361ff');
    await messages.next();
    free();
    expect(await saved.next()).toBe('token-1000');
    await client.stop();
    expect(saved.size).toBe(0);
  });

  it.each([
    ['a device id', { 'fedecks-device-id': 'other' }, LoginFailedError],
    ['a token', { 'fedecks-token': 'T' }, LoginFailedError],
    ['a value that is not an object', 'marvin', LoginFailedError],
    ['an array', ['marvin'], LoginFailedError],
    ['a value that is not a term', { username: Symbol('marvin') }, TermEncodeError],
    ['more than fits into a header', { certificate: 'x'.repeat(1_000) }, TermEncodeError],
  ])('rejects credentials with %s before anything is sent', async (_what, credentials, error) => {
    make();
    await expect(client.login(credentials as unknown as Record<string, Term>)).rejects.toThrow(error);
    expect(await log.rest()).toEqual([]);
    expect(cloud.waiting).toBe(0);
  });
});

describe('frames from the server (§2)', () => {
  let messages: Inbox<Term>;
  let device: PeerConnection;

  beforeEach(async () => {
    device = await loggedIn();
    messages = new Inbox<Term>('message');
    client.messages$.subscribe((message) => messages.put(message));
  });

  it('emits terms to the application in order', async () => {
    device.binary('8361ff');
    device.binary('836d000000026869');
    device.binary('8368026d000000066e6f746963656101');
    expect([await messages.next(), await messages.next()]).toEqual([255, 'hi']);
    expect([...((await messages.next()) as Term[])]).toEqual(['notice', 1]);
  });

  it('treats only a pair of the charlist and a binary as a token, and does not emit it', async () => {
    sendToken(device, 'second-token');
    device.binary(term(tuple(str('token'), str('not one'))));
    device.binary(term(chars('token')));
    expect([...((await messages.next()) as Term[])]).toEqual(['token', 'not one']);
    expect(await messages.next()).toEqual([116, 111, 107, 101, 110]);
    await log.until('token_stored');
    await log.until('token_stored');
    expect(await log.rest()).toEqual([]);
  });

  it('ignores text frames and invalid terms, and reports them without their content', async () => {
    device.text('hello');
    device.binary('0102');
    device.binary('');
    device.binary('8361ff');
    expect(await messages.next()).toBe(255);
    expect(await log.until('ignored_frame')).toEqual({ type: 'ignored_frame', kind: 'text', bytes: 5 });
    expect(await log.until('ignored_frame')).toEqual({
      type: 'ignored_frame',
      kind: 'undecodable',
      bytes: 2,
    });
    expect(await log.until('ignored_frame')).toEqual({
      type: 'ignored_frame',
      kind: 'undecodable',
      bytes: 0,
    });
    expect(client.status).toBe('connected');
  });

  it('ignores a token that is too long to be presented', async () => {
    sendToken(device, 't'.repeat(1_000));
    expect(await log.until('ignored_frame')).toMatchObject({ kind: 'oversized_token' });
    expect(client.details.tokenHeld).toBe(true);
  });

  it('answers a ping with a pong of the same payload', async () => {
    device.ping('are you there?');
    const pong = await device.frame();
    expect({ opcode: pong.opcode, payload: pong.payload.toString() }).toEqual({
      opcode: 10,
      payload: 'are you there?',
    });
  });
});

describe('send', () => {
  it('sends a term, an event as a pair of name and payload, and raw bytes', async () => {
    const device = await loggedIn();
    await client.send('hello');
    await client.send('temperature', { celsius: 21 });
    await client.send('tick', null);
    await client.sendRaw(Buffer.from('0102ff', 'hex'));
    const payloads = [];
    for (let count = 0; count < 4; count++) {
      const frame = await device.frame();
      expect(frame).toMatchObject({ opcode: 2, masked: true });
      payloads.push(frame.payload.toString('hex'));
    }
    expect(payloads).toEqual([
      term(str('hello')).toString('hex'),
      term(tuple(str('temperature'), strMap({ celsius: Buffer.from([97, 21]) }))).toString('hex'),
      '8368026d000000047469636b77036e696c',
      '0102ff',
    ]);
  });

  it('does not change the bytes it is given', async () => {
    await loggedIn();
    const bytes = Buffer.from('0102ff', 'hex');
    await client.sendRaw(bytes);
    expect(bytes.toString('hex')).toBe('0102ff');
  });

  it('rejects when not connected', async () => {
    make();
    await expect(client.send('hello')).rejects.toMatchObject({
      name: 'NotConnectedError',
      code: 'not-connected',
    });
    const login = client.login(CREDENTIALS);
    await cloud.accept();
    await expect(client.sendRaw(new Uint8Array(1))).rejects.toThrow(NotConnectedError);
    const end = client.stop();
    await expect(login).rejects.toThrow(ClientStoppedError);
    await end;
  });

  it('rejects a value that is not a term, with its path', async () => {
    await loggedIn();
    const message = { readings: [1, NaN] };
    await expect(client.send(message)).rejects.toMatchObject({
      name: 'TermEncodeError',
      path: expect.stringContaining('readings[1]') as string,
    });
  });

  describe('on a stalled link', () => {
    /** More than the kernel buffers while the peer does not read. */
    const TOO_MUCH = Buffer.alloc(64 * 1024 * 1024);

    async function stalled(options: Partial<FedecksClientOptions> = {}): Promise<PeerConnection> {
      const device = await loggedIn({ maxBufferedBytes: 2 ** 30, ...options });
      device.stopReading();
      return device;
    }

    it.each([
      ['the heartbeat times out', () => undefined],
      ['the server resets it', (device: PeerConnection) => device.reset()],
      ['the server closes it', (device: PeerConnection) => device.close(1000)],
      ['the server ends TCP', (device: PeerConnection) => device.fin()],
      ['a login takes its place', () => void client.login(CREDENTIALS).catch(() => undefined)],
      ['the client is stopped', () => void client.stop()],
    ])('rejects the message being written, and all queued ones, when %s', async (_how, end) => {
      const device = await stalled({
        pingIntervalMs: 50,
        pongTimeoutMs: 100,
        minBytesPerSecond: 1_000_000_000,
      });
      const sends = [client.sendRaw(TOO_MUCH), client.send('second'), client.send('third')];
      end(device);
      for (const result of await Promise.allSettled(sends)) {
        expect(result).toMatchObject({ status: 'rejected', reason: { code: 'connection-ended' } });
      }
    });

    it('rejects at once a message beyond maxBufferedBytes', async () => {
      await stalled({ maxBufferedBytes: 1_024 });
      const first = client.sendRaw(TOO_MUCH);
      await expect(client.sendRaw(Buffer.alloc(1_024))).rejects.toMatchObject({
        name: 'SendBufferFullError',
        code: 'send-buffer-full',
        message: expect.stringContaining("'maxBufferedBytes' (1024)") as string,
      });
      expect(client.status).toBe('connected');
      await Promise.all([client.stop(), expect(first).rejects.toThrow(NotConnectedError)]);
    });

    it('resolves when the link accepts the bytes after all', async () => {
      const device = await stalled();
      const sends = Array.from({ length: 12 }, () => client.sendRaw(Buffer.alloc(1024 * 1024)));
      sends.push(client.send('last'));
      device.resumeReading();
      await Promise.all(sends);
      for (let count = 0; count < 12; count++) {
        expect((await device.frame()).payload).toHaveLength(1024 * 1024);
      }
      expect((await device.frame()).payload.toString('hex')).toBe(term(str('last')).toString('hex'));
    });
  });

  it('may be called from a subscriber; its message follows the token request', async () => {
    make({ tokenStore: new MemoryTokenStore('stored-token') });
    client.events$.subscribe((event) => {
      if (event.type === 'connected') void client.send('hello');
    });
    await client.start();
    const device = await accept();
    expect((await device.frame()).payload.toString('hex')).toBe(term(str('hello')).toString('hex'));
  });
});

describe('logout (§3)', () => {
  it('closes with 1000, deletes the token from memory and store, and waits for a login', async () => {
    const tokenStore = new MemoryTokenStore();
    const device = await loggedIn({ tokenStore });
    const leaving = client.logout();
    expect((await device.frame()).payload.toString('hex')).toBe('03e8');
    // A token that is already under way is ignored.
    sendToken(device, 'late-token');
    device.close(1000);
    device.fin();
    await leaving;
    expect(await tokenStore.load()).toBeUndefined();
    expect(client.details).toMatchObject({ state: 'unregistered', tokenHeld: false });
    const again = client.login(CREDENTIALS);
    sendToken(await accept(), 'second-token');
    await again;
  });

  it('cancels a pending login, which then stores no token', async () => {
    make();
    const login = client.login(CREDENTIALS);
    const device = await cloud.accept();
    const leaving = client.logout();
    await expect(login).rejects.toMatchObject({ name: 'LoginFailedError', code: 'superseded' });
    await leaving;
    await device.ended();
    expect(client.status).toBe('unregistered');
  });

  it('rejects when the store cannot delete the token, and forgets it in memory', async () => {
    const tokenStore = new MemoryTokenStore('stored-token');
    tokenStore.remove = () => Promise.reject(new Error('read-only file system'));
    make({ tokenStore, startDelayMs: 60_000 });
    await expect(client.logout()).rejects.toThrow('read-only file system');
    expect(client.details).toMatchObject({ state: 'unregistered', tokenHeld: false });
    await log.until('token_store_failed');
  });
});

describe('stop', () => {
  it('closes with 1000, resolves when TCP is closed, and completes events and messages', async () => {
    const device = await loggedIn();
    let completed = 0;
    client.messages$.subscribe({ complete: () => completed++ });
    client.events$.subscribe({ complete: () => completed++ });
    let gone = false;
    const stopping = client.stop().then(() => {
      gone = true;
    });
    const frame = await device.frame();
    expect({ opcode: frame.opcode, payload: frame.payload.toString('hex') }).toEqual({
      opcode: 8,
      payload: '03e8',
    });
    expect({ gone, status: client.status }).toEqual({ gone: false, status: 'stopped' });
    device.close(1000);
    device.fin();
    await stopping;
    expect(completed).toBe(2);
    await log.until('stopped');
    expect(await log.rest()).toEqual([]);
  });

  it('closes TCP itself when the server does not answer', async () => {
    const device = await loggedIn({ closeTimeoutMs: 50 });
    await client.stop();
    await device.ended();
  });

  it('rejects a pending login, and all later calls', async () => {
    make();
    const login = client.login(CREDENTIALS);
    const device = await cloud.accept();
    const stopping = client.stop();
    await expect(login).rejects.toThrow(ClientStoppedError);
    await stopping;
    await device.ended();
    await expect(client.start()).rejects.toThrow(ClientStoppedError);
    await expect(client.login(CREDENTIALS)).rejects.toThrow(ClientStoppedError);
    await expect(client.send('hello')).rejects.toThrow(ClientStoppedError);
    await expect(client.sendRaw(new Uint8Array(1))).rejects.toThrow(ClientStoppedError);
    await expect(client.logout()).rejects.toThrow(ClientStoppedError);
    await client.stop();
  });

  it('cancels a scheduled connection', async () => {
    make({ tokenStore: new MemoryTokenStore('stored-token'), startDelayMs: 60_000 });
    await client.start();
    await client.stop();
    expect(client.status).toBe('stopped');
  });

  it('stops a client that was never started', async () => {
    make();
    await client.stop();
    expect(await log.rest()).toEqual([{ type: 'stopped' }]);
  });

  it('stops a client that is loading its token, and does not connect', async () => {
    const tokenStore = new MemoryTokenStore();
    let loaded = (_token: string): void => undefined;
    tokenStore.load = () => new Promise((resolve) => (loaded = resolve));
    make({ tokenStore });
    const starting = client.start();
    const stopping = client.stop();
    await stopping;
    loaded('stored-token');
    await expect(starting).rejects.toThrow(ClientStoppedError);
    expect(await log.rest()).toEqual([{ type: 'stopped' }]);
    expect(client.status).toBe('stopped');
  });

  it('leaves no timer and no socket', async () => {
    const held = (): string[] =>
      process
        .getActiveResourcesInfo()
        .filter((resource) => resource === 'Timeout' || resource === 'Immediate')
        .sort();
    const before = held();
    const device = await loggedIn();
    const login = client.login(CREDENTIALS);
    await device.ended();
    const connecting = await cloud.accept();
    expect(held()).not.toEqual(before);
    const stopping = client.stop();
    await expect(login).rejects.toThrow(ClientStoppedError);
    await stopping;
    expect(held()).toEqual(before);
    await connecting.ended();
  });

  it('waits for a token that is being stored', async () => {
    const tokenStore = new MemoryTokenStore();
    const device = await loggedIn({ tokenStore });
    let saved = false;
    const saving = new Promise<void>((begun) => {
      tokenStore.save = async () => {
        begun();
        // Slower than closing a socket.
        await new Promise((resolve) => setTimeout(resolve, 200));
        saved = true;
      };
    });
    sendToken(device, 'second-token');
    await saving;
    const stopping = client.stop();
    await device.frame();
    device.close(1000);
    device.fin();
    await stopping;
    expect(saved).toBe(true);
  });

  it('emits no more messages', async () => {
    const device = await loggedIn();
    const messages: Term[] = [];
    client.messages$.subscribe((message) => messages.push(message));
    const stopping = client.stop();
    await device.frame();
    device.binary('8361ff');
    device.close(1000);
    device.fin();
    await stopping;
    expect(messages).toEqual([]);
  });

  it('may be called from a subscriber: emits the current event to all subscribers, and nothing after it', async () => {
    const device = await loggedIn();
    const types: string[] = [];
    const stopped = new Promise<void>((resolve) => {
      client.events$.subscribe(({ type }) => {
        types.push(type);
        if (type === 'connection_lost') void client.stop().then(resolve);
      });
    });
    device.fin();
    await stopped;
    expect(types).toEqual(['connection_lost', 'connection_scheduled', 'stopped']);
  });

  it('is stopped before it emits the event', async () => {
    await loggedIn();
    const sent = new Promise((resolve) => {
      client.events$.subscribe(({ type }) => {
        if (type === 'stopped') resolve(client.send('hello'));
      });
    });
    const stopping = client.stop();
    await expect(sent).rejects.toThrow(ClientStoppedError);
    await stopping;
  });

  it('waits for the socket of a login that is being opened', async () => {
    await loggedIn();
    const connects = new Promise<string[]>((resolve) => {
      client.events$.subscribe(({ type }) => {
        if (type === 'connection_lost')
          void client.stop().then(() => resolve(process.getActiveResourcesInfo()));
      });
    });
    await expect(client.login(CREDENTIALS)).rejects.toThrow(ClientStoppedError);
    expect(await connects).not.toContain('TCPConnectWrap');
  });

  it('may be called from a subscriber while connecting', async () => {
    make({ tokenStore: new MemoryTokenStore('stored-token') });
    const stopped = new Promise<void>((resolve) => {
      client.events$.subscribe((event) => {
        if (event.type === 'connecting') void client.stop().then(resolve);
      });
    });
    await client.start();
    await stopped;
    expect(client.status).toBe('stopped');
  });
});

describe('on (§2.1)', () => {
  it('calls the handler with the payload of each such event, in every encoding, until it is removed', async () => {
    const device = await loggedIn();
    const payloads: unknown[] = [];
    const end = client.on('fan', (payload) => payloads.push(payload));
    const last = new Promise((resolve) => client.on('last', resolve));
    device.binary(term(tuple(str('fan'), str('on'))));
    device.binary(term(strMap({ event: str('fan'), data: str('off') })));
    device.binary(term(tuple(str('light'), str('on'))));
    device.binary(term(str('fan')));
    device.binary(term(tuple(str('last'), str('x'))));
    expect(await last).toBe('x');
    end();
    const really = new Promise((resolve) => client.on('really', resolve));
    device.binary(term(tuple(str('fan'), str('on'))));
    device.binary(term(tuple(str('really'), str('y'))));
    expect(await really).toBe('y');
    expect(payloads).toEqual(['on', 'off']);
  });

  it.each<[string, () => unknown]>([
    [
      'throws',
      () => {
        throw new RangeError('broken');
      },
    ],
    ['rejects', async () => Promise.reject(new RangeError('broken'))],
  ])('reports a handler that %s as observer_failed, and goes on', async (_what, fail) => {
    const device = await loggedIn();
    let calls = 0;
    client.on('fan', () => {
      calls++;
      return fail();
    });
    for (const expected of [1, 2]) {
      device.binary(term(tuple(str('fan'), str('on'))));
      expect(await log.until('observer_failed')).toMatchObject({ reason: 'RangeError' });
      expect(calls).toBe(expected);
    }
    expect(client.status).toBe('connected');
  });

  it('rejects a handler that is not a function, naming the event', () => {
    make();
    expect(() => client.on('fan', undefined as never)).toThrow(
      "client.on('fan', handler): handler must be a function, not undefined.",
    );
  });
});

it('the entry for Nest exports everything the entry for devices exports', async () => {
  const [nest, plain] = await Promise.all([
    import('@fedecks/nest/client-nest'),
    import('@fedecks/nest/client'),
  ]);
  expect(nest).toMatchObject(plain);
  expect(Object.keys(plain)).toEqual(expect.arrayContaining(['FedecksClient', 'tuple', 'atom']));
});

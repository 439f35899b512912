import { jest } from '@jest/globals';
import { FedecksClient, MemoryTokenStore, type FedecksClientOptions } from '@fedecks/nest/client';
import { Certificates } from './support/certificates.js';
import { ClientLog } from './support/client-log.js';
import { freePort } from './support/free-port.js';
import { PhoenixPeer, type PeerConnection } from './support/phoenix-peer.js';
import { chars, str, strMap, term, tuple } from './support/term-bytes.js';

let cloud: PhoenixPeer;
let client: FedecksClient;
let log: ClientLog;
let tokenStore: MemoryTokenStore;

/** Starts a client with a stored token and short delays. */
async function start(options: Partial<FedecksClientOptions> = {}): Promise<void> {
  tokenStore = new MemoryTokenStore('stored-token');
  client = new FedecksClient({
    url: cloud.url,
    deviceId: 'nerves-242a',
    tokenStore,
    startDelayMs: 0,
    retryMinMs: 1,
    retryMaxMs: 20,
    slowRetryMinMs: 50_000,
    slowRetryMaxMs: 60_000,
    closeTimeoutMs: 30,
    ...options,
  });
  log = new ClientLog(client);
  await client.start();
}

/** Accepts the device's next connection, and consumes its token request. */
async function accept(): Promise<PeerConnection> {
  const device = await cloud.accept();
  device.upgrade();
  await device.frame();
  await log.until('connected');
  return device;
}

function headerWith(token: string): string {
  const fields = { 'fedecks-device-id': str('nerves-242a'), 'fedecks-token': str(token) };
  return term(strMap(fields)).toString('base64');
}

beforeEach(async () => {
  cloud = await PhoenixPeer.listen();
});

afterEach(async () => {
  await client.stop();
  await cloud.close();
});

describe('a lost connection (§3)', () => {
  const closeWith =
    (code?: number) =>
    (device: PeerConnection): void => {
      device.close(code);
      device.fin();
    };

  it.each([
    ['1000', closeWith(1000), { cause: 'closed', code: 1000 }],
    ['1002, as Bandit does', closeWith(1002), { cause: 'closed', code: 1002 }],
    ['1011', closeWith(1011), { cause: 'closed', code: 1011 }],
    ['4000', closeWith(4000), { cause: 'closed', code: 4000 }],
    ['no code', closeWith(), { cause: 'closed', code: 1005 }],
    ['4001, TCP left open', (device: PeerConnection) => device.close(4001), { cause: 'closed', code: 4001 }],
    ['a FIN alone', (device: PeerConnection) => device.fin(), { cause: 'ended' }],
    ['a RST', (device: PeerConnection) => device.reset(), { cause: 'ended' }],
  ])('is detected, and replaced with the newest token: %s', async (_how, end, loss) => {
    await start();
    const device = await accept();
    device.binary(term(tuple(chars('token'), str('second-token'))));
    await log.until('token_stored');
    end(device);
    expect(await log.until('connection_lost')).toEqual({ type: 'connection_lost', ...loss });
    expect(await log.until('connection_scheduled')).toMatchObject({ cause: 'connection_lost' });
    const again = await accept();
    expect(again.request.headers['x-fedecks-auth']).toBe(headerWith('second-token'));
  });

  it('is also reported as connection_error when the server violates the protocol', async () => {
    await start();
    const device = await accept();
    // A reserved bit without a negotiated extension (RFC 6455 §5.2).
    device.write(Buffer.from('c20101', 'hex'));
    expect((await log.until('connection_error')).reason).toContain('RSV1');
    const close = await device.frame();
    expect({ opcode: close.opcode, payload: close.payload.toString('hex') }).toEqual({
      opcode: 8,
      payload: '03ea',
    });
    device.fin();
    await log.until('connection_lost');
    await accept();
  });

  it('is caused with 1009 by the header of a frame over maxFrameBytes', async () => {
    await start({ maxFrameBytes: 1_024 });
    const device = await accept();
    device.write(Buffer.from('827e0401', 'hex'));
    const close = await device.frame();
    expect({ opcode: close.opcode, payload: close.payload.toString('hex') }).toEqual({
      opcode: 8,
      payload: '03f1',
    });
    device.fin();
    await log.until('connection_lost');
  });

  it.each([4100, 4149])('with close code %i deletes the token, and waits for a login (§5)', async (code) => {
    await start();
    const device = await accept();
    device.close(code);
    device.fin();
    expect(await log.until('connection_lost')).toMatchObject({ code });
    expect(await log.until('unregistered')).toEqual({ type: 'unregistered', cause: 'token_expired' });
    expect(client.details.tokenHeld).toBe(false);
    await client.stop();
    expect(await tokenStore.load()).toBeUndefined();
  });

  it.each([4150, 4151, 4199])('with close code %i reconnects slowly (§5)', async (code) => {
    await start();
    const device = await accept();
    device.close(code);
    device.fin();
    const { delayMs } = await log.until('connection_scheduled');
    expect(delayMs).toBeGreaterThanOrEqual(50_000);
    expect(client.details.tokenHeld).toBe(true);
  });

  it('with close code 4152 reconnects soon, and slowly after the third time in a row (§5)', async () => {
    await start();
    for (const least of [0, 0, 50_000]) {
      const device = await accept();
      device.close(4152);
      device.fin();
      const { delayMs } = await log.until('connection_scheduled');
      expect(delayMs).toBeGreaterThanOrEqual(least);
      expect(delayMs).toBeLessThanOrEqual(least === 0 ? 20 : 60_000);
    }
  });
});

describe('backoff (§3)', () => {
  beforeEach(() => {
    jest.spyOn(Math, 'random').mockReturnValue(1);
  });

  afterEach(() => {
    jest.restoreAllMocks();
  });

  it('keeps growing while a server accepts and closes', async () => {
    await start({ retryMinMs: 2, retryMaxMs: 40 });
    for (const delayMs of [0, 2, 4, 8, 16, 32, 40]) {
      expect(await log.until('connection_scheduled')).toMatchObject({ delayMs });
      (await accept()).fin();
    }
  });

  it('restarts after a stable connection', async () => {
    await start({ retryMinMs: 2, stableAfterMs: 20 });
    for (let refusals = 0; refusals < 3; refusals++) (await cloud.accept()).refuse(500);
    const device = await accept();
    // No event shows that the connection is stable, so wait for a pong after that time.
    for (const since = performance.now(); performance.now() - since < 40;) {
      device.ping('');
      await device.frame();
    }
    device.fin();
    await log.until('connection_lost');
    expect((await log.until('connection_scheduled')).delayMs).toBe(2);
  });

  it('retries without limit while the server is unreachable', async () => {
    await start({ url: `ws://127.0.0.1:${await freePort()}/` });
    for (let attempt = 0; attempt < 5; attempt++) {
      expect((await log.until('connection_failed')).reason).toContain('ECONNREFUSED');
    }
    expect(client.details.lastError).toContain(
      'The server could not be reached: nothing listens at its address and port: connect ECONNREFUSED',
    );
  });
});

describe('a rejected upgrade (§1, §3)', () => {
  it.each([401, 403])(
    'with a token, status %i and no body is retried after 30 to 60 s, then after twice as long',
    async (status) => {
      await start({ refusedRetryMs: 60, slowRetryMinMs: 1, slowRetryMaxMs: 120 });
      for (const maxMs of [60, 120, 120]) {
        const device = await cloud.accept();
        device.refuse(status, 'connection: keep-alive\r\n');
        expect(await log.until('upgrade_failed')).toEqual({ type: 'upgrade_failed', status });
        const { delayMs, cause } = await log.until('connection_scheduled');
        expect(cause).toBe('upgrade_failed');
        expect(delayMs).toBeGreaterThanOrEqual(maxMs / 2);
        expect(delayMs).toBeLessThanOrEqual(maxMs);
        await device.ended();
      }
      expect(await tokenStore.load()).toBe('stored-token');
      (await accept()).fin();
      (await cloud.accept()).refuse(status);
      await log.until('upgrade_failed');
      expect((await log.until('connection_scheduled')).delayMs).toBeLessThanOrEqual(60);
    },
  );

  it.each([
    ['content-length: 13\r\n\r\n<html></html>'],
    ['transfer-encoding: chunked\r\n\r\nd\r\n<html></html>\r\n0\r\n\r\n'],
    ['connection: close\r\n\r\n<html></html>'],
  ])('with status 403 and a body is of an intermediary, and retried soon: %j', async (rest) => {
    await start();
    (await cloud.accept()).write(`HTTP/1.1 403 Forbidden\r\n${rest}`);
    expect(await log.until('upgrade_failed')).toEqual({ type: 'upgrade_failed', status: 403, hasBody: true });
    expect((await log.until('connection_scheduled')).delayMs).toBeLessThanOrEqual(20);
  });

  it('with status 403 and an empty chunked body is of a cloud', async () => {
    await start({ refusedRetryMs: 30_000 });
    (await cloud.accept()).write('HTTP/1.1 403 Forbidden\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n');
    expect(await log.until('upgrade_failed')).toEqual({ type: 'upgrade_failed', status: 403 });
    expect((await log.until('connection_scheduled')).delayMs).toBeGreaterThanOrEqual(15_000);
  });

  it('with status 403 whose body never arrives ends the attempt in time', async () => {
    await start({ phaseTimeoutMs: 150 });
    (await cloud.accept()).write('HTTP/1.1 403 Forbidden\r\ncontent-length: 13\r\n\r\n');
    await log.until('upgrade_failed');
    await accept();
  });

  it('is followed at once by a login, without waiting', async () => {
    await start();
    (await cloud.accept()).refuse(403);
    await log.until('upgrade_failed');
    const login = client.login({ username: 'marvin' });
    const device = await accept();
    device.binary(term(tuple(chars('token'), str('new-token'))));
    await login;
    expect(cloud.waiting).toBe(0);
  });

  it.each([301, 426, 500, 503])('with status %i is retried soon', async (status) => {
    await start();
    (await cloud.accept()).refuse(status, 'location: /elsewhere\r\n');
    expect(await log.until('upgrade_failed')).toEqual({ type: 'upgrade_failed', status });
    const device = await accept();
    expect(device.request.line).toBe('GET /fedecks/websocket HTTP/1.1');
  });

  it('closes the socket without reading the rest of its body', async () => {
    await start();
    const device = await cloud.accept();
    device.write('HTTP/1.1 502 Bad Gateway\r\ncontent-length: 1000000\r\n\r\n<html>');
    expect(await log.until('upgrade_failed')).toMatchObject({ status: 502 });
    await device.ended();
  });

  it.each([
    ['7', 7_000, 7_020],
    ['99999999999', 86_400_000, 86_400_020],
    ['Wed, 21 Oct 2037 07:28:00 GMT', 0, 20],
    ['Wed, 21 Oct 2037 07:28:00 GMT\r\ndate: Wed, 21 Oct 2037 07:27:48 GMT', 12_000, 12_020],
    ['Wed, 21 Oct 2037 07:28:00 GMT\r\ndate: Thu, 22 Oct 2037 07:28:00 GMT', 0, 20],
    ['-5', 0, 20],
    ['soon', 0, 20],
  ])('with "Retry-After: %s" is retried after %i to %i ms', async (value, least, most) => {
    await start();
    (await cloud.accept()).refuse(503, `retry-after: ${value}\r\n`);
    await log.until('upgrade_failed');
    const { delayMs } = await log.until('connection_scheduled');
    expect(delayMs).toBeGreaterThanOrEqual(least);
    expect(delayMs).toBeLessThanOrEqual(most);
  });

  it('with Retry-After waits for its own delay after that time, so that devices that are told the same come back apart', async () => {
    // After a refused token its own delay is from 30 to 60 s.
    await start({ refusedRetryMs: 60_000, slowRetryMaxMs: 60_000 });
    (await cloud.accept()).refuse(403, 'retry-after: 60\r\n');
    await log.until('upgrade_failed');
    const { delayMs } = await log.until('connection_scheduled');
    expect(delayMs).toBeGreaterThanOrEqual(90_000);
    expect(delayMs).toBeLessThanOrEqual(120_000);
  });

  it('because of a wrong sec-websocket-accept is told with its reason', async () => {
    await start();
    (await cloud.accept()).upgrade('AAAAAAAAAAAAAAAAAAAAAAAAAAA=');
    expect((await log.until('upgrade_failed')).reason).toContain('Sec-WebSocket-Accept');
    await accept();
  });

  it('by an answer that is not HTTP is reported with the reason', async () => {
    await start();
    (await cloud.accept()).write('SSH-2.0-OpenSSH_9.6\r\n\r\n');
    expect((await log.until('upgrade_failed')).reason).toContain('Parse Error');
    await accept();
  });

  it('by a closed connection is reported with the reason', async () => {
    await start();
    (await cloud.accept()).fin();
    expect((await log.until('upgrade_failed')).reason).toContain('hang up');
    await accept();
  });

  it('by a missing answer ends the attempt, even when bytes trickle in', async () => {
    await start({ phaseTimeoutMs: 150 });
    const device = await cloud.accept();
    device.write('HTTP/1.1 101 Switching Protocols\r\n');
    const drip = setInterval(() => device.write('x: y\r\n'), 20);
    try {
      expect((await log.until('upgrade_failed')).reason).toMatch(
        /^no answer to the upgrade within 150 ms \(TCP took \d+ ms\)$/,
      );
    } finally {
      clearInterval(drip);
    }
    await accept();
  });
});

describe('messages that the server may not have read', () => {
  it('are counted when the connection ends: those after the last confirmed ping', async () => {
    await start({ pingIntervalMs: 100, pongTimeoutMs: 10_000 });
    const device = await accept();
    await client.send('read');
    // A ping may come before the message: only the pong for a later one confirms it.
    for (let [hasRead, isConfirmed] = [false, false]; !isConfirmed;) {
      const { opcode, payload } = await device.frame();
      if (opcode === 9) device.pong(payload);
      isConfirmed = hasRead && opcode === 9;
      hasRead ||= opcode === 2;
    }
    device.binary('8361ff');
    await new Promise((resolve) => client.messages$.subscribe(resolve));
    device.stopReading();
    for (let count = 0; count < 3; count++) await client.send(count);
    device.close(4003);
    device.fin();
    expect(await log.until('connection_lost')).toEqual({
      type: 'connection_lost',
      cause: 'closed',
      code: 4003,
      unconfirmed: 3,
    });
    expect(client.details.lastError).toBe(
      'Connection lost: this device has sent too many messages at once (close code 4003); up to 3 messages may not have arrived',
    );
  });
});

describe('the attempt header (§1.7)', () => {
  it('contains a random process id and a counter, for logins too', async () => {
    await start();
    const name = ({ request }: PeerConnection): string => request.headers['x-fedecks-attempt'] ?? '';
    const first = await cloud.accept();
    const [process] = /^[\w-]{22}(?=\/1$)/.exec(name(first)) ?? [];
    expect(process).toBeDefined();
    first.refuse(500);
    const second = await accept();
    expect(name(second)).toBe(`${process}/2`);
    const login = expect(client.login({ username: 'marvin' })).rejects.toThrow('stopped');
    expect(name(await cloud.accept())).toBe(`${process}/3`);
    await client.stop();
    await login;
    await start();
    const [other = ''] = name(await cloud.accept()).split('/');
    expect(other).toHaveLength(22);
    expect(other).not.toBe(process);
  });
});

describe('an aborted attempt (§3.2)', () => {
  const certificates = new Certificates();
  const { key, cert } = certificates.make({ name: 'localhost', alt: 'IP:127.0.0.1' });
  certificates.remove();
  let secured: PhoenixPeer;

  beforeEach(async () => {
    secured = await PhoenixPeer.listen({ tls: { key, cert } });
  });

  afterEach(() => secured.close());

  it.each(['ws', 'wss'])(
    'is reset, so that its request does not arrive after the next one (%s)',
    async (scheme) => {
      const peer = scheme === 'ws' ? cloud : secured;
      await start({ url: peer.url, phaseTimeoutMs: 300, ...(scheme === 'wss' && { tls: { ca: cert } }) });
      const device = await peer.accept();
      expect(await device.ended()).toBe('rst');
      await log.until('upgrade_failed');
    },
  );

  it('is reset when a login replaces it', async () => {
    await start();
    const device = await cloud.accept();
    const login = expect(client.login({ username: 'marvin' })).rejects.toThrow('stopped');
    expect(await device.ended()).toBe('rst');
    await client.stop();
    await login;
  });
});

describe('heartbeat (§3)', () => {
  it('sends pings with the device id', async () => {
    await start({ pingIntervalMs: 20 });
    const ping = await (await accept()).frame();
    expect({ ...ping, payload: ping.payload.toString() }).toEqual({
      opcode: 9,
      masked: true,
      payload: 'nerves-242a',
    });
  });

  it('drops a silent connection within interval and timeout, and reconnects', async () => {
    await start({ pingIntervalMs: 50, pongTimeoutMs: 100 });
    const device = await accept();
    const connectedAt = performance.now();
    expect(await log.until('connection_lost')).toEqual({
      type: 'connection_lost',
      cause: 'heartbeat_missed',
    });
    expect(performance.now() - connectedAt).toBeGreaterThan(100);
    await device.ended();
    await accept();
  });

  it.each([
    ['a pong', (device: PeerConnection, payload: Buffer) => device.pong(payload)],
    ['a ping', (device: PeerConnection) => device.ping('')],
    ['a message', (device: PeerConnection) => device.binary('8361ff')],
    ['a text frame', (device: PeerConnection) => device.text('still here')],
  ])('accepts any frame as an answer: %s after every ping', async (_frame, answer) => {
    await start({ pingIntervalMs: 30, pongTimeoutMs: 60 });
    const device = await accept();
    for (let pings = 0; pings < 6;) {
      const frame = await device.frame();
      if (frame.opcode !== 9) continue;
      answer(device, frame.payload);
      pings++;
    }
    expect(client.status).toBe('connected');
  });
});

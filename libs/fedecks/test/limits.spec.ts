import { jest } from '@jest/globals';
import { Injectable, type LoggerService } from '@nestjs/common';
import {
  type DeviceAuthenticator,
  DeviceId,
  type DisconnectCause,
  type FedecksOptions,
  FedecksModule,
  OnDisconnected,
  OnMessage,
  OnSocketError,
  Payload,
  type SocketError,
} from '@fedecks/nest';
import { request } from './support/cloud.js';
import { Inbox } from './support/inbox.js';
import { frame, OPCODE, type RawPeer, type Response } from './support/raw-peer.js';
import { closeCode, SECRET, Site } from './support/site.js';
import { str, term, tuple } from './support/term-bytes.js';

const MIB = 1024 * 1024;

/** Accepts everybody, once the test releases it. */
@Injectable()
class Login implements DeviceAuthenticator {
  readonly asked: string[] = [];
  until: Promise<void> | undefined;

  async authenticate(_: unknown, { id }: { id: string }): Promise<boolean> {
    this.asked.push(id);
    await this.until;
    return true;
  }
}

@Injectable()
class Listener {
  readonly disconnected = new Inbox<{ id: string; cause: DisconnectCause }>('end of a connection');
  readonly errors = new Inbox<SocketError>('socket error');
  readonly hung = new Inbox<() => void>('handler that hangs');
  handled = 0;

  @OnMessage('hang')
  async hang() {
    await new Promise<void>((resolve) => this.hung.put(resolve));
    return 'at last';
  }

  @OnMessage('large')
  large() {
    return new Uint8Array(64 * 1024);
  }

  @OnMessage()
  any() {
    this.handled++;
    return 'heard';
  }

  @OnDisconnected()
  gone(@DeviceId() id: string, @Payload() cause: DisconnectCause) {
    this.disconnected.put({ id, cause });
  }

  @OnSocketError()
  error(@Payload() error: SocketError) {
    this.errors.put(error);
  }
}

let site: Site;
let login: Login;
let listener: Listener;
afterEach(async () => {
  jest.restoreAllMocks();
  await site.close();
});

async function start(
  given: Partial<FedecksOptions> = {},
  logger: LoggerService | false = false,
): Promise<void> {
  site = await Site.start(
    {
      imports: [FedecksModule.forRoot({ secrets: [SECRET], authenticator: Login, drainMs: 0, ...given })],
      providers: [Login, Listener],
    },
    { logger },
  );
  login = site.app.get(Login);
  listener = site.app.get(Listener);
}

const event = (name: string): Buffer => term(tuple(str(name), str('')));

async function expectAlive(peer: RawPeer): Promise<void> {
  peer.sendBinary(term(str('hello')));
  expect((await peer.expectFrame()).payload).toEqual(term(str('heard')));
}

/** Sends until the server stops reading, or more was sent than it may buffer. */
async function sendUntilStuck(peer: RawPeer, bytes: Uint8Array, limitBytes = 64 * MIB): Promise<number> {
  let sent = 0;
  let stuckSince: number | undefined;
  while (sent < limitBytes) {
    if (peer.unsentBytes === 0) {
      stuckSince = undefined;
      peer.write(bytes);
      sent += bytes.length;
    } else {
      stuckSince ??= performance.now();
      // The server is on the same machine, so a longer wait means that it has stopped reading.
      if (performance.now() - stuckSince > 300) return sent;
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
  return sent;
}

/** Checks for 503, no body, a single read, and Retry-After. */
function expectNotNow(response: Response): number {
  expect(response.statusLine).toBe('HTTP/1.1 503 Service Unavailable');
  expect(response.headers.get('content-length')).toBe('0');
  expect(response.alone).toBe(true);
  const retryAfter = Number(response.headers.get('retry-after'));
  expect(retryAfter).toBeGreaterThanOrEqual(1);
  return retryAfter;
}

describe('maxFrameBytes', () => {
  it('closes with 1009 as soon as the header claims more, before the payload arrives', async () => {
    await start({ maxFrameBytes: 10_000 });
    const device = await site.open();
    device.write(frame(OPCODE.binary, '', { claimedBytes: 10_001 }));
    expect(closeCode(await device.expectFrame())).toBe(1009);
    await device.ended();
    expect((await listener.disconnected.next()).cause).toEqual({ type: 'message_too_big', code: 1009 });
    expect(await listener.errors.next()).toMatchObject({ type: 'protocol_error' });
  });
});

describe('upgradesPerSecond', () => {
  it('rejects further upgrades with 503 and Retry-After, before it parses the auth header', async () => {
    await start({ upgradesPerSecond: 5 });
    const answers = await Promise.all(
      Array.from(
        { length: 25 },
        async (_, index) => (await site.ask({ deviceId: `device-${index}` })).response,
      ),
    );
    const refused = answers.filter(({ statusLine }) => !statusLine.includes('101'));
    // A second may end in between, which allows five more.
    expect(refused.length).toBeGreaterThanOrEqual(15);
    for (const response of refused) expectNotNow(response);
    expect(login.asked).toHaveLength(25 - refused.length);

    const malformed = await Promise.all(
      Array.from({ length: 25 }, async () => (await site.ask({ auth: 'no header at all' })).response),
    );
    const looked = malformed.filter(({ statusLine }) => statusLine.includes('403')).length;
    expect(looked).toBeLessThanOrEqual(10);
    expect(listener.errors.size).toBe(looked);
  });
});

describe('upgradesPerAddressPerMinute', () => {
  it('rejects an address with 503 for the rest of the minute, whether its upgrades are valid or not', async () => {
    await start({ upgradesPerAddressPerMinute: 3 });
    expect(await site.statusOf({ auth: 'no header at all' })).toBe('403 Forbidden');
    const device = await site.open();
    expect(await site.statusOf({ deviceId: 'b' })).toContain('101');
    for (let again = 0; again < 3; again++) {
      const { response } = await site.ask({ deviceId: 'c' });
      expect(expectNotNow(response)).toBeGreaterThan(30);
    }
    expect(login.asked).toEqual(['nerves-242a', 'b']);
    await expectAlive(device);
  });

  it('counts by the address that a trusted proxy forwards', async () => {
    await start({ upgradesPerAddressPerMinute: 1, trustedProxies: ['loopback'] });
    const from = async (address: string): Promise<string> =>
      site.statusOf({ deviceId: address, headers: { 'x-forwarded-for': address } });
    expect(await from('192.0.2.1')).toContain('101');
    expect(await from('192.0.2.1')).toContain('503');
    expect(await from('192.0.2.2')).toContain('101');
  });

  it('counts requests without an upgrade', async () => {
    await start({ upgradesPerAddressPerMinute: 1 });
    const url = `http://127.0.0.1:${site.port}/fedecks/websocket`;
    expect((await fetch(url)).status).toBe(403);
    const refused = await fetch(url);
    expect([refused.status, await refused.text()]).toEqual([503, '']);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
  });
});

describe('upgradeTimeoutMs', () => {
  it('rejects with 503 when the authenticator does not answer, and ignores its late answer', async () => {
    await start({ upgradeTimeoutMs: 50 });
    let answer = (): void => undefined;
    login.until = new Promise((resolve) => (answer = resolve));
    const { peer, response } = await site.ask();
    expectNotNow(response);
    expect(await listener.errors.next()).toMatchObject({
      deviceId: 'nerves-242a',
      type: 'upgrade_failed',
      info: 'authenticator and guards took longer than upgradeTimeoutMs',
    });
    answer();
    login.until = undefined;
    await peer.ended();
    expect(Buffer.concat(peer.reads)).toEqual(response.firstRead);
    await expectAlive(await site.open({ deviceId: 'other' }));
    expect(site.fedecks.devices().map(({ id }) => id)).toEqual(['other']);
    expect(listener.errors.size).toBe(0);
  });
});

describe('messagesPerSecond', () => {
  it.each<[string, Buffer]>([
    ['messages', frame(OPCODE.binary, term(str('hello')))],
    ['text frames', frame(OPCODE.text, 'hello')],
    ['pings', frame(OPCODE.ping, 'nerves-242a')],
  ])('closes a device with 4003 that sends more %s', async (_, bytes) => {
    // The second does not end while they are sent.
    jest.spyOn(performance, 'now').mockReturnValue(performance.now());
    await start({ messagesPerSecond: 20 });
    const [device, other] = [await site.open(), await site.open({ deviceId: 'other' })];
    device.write(Buffer.concat(new Array<Buffer>(100).fill(bytes)));
    let next = await device.expectFrame();
    while (next.opcode !== OPCODE.close) next = await device.expectFrame();
    expect(closeCode(next)).toBe(4003);
    expect((await listener.disconnected.next()).cause).toEqual({ type: 'rate_limited', code: 4003 });
    expect(listener.handled).toBeLessThanOrEqual(20);
    await expectAlive(other);
  });

  it('is unlimited with 0', async () => {
    await start({ messagesPerSecond: 0 });
    const device = await site.open();
    device.write(Buffer.concat(new Array<Buffer>(5_000).fill(frame(OPCODE.binary, term(str('hello'))))));
    for (let count = 0; count < 5_000; count++) await device.expectFrame();
    expect(listener.handled).toBe(5_000);
  });
});

describe('maxBufferedBytes', () => {
  it('closes with 4001 a device that does not read its pushes; memory stays bounded', async () => {
    await start({ maxBufferedBytes: MIB });
    const device = await site.open();
    device.pause();
    let pushed = 0;
    const message = new Uint8Array(64 * 1024);
    while ((await site.fedecks.push('nerves-242a', message)) === 'sent') {
      pushed += message.length;
      // The kernel buffers some megabytes beyond the limit.
      if (pushed > 64 * MIB) throw new Error('nothing bounds what is pushed');
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect((await listener.disconnected.next()).cause).toEqual({ type: 'slow_consumer', code: 4001 });
    expect(site.fedecks.devices()).toEqual([]);

    // If it reads in time, it gets the close code.
    device.resume();
    let next = await device.expectFrame();
    while (next.opcode !== OPCODE.close) next = await device.expectFrame();
    expect(closeCode(next)).toBe(4001);
    await device.ended();
  });

  it.each<[string, Buffer]>([
    ['replies', frame(OPCODE.binary, event('large'))],
    ['pongs', frame(OPCODE.ping, 'x'.repeat(125))],
  ])('bounds unread %s', async (_, bytes) => {
    await start({ maxBufferedBytes: 64 * 1024, messagesPerSecond: 0 });
    const device = await site.open();
    device.pause();
    const chunk = Buffer.concat(new Array<Buffer>(100).fill(bytes));
    for (let sent = 0; listener.disconnected.size === 0 && sent < 64 * MIB; sent += chunk.length) {
      device.write(chunk);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect((await listener.disconnected.next()).cause).toEqual({ type: 'slow_consumer', code: 4001 });
  });
});

describe('mailboxLimit', () => {
  it('stops reading a device whose handler hangs: memory stays bounded, and all messages are handled later', async () => {
    await start({ mailboxLimit: 8, messagesPerSecond: 0, idleTimeoutMs: 500 });
    const device = await site.open();
    device.sendBinary(event('hang'));
    const finish = await listener.hung.next();
    const before = process.memoryUsage().rss;
    const message = frame(OPCODE.binary, term(str('x'.repeat(16 * 1024))));
    const sent = await sendUntilStuck(device, message);
    expect(sent).toBeLessThan(64 * MIB);
    expect(process.memoryUsage().rss - before).toBeLessThan(64 * MIB);
    // Others are served meanwhile, and the idle timeout does not run while the device is not read.
    await expectAlive(await site.open({ deviceId: 'other' }));
    expect(await listener.disconnected.next()).toMatchObject({
      id: 'other',
      cause: { type: 'idle_timeout' },
    });
    expect(site.fedecks.devices().map(({ id }) => id)).toContain('nerves-242a');
    expect(listener.handled).toBe(1);

    finish();
    expect((await device.expectFrame()).payload).toEqual(term(str('at last')));
    const messages = sent / message.length;
    for (let count = 0; count < messages; count++) await device.expectFrame();
    expect(listener.handled).toBe(messages + 1);
  });

  it('closes a device that fell silent while it was not read, after it is read again', async () => {
    await start({ mailboxLimit: 2, idleTimeoutMs: 400 });
    const device = await site.open();
    device.write(Buffer.concat(new Array<Buffer>(10).fill(frame(OPCODE.binary, event('hang')))));
    for (let count = 0; count < 10; count++) {
      const finish = await listener.hung.next();
      finish();
      expect((await device.expectFrame()).payload).toEqual(term(str('at last')));
    }
    expect(closeCode(await device.expectFrame())).toBe(1000);
    expect((await listener.disconnected.next()).cause.type).toBe('idle_timeout');
  });
});

describe('Many rejected upgrades', () => {
  it('are all reported to the application, and logged in a limited number of lines without client data', async () => {
    const lines: string[] = [];
    const write = (line: unknown): void => void lines.push(String(line));
    await start({}, { log: () => undefined, error: write, warn: write });
    const peers = await Promise.all(Array.from({ length: 200 }, () => site.connect()));
    for (const peer of peers) peer.write(request({ auth: Buffer.from('hunter2').toString('base64') }));
    for (const peer of peers) {
      expect((await peer.response()).statusLine).toContain('403');
      peer.destroy();
    }
    expect(listener.errors.size).toBe(200);
    expect(lines.length).toBeGreaterThan(0);
    expect(lines.length).toBeLessThanOrEqual(42);
    expect(lines.join('\n')).not.toMatch(/hunter2|aHVudGVyMg/);
  });
});

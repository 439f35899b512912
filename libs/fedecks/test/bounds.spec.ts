/**
 * What one device may use of the process: frames, bytes and time of the event loop, and that
 * nothing of it is left after it has disconnected.
 */
import { Injectable } from '@nestjs/common';
import {
  type ConnectedDevice,
  Device,
  type DisconnectCause,
  type FedecksOptions,
  FedecksModule,
  OnConnected,
  OnDisconnected,
  OnMessage,
  OnRawMessage,
  OnSocketError,
  Payload,
  type SocketError,
} from '@fedecks/nest';
import { eventually } from './support/eventually.js';
import { Inbox } from './support/inbox.js';
import { frame, OPCODE, type RawPeer } from './support/raw-peer.js';
import { closeCode, SECRET, Site } from './support/site.js';
import { int, list, str, term, tuple } from './support/term-bytes.js';

@Injectable()
class Listener {
  readonly disconnected = new Inbox<DisconnectCause>('end of a connection');
  readonly errors = new Inbox<SocketError>('socket error');
  readonly hung = new Inbox<() => void>('handler that hangs');
  readonly handledFor: string[] = [];
  readonly kept: Uint8Array[] = [];
  greeting: string | undefined;

  @OnConnected()
  hello() {
    return this.greeting;
  }

  @OnMessage('hang')
  async hang() {
    await new Promise<void>((resolve) => this.hung.put(resolve));
  }

  /** Does all of its work after the first await. */
  @OnMessage('later')
  async later(@Device() { id }: ConnectedDevice) {
    await Promise.resolve();
    for (const end = performance.now() + 0.2; performance.now() < end;);
    this.handledFor.push(id);
  }

  @OnMessage()
  any(_: unknown, @Device() { id }: ConnectedDevice) {
    this.handledFor.push(id);
    return 'heard';
  }

  @OnRawMessage()
  raw(@Payload() bytes: Uint8Array) {
    this.kept.push(bytes);
  }

  @OnDisconnected()
  gone(@Payload() cause: DisconnectCause) {
    this.disconnected.put(cause);
  }

  @OnSocketError()
  error(@Payload() error: SocketError) {
    this.errors.put(error);
  }
}

let site: Site;
let listener: Listener;
afterEach(() => site.close());

async function start(given: Partial<FedecksOptions> = {}): Promise<void> {
  const authenticator = { authenticate: () => true };
  site = await Site.start({
    imports: [FedecksModule.forRoot({ secrets: [SECRET], authenticator, drainMs: 0, ...given })],
    providers: [Listener],
  });
  listener = site.app.get(Listener);
}

const binary = (payload: Uint8Array): Buffer => frame(OPCODE.binary, payload);
const part = (payload: string | Uint8Array = ''): Buffer =>
  frame(OPCODE.continuation, payload, { fin: false });
const begin = (payload: string | Uint8Array = ''): Buffer => frame(OPCODE.binary, payload, { fin: false });
const hang = binary(term(tuple(str('hang'), str(''))));
const later = binary(term(tuple(str('later'), str(''))));
const small = binary(term(str('hello')));
/** A term of 40,000 elements, which is slow to decode. */
const heavy = binary(term(list(...new Array<Buffer>(40_000).fill(int(1)))));

function times(count: number, bytes: Buffer): Buffer {
  return Buffer.concat(new Array<Buffer>(count).fill(bytes));
}

/** The code of the first close frame; other frames are skipped. */
async function closeCodeOf(peer: RawPeer): Promise<number> {
  let next = await peer.expectFrame();
  while (next.opcode !== OPCODE.close) next = await peer.expectFrame();
  return closeCode(next);
}

async function expectAlive(peer: RawPeer): Promise<void> {
  peer.write(small);
  expect((await peer.expectFrame()).payload).toEqual(term(str('heard')));
}

describe('One device among others', () => {
  it('serves a small message of one device before the many large ones of another', async () => {
    await start();
    const [greedy, modest] = [
      await site.open({ deviceId: 'greedy' }),
      await site.open({ deviceId: 'modest' }),
    ];
    greedy.write(times(50, heavy));
    await eventually(
      () => listener.handledFor.length,
      (count) => count > 0,
    );
    await expectAlive(modest);
    expect(listener.handledFor.filter((id) => id === 'greedy').length).toBeLessThan(50);
    for (let count = 0; count < 50; count++) await greedy.expectFrame();
  });

  it('serves a device before the asynchronous handlers of another have finished', async () => {
    await start({ messagesPerSecond: 0 });
    const [greedy, modest] = [
      await site.open({ deviceId: 'greedy' }),
      await site.open({ deviceId: 'modest' }),
    ];
    greedy.write(times(2_000, later));
    await eventually(
      () => listener.handledFor.length,
      (count) => count > 0,
    );
    await expectAlive(modest);
    expect(listener.handledFor.filter((id) => id === 'greedy').length).toBeLessThan(2_000);
  });

  it('serves a device before a thousand small messages that another sent in one write', async () => {
    await start({ messagesPerSecond: 0 });
    const [greedy, modest] = [
      await site.open({ deviceId: 'greedy' }),
      await site.open({ deviceId: 'modest' }),
    ];
    greedy.write(times(50_000, small));
    modest.write(small);
    expect((await modest.expectFrame()).payload).toEqual(term(str('heard')));
    expect(listener.handledFor.indexOf('modest')).toBeLessThan(45_000);
    for (let count = 0; count < 50_000; count++) await greedy.expectFrame();
  });
});

describe('messagesPerSecond', () => {
  it.each<[string, Buffer]>([
    ['empty fragments', part()],
    ['fragments', part('x')],
  ])('counts %s', async (_, fragment) => {
    await start({ messagesPerSecond: 20 });
    const device = await site.open();
    device.write(Buffer.concat([begin(), times(100, fragment)]));
    expect(await closeCodeOf(device)).toBe(4003);
    expect(await listener.disconnected.next()).toEqual({ type: 'rate_limited', code: 4003 });
  });

  it('drops all messages after the one that exceeds the limit', async () => {
    await start({ messagesPerSecond: 20 });
    const device = await site.open();
    device.write(times(10_000, small));
    expect(await closeCodeOf(device)).toBe(4003);
    await device.ended();
    expect(listener.handledFor.length).toBeLessThanOrEqual(20);
  });
});

describe('A device whose socket was not read for seconds', () => {
  it('is not closed for messages it sent meanwhile within messagesPerSecond', async () => {
    await start({ messagesPerSecond: 50, mailboxLimit: 2 });
    const device = await site.open();
    device.write(Buffer.concat([hang, times(30, small)]));
    const finish = await listener.hung.next();
    for (let second = 1; second <= 2; second++) {
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      device.write(times(40, small));
    }
    finish();
    for (let count = 0; count < 110; count++) expect((await device.expectFrame()).opcode).toBe(OPCODE.binary);
  });
});

describe('Pings', () => {
  it('answers all pings, however many arrive at once', async () => {
    await start();
    const device = await site.open();
    device.write(times(500, frame(OPCODE.ping, 'nerves-242a')));
    for (let count = 0; count < 500; count++)
      expect(await device.expectFrame()).toMatchObject({
        opcode: OPCODE.pong,
        payload: Buffer.from('nerves-242a'),
      });
    await expectAlive(device);
  });
});

describe('mailboxBytes', () => {
  it('stops reading a device at mailboxBytes of waiting messages', async () => {
    await start({ mailboxBytes: 100_000, mailboxLimit: 1_000_000 });
    const device = await site.open();
    device.write(hang);
    const finish = await listener.hung.next();
    const large = binary(term(str('x'.repeat(10_000))));
    device.write(Buffer.concat([times(30, large), frame(OPCODE.ping, 'still read?')]));
    const other = await site.open({ deviceId: 'other' });
    await expectAlive(other);
    finish();
    for (let count = 0; count < 30; count++) expect((await device.expectFrame()).opcode).toBe(OPCODE.binary);
    expect((await device.expectFrame()).opcode).toBe(OPCODE.pong);
  });

  it('rejects a device with 503 while its ended connections fill the mailbox, and accepts it afterwards', async () => {
    await start({ mailboxBytes: 50_000 });
    const large = binary(term(str('x'.repeat(10_000))));
    const device = await site.open();
    device.write(Buffer.concat([hang, times(5, large), frame(OPCODE.ping, 'all read')]));
    const finish = await listener.hung.next();
    expect((await site.ask()).response.statusLine).toContain('101');
    expect(site.fedecks.devices()).toHaveLength(1);

    expect(await site.statusOf({})).toContain('503');
    expect(await listener.errors.next()).toMatchObject({ deviceId: 'nerves-242a', type: 'upgrade_failed' });
    expect(await site.statusOf({ deviceId: 'other' })).toContain('101');
    finish();
    expect(await listener.disconnected.next()).toEqual({ type: 'replaced', code: 4152 });
    expect(listener.handledFor).toHaveLength(5);
    expect(await site.statusOf({})).toContain('101');
  });
  it('counts messages of ended connections whose handlers still run', async () => {
    await start({ mailboxBytes: 50_000 });
    const large = binary(term(tuple(str('hang'), str('x'.repeat(20_000)))));
    for (let count = 0; count < 3; count++) {
      const device = await site.open();
      device.write(large);
      await listener.hung.next();
      device.reset();
      await eventually(
        () => site.fedecks.devices().length,
        (connected) => connected === 0,
      );
    }
    expect(await site.statusOf({})).toContain('503');
  });
});

describe('A message that never completes', () => {
  it('closes the connection after idleTimeoutMs, although bursts of pings are served first', async () => {
    await start({ idleTimeoutMs: 300, messagesPerSecond: 0 });
    const device = await site.open();
    device.write(begin('x'));
    const pinging = setInterval(() => device.write(times(1_000, frame(OPCODE.ping))), 100);
    expect(await closeCodeOf(device)).toBe(1000);
    clearInterval(pinging);
    expect(await listener.disconnected.next()).toEqual({ type: 'idle_timeout', code: 1000 });
  });

  it('closes the connection after idleTimeoutMs, although pings arrive all the time', async () => {
    await start({ idleTimeoutMs: 300 });
    const device = await site.open();
    device.write(begin('x'));
    const pinging = setInterval(() => device.write(frame(OPCODE.ping, 'nerves-242a')), 50);
    expect(await closeCodeOf(device)).toBe(1000);
    clearInterval(pinging);
    expect(await listener.disconnected.next()).toEqual({ type: 'idle_timeout', code: 1000 });
  });

  it('keeps the connection while the bytes of a frame arrive fast enough', async () => {
    await start({ idleTimeoutMs: 300 });
    const device = await site.open();
    const bytes = binary(term(str('x'.repeat(6_000))));
    for (let at = 0; at < bytes.length; at += 500) {
      device.write(bytes.subarray(at, at + 500));
      await new Promise((resolve) => setTimeout(resolve, 60));
    }
    expect((await device.expectFrame()).payload).toEqual(term(str('heard')));
  });
});

describe('A single message larger than maxBufferedBytes', () => {
  it('delivers it to a device that reads', async () => {
    await start({ maxBufferedBytes: 64 * 1024 });
    const device = await site.open();
    // No larger than needed: the test's peer is slow to assemble a large frame.
    expect(await site.fedecks.push('nerves-242a', 'z'.repeat(1024 * 1024))).toBe('sent');
    expect((await device.expectFrame()).payload.length).toBeGreaterThan(1024 * 1024);
    await expectAlive(device);
  });

  it('rejects a message that is too large for any device', async () => {
    await start();
    await site.open();
    await expect(site.fedecks.push('nerves-242a', 'z'.repeat(17 * 1024 * 1024))).rejects.toMatchObject({
      code: 'message-too-large',
    });
    expect(site.fedecks.devices()).toHaveLength(1);
  });
});

describe("A reply held for the device's first frame", () => {
  it('reports it as undelivered when the device disconnects first', async () => {
    await start();
    listener.greeting = 'welcome';
    const { peer } = await site.ask();
    peer.reset();
    expect(await listener.errors.next()).toMatchObject({ deviceId: 'nerves-242a', type: 'undelivered' });
  });
});

describe('The reported close code', () => {
  it.each<[string, () => Buffer, number]>([
    ['too many fragments', () => Buffer.concat([begin(), times(20_000, part())]), 1008],
    ['a length beyond 2^53', () => frame(OPCODE.binary, '', { claimedBytes: 2 ** 60 }), 1009],
    ['a frame without a mask', () => frame(OPCODE.binary, 'x', { masked: false }), 1002],
  ])('equals the code in the close frame, for %s', async (_, bytes, code) => {
    await start({ messagesPerSecond: 0 });
    const device = await site.open();
    device.write(bytes());
    expect(await closeCodeOf(device)).toBe(code);
    expect((await listener.disconnected.next()).code).toBe(code);
  });
});

describe('A raw message', () => {
  it('retains no memory beyond its own bytes when the application keeps it', async () => {
    await start();
    const device = await site.open();
    for (let count = 0; count < 50; count++) {
      device.write(Buffer.concat([binary(Buffer.alloc(60_000)), binary(Buffer.from('12345678')), small]));
      await device.expectFrame();
    }
    const kept = listener.kept.filter(({ length }) => length === 8);
    expect(kept).toHaveLength(50);
    const held = [...new Set(kept.map(({ buffer }) => buffer))];
    expect(held.reduce((sum, { byteLength }) => sum + byteLength, 0)).toBeLessThan(500_000);
  });
});

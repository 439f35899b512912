import { Duplex } from 'node:stream';
import { jest } from '@jest/globals';
import { deliver, resume } from '../../test/support/raw-deliveries.js';
import { compressedTerm, int, str } from '../../test/support/term-bytes.js';
import { Router, turns } from '../handlers/index.js';
import { encodeTerm } from '../wire/internal.js';
import { Connection, type Endpoint } from './connection.js';
import { Deliveries } from './deliveries/deliveries.js';
import { MemoryDeliveryStore } from './deliveries/delivery-store.js';
import { ToDevices } from './deliveries/to-devices.js';
import { type FedecksOptions, type ResolvedOptions, resolveOptions } from './fedecks-options.js';
import { Telemetry } from './telemetry.js';

/** An unfragmented binary message, masked with zeros. */
function message(text: string): Buffer {
  const payload = encodeTerm(text);
  return Buffer.concat([Buffer.from([0x82, 0x80 | payload.length, 0, 0, 0, 0]), payload]);
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/**
 * Monotonic time, which only the tests move: no turn is used up because the machine is busy. In whole milliseconds, which
 * are added without a rounding error.
 */
let now: number;
beforeEach(async () => {
  // The turn of the previous test must be over.
  await turn();
  now = Math.ceil(performance.now());
  jest.spyOn(performance, 'now').mockImplementation(() => now);
});
afterEach(() => jest.restoreAllMocks());

function optionsOf(given: Partial<FedecksOptions>): ResolvedOptions {
  return resolveOptions({
    secrets: ['a secret of thirty-two bytes, or more'],
    authenticator: { authenticate: () => true },
    ...given,
  });
}

/** A connection that has been started, and its socket. */
function connect(
  id: string,
  more: Partial<Endpoint>,
  protocol: 1 | 2 = 1,
): { connection: Connection; socket: Duplex } {
  const endpoint: Endpoint = {
    options: optionsOf({}),
    router: new Router([]),
    telemetry: new Telemetry('/fedecks', { debug: () => undefined, error: () => undefined }, () => false),
    deliveries: new Deliveries('/fedecks', { warn: () => undefined, error: () => undefined }),
    toDevices: new ToDevices('/fedecks', {
      peerOf: () => undefined,
      deviceIds: () => [],
      announce: () => true,
      onState: () => undefined,
      onFailure: () => undefined,
    }),
    decoding: {},
    tokenFrame: () => Buffer.alloc(0),
    report: () => undefined,
    onReceived: () => undefined,
    onEnded: () => undefined,
    ...more,
  };
  const socket = new Duplex({ read: () => undefined, write: (_chunk, _encoding, taken) => taken() });
  const device = { id, remoteAddress: '', claims: undefined, endpoint: '/fedecks', since: 0 };
  const connection = new Connection(device, socket, endpoint, { generation: 0, expiresAt: 0 }, 0, protocol);
  connection.start(Buffer.alloc(0));
  return { connection, socket };
}

describe('the turns of connections', () => {
  /** Whose messages have been handled, in their order. */
  let handled: string[];
  let sockets: Duplex[];
  beforeEach(() => {
    handled = [];
    sockets = [];
  });
  afterEach(() => {
    for (const socket of sockets) socket.destroy();
  });

  function open(id: string, onMessage: () => void = () => undefined): Connection {
    const log = handled;
    const { connection, socket } = connect(id, {
      onReceived: () => {
        log.push(id);
        onMessage();
      },
    });
    sockets.push(socket);
    return connection;
  }

  it('handles a message at once, unless the event loop turn is used up', async () => {
    const device = open('device');
    device.onData(message('a'));
    expect(handled).toHaveLength(1);
    await turn();
    // Marks the turn as used up.
    turns.isUsed(performance.now() - 1_000);
    device.onData(message('b'));
    expect(handled).toHaveLength(1);
    await turn();
    expect(handled).toHaveLength(2);
  });

  it('come anew for a compressed message that is not the first, however few bytes it has', async () => {
    const device = open('device');
    const compressed = compressedTerm(str('x'.repeat(50)));
    const head = Buffer.from([0x82, 0x80 | compressed.length, 0, 0, 0, 0]);
    device.onData(Buffer.concat([WHOLE, head, compressed]));
    expect(handled).toHaveLength(1);
    await turn();
    expect(handled).toHaveLength(2);
  });

  it('prefers a device with few unread bytes', async () => {
    const flood = open('flood');
    const small = open('small');
    turns.isUsed(performance.now() - 1_000);
    flood.onData(Buffer.concat(Array.from({ length: 600 }, () => message('one of many'))));
    small.onData(message('one'));
    await turn();
    expect(handled[0]).toBe('small');
    expect(handled).toContain('flood');
  });

  it('prefers a device that has not used up its slice', async () => {
    const slow = open('slow', () => {
      now += 1;
    });
    const small = open('small');
    slow.onData(Buffer.concat(Array.from({ length: 16 }, () => message('slow'))));
    const before = handled.length;
    expect(before).toBeLessThan(16);
    small.onData(message('one'));
    expect(handled).toHaveLength(before);
    await turn();
    expect(handled[before]).toBe('small');
    expect(handled[before + 1]).toBe('slow');
  });
});

describe('the lanes of a device', () => {
  /** A frame of that payload, masked with zeros. */
  const frameOf = (payload: Buffer): Buffer =>
    Buffer.concat([Buffer.from([0x82, 0x80 | payload.length, 0, 0, 0, 0]), payload]);

  function open(call: () => unknown, report: Endpoint['report'] = () => undefined): Connection {
    const deliveries = new Deliveries('/fedecks', { warn: () => undefined, error: () => undefined });
    deliveries.keepIn(new MemoryDeliveryStore());
    const router = new Router([{ name: 'Alarms.save', kind: { kind: 'any' }, call }]);
    const { connection, socket } = connect('device', { deliveries, router, report }, 2);
    sockets.push(socket);
    return connection;
  }
  let sockets: Duplex[];
  beforeEach(() => {
    sockets = [];
  });
  afterEach(() => {
    for (const socket of sockets) socket.destroy();
  });

  it('leave each turn of the event loop to others, however much is delivered', async () => {
    let handled = 0;
    const flood = open(() => {
      handled++;
    });
    flood.onData(frameOf(resume()));
    await turn();
    for (let seq = 1; seq <= 8; seq++)
      for (let lane = 0; lane < 8; lane++) flood.onData(frameOf(deliver(seq, int(1), { lane })));
    const counts = [];
    while (handled < 64) {
      const before = handled;
      await turn();
      counts.push(handled - before);
    }
    expect(Math.max(...counts)).toBeLessThanOrEqual(8);
  });

  it('each report a handler that runs for 60 s, by its name', async () => {
    const start = now;
    const reports: string[] = [];
    const device = open(
      () => new Promise(() => undefined),
      ({ type, info }) => reports.push(`${type}: ${info}`),
    );
    device.onData(frameOf(resume()));
    await turn();
    for (const lane of [2, 5]) device.onData(frameOf(deliver(1, int(1), { lane })));
    await turn();
    await turn();
    device.tick(start, 0);
    device.tick(start + 59_999, 0);
    expect(reports).toEqual([]);
    device.tick(start + 60_000, 0);
    const report =
      'handler_stalled: Alarms.save has been running for 60 s, and the deliveries of its lane wait for it: ' +
      'add a timeout to what it awaits';
    expect(reports).toEqual([report, report]);
  });
});

/** The term 1 in one frame, and in the first of several, masked with zeros. */
const WHOLE = Buffer.from('828300000000836101', 'hex');
const BEGUN = Buffer.from('028300000000836101', 'hex');
const PING = Buffer.from('898000000000', 'hex');

describe('the time in which a connection is not read', () => {
  const IDLE_MS = 1_000;

  /** Ends the handlers that are waited for. */
  let finish: (() => void)[];
  let causes: string[];
  let connection: Connection;
  let socket: Duplex;
  beforeEach(() => {
    finish = [];
    causes = [];
    const any = () => new Promise<void>((resolve) => finish.push(resolve));
    ({ connection, socket } = connect('device', {
      options: optionsOf({ mailboxLimit: 1, idleTimeoutMs: IDLE_MS }),
      router: new Router([{ name: 'any', kind: { kind: 'any' }, call: any }]),
      onEnded: (_, { type }) => causes.push(type),
    }));
  });
  afterEach(() => socket.destroy());

  /** Receives more than may wait for a handler, which then takes many times as long as a device may be silent. */
  async function receiveAndHang(...frames: Buffer[]): Promise<void> {
    connection.onData(Buffer.concat([WHOLE, WHOLE, ...frames]));
    expect(socket.isPaused()).toBe(true);
    now += 10 * IDLE_MS;
    finish.shift()?.();
    await turn();
    await turn();
    expect(socket.isPaused()).toBe(false);
  }

  function causesAfter(ms: number): string[] {
    now += ms;
    connection.tick(now, 0);
    return causes;
  }

  it("is none of the device's silence", async () => {
    await receiveAndHang();
    expect(causesAfter(0)).toEqual([]);
    expect(causesAfter(IDLE_MS - 1)).toEqual([]);
    expect(causesAfter(1)).toEqual(['idle_timeout']);
  });

  it('is none of the time that a message takes to arrive', async () => {
    await receiveAndHang(BEGUN);
    expect(causesAfter(IDLE_MS - 1)).toEqual([]);
    // Bytes come, but none of the message: it has a millisecond more for each that is there.
    connection.onData(PING);
    await turn();
    expect(causesAfter(1)).toEqual([]);
    expect(causesAfter(WHOLE.length)).toEqual(['idle_timeout']);
  });
});

describe('a connection whose handler is waited for', () => {
  let finish: (() => void)[];
  let gone: unknown[];
  let connection: Connection;
  let socket: Duplex;
  beforeEach(() => {
    finish = [];
    gone = [];
    const any = () => new Promise<void>((resolve) => finish.push(resolve));
    const disconnected = (cause: unknown): void => void gone.push(cause);
    ({ connection, socket } = connect('device', {
      options: optionsOf({ mailboxLimit: 4 }),
      router: new Router([
        { name: 'any', kind: { kind: 'any' }, call: any },
        { name: 'disconnected', kind: { kind: 'disconnected' }, call: disconnected },
      ]),
    }));
  });
  afterEach(() => socket.destroy());

  async function finishNext(): Promise<void> {
    finish.shift()?.();
    await turn();
    await turn();
  }

  it('is read again when no more than half of what may wait is left', async () => {
    connection.onData(Buffer.concat(Array.from({ length: 5 }, () => WHOLE)));
    const paused = [socket.isPaused()];
    for (let handled = 1; handled <= 3; handled++) {
      await finishNext();
      paused.push(socket.isPaused());
    }
    expect(paused).toEqual([true, true, false, false]);
  });

  it('is read no more while it drains, neither from its socket nor from what has come', async () => {
    connection.onData(WHOLE);
    const drained = connection.drain();
    expect(socket.isPaused()).toBe(true);
    connection.onData(WHOLE);
    await finishNext();
    expect(finish).toEqual([]);
    expect(gone).toEqual([{ type: 'draining', code: 4000 }]);
    await drained;
  });

  it('has its end told once the handler has finished, also when it is lost while it drains', async () => {
    connection.onData(WHOLE);
    const drained = connection.drain();
    connection.onEnd();
    expect(gone).toEqual([]);
    await finishNext();
    expect(gone).toEqual([{ type: 'connection_lost', code: 1006 }]);
    await drained;
  });
});

describe('messagesPerSecond', () => {
  it('lets through as many in each second, the first frame of it included', async () => {
    const causes: string[] = [];
    const { connection, socket } = connect('device', {
      options: optionsOf({ messagesPerSecond: 2 }),
      onEnded: (_, { type }) => causes.push(type),
    });
    for (let second = 0; second < 3; second++) {
      connection.onData(Buffer.concat([WHOLE, PING]));
      await turn();
      now += 1_000;
    }
    expect(causes).toEqual([]);
    connection.onData(Buffer.concat([WHOLE, PING, WHOLE]));
    await turn();
    expect(causes).toEqual(['rate_limited']);
    socket.destroy();
  });
});

describe('tokenRefresh', () => {
  it('is the time from each token, asked for or not, to the next one unasked', async () => {
    let tokens = 0;
    const { connection, socket } = connect('device', {
      options: optionsOf({ tokenRefresh: '10s', idleTimeoutMs: 86_400_000 }),
      tokenFrame: () => Buffer.alloc(++tokens),
    });
    const tokensAfter = (ms: number): number => {
      now += ms;
      connection.tick(now, 0);
      return tokens;
    };
    expect([9_999, 1, 1, 9_999 - 1, 1].map(tokensAfter)).toEqual([0, 1, 1, 1, 2]);
    now += 5_000;
    // The charlist 'token_please'.
    connection.onData(Buffer.from('829000000000836b000c746f6b656e5f706c65617365', 'hex'));
    await turn();
    expect(tokens).toBe(3);
    expect([9_999, 1].map(tokensAfter)).toEqual([3, 4]);
    socket.destroy();
  });
});

describe('a connection that has ended', () => {
  it('keeps nothing of a message that has not arrived whole', () => {
    const { connection, socket } = connect('device', {});
    connection.onData(WHOLE.subarray(0, -1));
    expect(connection.waitingBytes).toBeGreaterThan(0);
    connection.onEnd();
    expect(connection.waitingBytes).toBe(0);
    socket.destroy();
  });

  it('takes in no more than 256 KiB of what still comes', () => {
    const { connection, socket } = connect('device', {});
    connection.drainNow();
    connection.onData(Buffer.alloc(256 * 1024));
    expect(socket.destroyed).toBe(false);
    connection.onData(Buffer.alloc(1));
    expect(socket.destroyed).toBe(true);
  });
});

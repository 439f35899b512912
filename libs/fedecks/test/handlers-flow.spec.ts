/**
 * Many messages at once, over real sockets: the mailbox of a device, what applies back-pressure to it, and
 * when a device that does not read is closed.
 */
import { type Server, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { jest } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import {
  DeviceId,
  type DisconnectCause,
  OnConnected,
  OnDisconnected,
  OnMessage,
  OnRawMessage,
  Payload,
} from '@fedecks/nest';
import { encodeTerm, type Term, tuple } from '@fedecks/nest/wire';
import { NEVER, Observable, startWith } from 'rxjs';
import { WebSocket } from 'ws';
import { type StartedApp, startApp } from './support/app.js';
import { loginHeader } from './support/cloud.js';
import { Inbox } from './support/inbox.js';

const KIB = 1024;
const CHUNK_BYTES = 64 * KIB;
const CHUNK = Buffer.alloc(CHUNK_BYTES, 1);
const CHUNKS = 512;

/** Handlers wait here until the test releases them. */
class Gate {
  open!: () => void;
  readonly opened = new Promise<void>((resolve) => (this.open = resolve));
}

@Injectable()
class Greenhouse {
  readonly log: string[] = [];
  readonly causes = new Inbox<DisconnectCause>('disconnect');
  readonly ends = new Inbox<string>('end of a stream');
  gate = new Gate();
  handled = 0;
  handledBytes = 0;
  given = 0;
  greeting: () => unknown = () => undefined;

  @OnConnected()
  connected(): unknown {
    return this.greeting();
  }

  @OnMessage('slow')
  async slow(@Payload() payload: number): Promise<Term> {
    this.log.push(`slow ${payload} begins`);
    await this.gate.opened;
    this.log.push(`slow ${payload} ends`);
    return { slow: payload };
  }

  @OnMessage('fast')
  fast(@Payload() payload: number | string): Term {
    this.log.push(`fast ${payload}`);
    return { fast: payload };
  }

  @OnMessage('watch')
  watch(): Observable<Term> {
    return NEVER.pipe(startWith('watching'));
  }

  @OnMessage('pull')
  async *pull(): AsyncGenerator<Term> {
    try {
      for (this.given = 0; this.given < CHUNKS; this.given++) yield CHUNK;
    } finally {
      this.ends.put('pulled');
    }
  }

  @OnMessage('flood')
  flood(): Observable<Term> {
    return new Observable((subscriber) => {
      let sending: NodeJS.Immediate | undefined;
      const send = (): void => {
        subscriber.next(CHUNK);
        if (!subscriber.closed) sending = setImmediate(send);
      };
      send();
      return () => {
        clearImmediate(sending);
        this.ends.put('flooded');
      };
    });
  }

  @OnRawMessage()
  async chunk(@Payload() bytes: Uint8Array): Promise<void> {
    await this.gate.opened;
    // Numbered, to check the order.
    if (Buffer.from(bytes.buffer, bytes.byteOffset).readUInt32BE(0) !== this.handled)
      this.log.push('out of order');
    this.handled++;
    this.handledBytes += bytes.length;
  }

  @OnDisconnected()
  gone(@Payload() cause: DisconnectCause, @DeviceId() id: string): void {
    this.log.push(`gone ${id}`);
    this.causes.put(cause);
  }
}

const MAILBOX_LIMIT = 4;
let app: StartedApp;
let greenhouse: Greenhouse;
/** The cloud's sockets. */
const sockets: Socket[] = [];

beforeEach(async () => {
  app = await startApp({
    providers: [Greenhouse],
    options: {
      mailboxLimit: MAILBOX_LIMIT,
      maxBufferedBytes: 1024 * KIB,
      messagesPerSecond: 0,
      drainMs: 100,
    },
  });
  greenhouse = app.nest.get(Greenhouse);
  sockets.length = 0;
  (app.nest.getHttpServer() as Server).on('connection', (socket: Socket) => sockets.push(socket));
});
afterEach(async () => {
  greenhouse.gate.open();
  await app.close();
});

/** A device whose socket the test can stop reading. */
async function openDevice(id: string): Promise<WebSocket> {
  const { port } = (app.nest.getHttpServer() as Server).address() as { port: number };
  const device = new WebSocket(`ws://127.0.0.1:${port}/fedecks/websocket`, {
    headers: { 'x-fedecks-auth': loginHeader(id) },
    perMessageDeflate: false,
  });
  device.on('error', () => undefined);
  await new Promise((resolve) => device.once('open', resolve));
  return device;
}

/** Waits until the value stops changing, and returns it. */
async function settledValue(value: () => number): Promise<number> {
  const deadline = Date.now() + 10_000;
  let [last, same] = [value(), 0];
  while (same < 10) {
    if (Date.now() > deadline) throw new Error('it did not stand still within 10 s');
    await pause(10);
    same = value() === last ? same + 1 : 0;
    last = value();
  }
  return last;
}

async function waitUntil(reached: () => boolean, what: string): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (!reached()) {
    if (Date.now() > deadline) throw new Error(`${what}: not within 10 s`);
    await pause(1);
  }
}

/** Only the endpoint's periodic check uses the mocked time. */
function mockPeriodicCheck(): void {
  jest.useFakeTimers({
    doNotFake: ['setTimeout', 'setImmediate', 'nextTick', 'queueMicrotask', 'Date', 'hrtime'],
  });
}

/** Mocked time passes. The check runs in an immediate, after the socket was read. */
async function pass(ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 1_000) {
    jest.advanceTimersByTime(1_000);
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
  }
}

describe('the mailbox of a device', () => {
  it('reports a handler that others have waited 60 s for, once, and none that has finished', async () => {
    await app.close();
    mockPeriodicCheck();
    try {
      app = await startApp({ providers: [Greenhouse], options: { idleTimeoutMs: 86_400_000, drainMs: 100 } });
      greenhouse = app.nest.get(Greenhouse);
      const device = await app.device('first');
      const begin = async (number: number): Promise<void> => {
        device.send('slow', number);
        await waitUntil(() => greenhouse.log.at(-1) === `slow ${number} begins`, 'the handler begins');
      };
      await begin(1);
      await pass(59_000);
      greenhouse.gate.open();
      expect(await device.next()).toEqual({ slow: 1 });
      greenhouse.gate = new Gate();
      await begin(2);
      await pass(59_000);
      expect(app.errors.size).toBe(0);
      await pass(120_000);
      expect(await app.errors.next()).toEqual({
        deviceId: 'first',
        type: 'handler_stalled',
        info:
          'Greenhouse.slow has been running for 60 s, and the messages of the device wait for it: ' +
          'add a timeout to what it awaits',
      });
      expect(app.errors.size).toBe(0);
      greenhouse.gate.open();
      expect(await device.next()).toEqual({ slow: 2 });
      await device.disconnect();
    } finally {
      jest.useRealTimers();
    }
  });

  it('is reported when its handler runs on after the end of its connection', async () => {
    await app.close();
    mockPeriodicCheck();
    try {
      app = await startApp({ providers: [Greenhouse], options: { idleTimeoutMs: 86_400_000, drainMs: 100 } });
      greenhouse = app.nest.get(Greenhouse);
      const device = await app.device('first');
      device.send('slow', 1);
      await waitUntil(() => greenhouse.log.at(-1) === 'slow 1 begins', 'the handler begins');
      await device.disconnect();
      await pass(120_000);
      expect(await app.errors.next()).toMatchObject({ deviceId: 'first', type: 'handler_stalled' });
      greenhouse.gate.open();
    } finally {
      jest.useRealTimers();
    }
  });

  it('handles its messages in order, while another device is served', async () => {
    const [first, other] = [await app.device('first'), await app.device('other')];
    first.send('slow', 1);
    first.send('fast', 2);
    first.send('slow', 3);
    first.send('fast', 4);
    await waitUntil(() => greenhouse.log.includes('slow 1 begins'), 'the first message is handled');
    other.send('fast', 'other');
    await expect(other.next()).resolves.toEqual({ fast: 'other' });
    expect(greenhouse.log).toEqual(['slow 1 begins', 'fast other']);
    greenhouse.gate.open();
    for (const reply of [{ slow: 1 }, { fast: 2 }, { slow: 3 }, { fast: 4 }]) {
      await expect(first.next()).resolves.toEqual(reply);
    }
    expect(greenhouse.log.slice(2)).toEqual([
      'slow 1 ends',
      'fast 2',
      'slow 3 begins',
      'slow 3 ends',
      'fast 4',
    ]);
  });

  it('holds the first message until @OnConnected() has finished', async () => {
    greenhouse.greeting = () => greenhouse.gate.opened.then(() => 'welcome');
    const device = await app.device();
    device.send('fast', 1);
    expect(greenhouse.log).toEqual([]);
    greenhouse.gate.open();
    await expect(device.next()).resolves.toBe('welcome');
    await expect(device.next()).resolves.toEqual({ fast: 1 });
  });

  it('goes on while an Observable of an earlier message is still open', async () => {
    const device = await app.device();
    device.send('watch', null);
    device.send('fast', 1);
    await expect(device.next()).resolves.toBe('watching');
    await expect(device.next()).resolves.toEqual({ fast: 1 });
  });

  it('handles all messages received before the close, then @OnDisconnected() once', async () => {
    const device = await app.device('gone');
    device.send('slow', 1);
    device.send('fast', 2);
    await waitUntil(() => greenhouse.log.includes('slow 1 begins'), 'the first message is handled');
    await device.disconnect();
    const again = await app.device('gone');
    again.send('fast', 'again');
    await expect(again.next()).resolves.toEqual({ fast: 'again' });
    expect(greenhouse.log).toEqual(['slow 1 begins', 'fast again']);
    greenhouse.gate.open();
    await expect(greenhouse.causes.next()).resolves.toEqual({ type: 'closed_by_device', code: 1000 });
    expect(greenhouse.log.slice(2)).toEqual(['slow 1 ends', 'fast 2', 'gone gone']);
    await again.disconnect();
    await greenhouse.causes.next();
    expect(greenhouse.causes.size).toBe(0);
  });
});

describe('a slow handler', () => {
  it('applies back-pressure: the socket is not read, memory stays bounded, and all messages arrive in order', async () => {
    const device = await openDevice('fast-talker');
    for (let index = 0; index < CHUNKS; index++) {
      const chunk = Buffer.from(CHUNK);
      chunk.writeUInt32BE(index);
      device.send(chunk);
    }
    const backedUp = await settledValue(() => device.bufferedAmount);
    // The kernel has buffered only part of it.
    expect(backedUp).toBeGreaterThan((CHUNKS * CHUNK_BYTES) / 4);
    const read = sockets[0]!.bytesRead;
    expect(greenhouse.handled).toBe(0);
    // The current message, the mailbox, one partial message, and two chunks of the socket.
    expect(read).toBeGreaterThan(MAILBOX_LIMIT * CHUNK_BYTES);
    expect(read).toBeLessThan((MAILBOX_LIMIT + 4) * CHUNK_BYTES);
    greenhouse.gate.open();
    await waitUntil(() => greenhouse.handled === CHUNKS, 'all messages are handled');
    expect(greenhouse.handledBytes).toBe(CHUNKS * CHUNK_BYTES);
    expect(greenhouse.log).toEqual([]);
    device.terminate();
  });
});

describe('a device that reads slowly', () => {
  it('gets the values of an async iterable at its own pace, and all of them', async () => {
    const device = await openDevice('slow-reader');
    const socket = sockets[0]!;
    const listeners = socket.listenerCount('close');
    device.pause();
    device.send(encodeTerm(tuple('pull', null)));
    await waitUntil(() => greenhouse.given > 0, 'the handler begins');
    const given = await settledValue(() => greenhouse.given);
    expect(given).toBeLessThan(CHUNKS / 2);
    let received = 0;
    device.on('message', (message: Buffer) => (received += Number(message.length > CHUNK_BYTES)));
    device.resume();
    await waitUntil(() => received === CHUNKS, 'all values arrive');
    await greenhouse.ends.next();
    expect(greenhouse.causes.size).toBe(0);
    // Waiting for 'drain' has left no listener.
    expect(socket.listenerCount('close')).toBe(listeners);
    device.terminate();
  });

  it('gets an async iterable of any length from @OnConnected()', async () => {
    greenhouse.greeting = () => greenhouse.pull();
    const device = await app.device();
    for (let index = 0; index < CHUNKS; index++) await device.next();
    await greenhouse.ends.next();
    await device.disconnect();
    await expect(greenhouse.causes.next()).resolves.toMatchObject({ type: 'closed_by_device' });
  });

  it('is closed with 4001 when an Observable emits more than maxBufferedBytes', async () => {
    const device = await openDevice('stalled');
    const closed = new Promise((resolve) => device.once('close', resolve));
    device.pause();
    device.send(encodeTerm(tuple('flood', null)));
    await expect(greenhouse.causes.next()).resolves.toEqual({ type: 'slow_consumer', code: 4001 });
    await greenhouse.ends.next();
    device.resume();
    await expect(closed).resolves.toBe(4001);
  });
});

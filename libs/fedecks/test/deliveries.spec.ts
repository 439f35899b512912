/** Deliveries of devices as an app sees them: what handlers take and return, stores, reconnects, restarts. */
import { type AddressInfo, type Server } from 'node:net';
import {
  AbortSignal as Signal,
  Delivery,
  type DeliveryClaim,
  type DeliveryInfo,
  DeviceId,
  FedecksModule,
  type HandledPosition,
  OnConnected,
  OnDisconnected,
  OnMessage,
  Payload,
  stop,
  type UpstreamMessage,
} from '@fedecks/nest';
import { tuple as pair } from '@fedecks/nest/wire';
import {
  type CallHandler,
  type ExecutionContext,
  ForbiddenException,
  Injectable,
  ParseIntPipe,
  Scope,
  UseGuards,
  UseInterceptors,
} from '@nestjs/common';
import { jest } from '@jest/globals';
import { concat, from, NEVER, of, throwError } from 'rxjs';
import { startApp, type StartedApp } from './support/app.js';
import { type Cloud, loginHeader, startCloud } from './support/cloud.js';
import { DelegatingStore } from './support/delegating-store.js';
import { eventually } from './support/eventually.js';
import { Inbox } from './support/inbox.js';
import { frame, OPCODE, RawPeer, upgradeRequest } from './support/raw-peer.js';
import {
  deliver,
  expectAck,
  expectBinary,
  expectClose,
  nack,
  openDelivering,
  PROTOCOL_2,
  resume,
} from './support/raw-deliveries.js';
import { int, str, term, tuple } from './support/term-bytes.js';

class Through {
  intercept(_context: ExecutionContext, next: CallHandler) {
    return next.handle();
  }
}

class Never {
  canActivate(): boolean {
    throw new ForbiddenException('not you');
  }
}

const happened = new Inbox<unknown>('call of a handler');

@Injectable()
class Handlers {
  readonly finish: (() => void)[] = [];

  @OnMessage('plain')
  plain(@Delivery() delivery: DeliveryInfo | undefined, @DeviceId() id: string) {
    happened.put([id, delivery]);
  }

  @OnMessage('enhanced')
  @UseInterceptors(Through)
  enhanced(
    @Payload(ParseIntPipe) payload: number,
    @Delivery() delivery: DeliveryInfo | undefined,
    @Signal() signal: AbortSignal,
  ) {
    happened.put([payload, delivery?.seq, signal.aborted]);
  }

  @OnMessage('piped')
  piped(@Delivery() delivery: DeliveryInfo | undefined, @Payload(ParseIntPipe) payload: number) {
    happened.put([payload, delivery?.seq]);
  }

  @OnMessage('guarded')
  @UseGuards(Never)
  guarded() {
    happened.put('never');
  }

  @OnMessage('observable')
  observable() {
    happened.put('begun');
    return concat(of(1), from(this.wait()), of(2));
  }

  @OnMessage('iterable')
  async *iterable() {
    happened.put('begun');
    yield 1;
    await this.wait();
    yield Promise.resolve(2);
  }

  @OnMessage('intercepted')
  @UseInterceptors(Through)
  async intercepted() {
    happened.put('begun');
    await this.wait();
  }

  @OnMessage('broken stream')
  broken() {
    return concat(
      of(1),
      throwError(() => new Error('no database')),
    );
  }

  @OnMessage('promise')
  async promise() {
    happened.put('begun');
    await this.wait();
  }

  @OnMessage('endless')
  endless(@Signal() signal: AbortSignal) {
    happened.put('begun');
    signal.addEventListener('abort', () => happened.put('aborted'));
    return NEVER;
  }

  @OnMessage('patient')
  patient(@Signal() signal: AbortSignal) {
    happened.put('begun');
    return new Promise((_resolve, reject) =>
      signal.addEventListener('abort', () => {
        happened.put('aborted');
        reject(signal.reason as Error);
      }),
    );
  }

  @OnMessage('halt')
  halt() {
    return stop(4000);
  }

  private wait(): Promise<void> {
    return new Promise((resolve) => this.finish.push(resolve));
  }
}

@Injectable({ scope: Scope.REQUEST })
class Scoped {
  @OnMessage('scoped')
  scoped(@Delivery() delivery: DeliveryInfo | undefined) {
    happened.put(delivery?.seq);
  }
}

/** Keeps what a process would keep in a database; a test can make it fail. */
class Store extends DelegatingStore {
  readonly calls: string[] = [];
  failing = 0;
  /** What it waits for. */
  held: Promise<void> | undefined;

  override async claim(endpoint: string, deviceId: string): Promise<DeliveryClaim> {
    this.calls.push(`claim ${endpoint} ${deviceId}`);
    await this.held;
    if (this.failing-- > 0) throw new Error('no database');
    return this.memory.claim(endpoint, deviceId);
  }

  override async setHandled(
    endpoint: string,
    deviceId: string,
    generation: number,
    handled: HandledPosition,
  ): Promise<boolean> {
    this.calls.push(`setHandled ${endpoint} ${deviceId} ${handled.lane} ${handled.epoch} ${handled.seq}`);
    await this.held;
    if (this.failing-- > 0) throw new Error('no database');
    return this.memory.setHandled(endpoint, deviceId, generation, handled);
  }
}

const event = (name: string, payload = 0): Buffer => tuple(str(name), int(payload));

let cloud: Cloud;
let store: Store;
let devices = 0;
let id: string;
beforeEach(() => {
  happened.clear();
  store = new Store();
  id = `device-${++devices}`;
});
afterEach(() => cloud.close());

type Options = Partial<Parameters<typeof FedecksModule.forRoot>[0]>;

async function start(options: Options = {}): Promise<void> {
  cloud = await startCloud({ deliveryStore: store, ...options }, [Handlers, Scoped]);
}

function portOf({ nest }: StartedApp): number {
  return ((nest.getHttpServer() as Server).address() as AddressInfo).port;
}

/** Until the store has been called so often. */
async function calls(count: number): Promise<void> {
  await eventually(
    () => store.calls.length,
    (length) => length === count,
  );
}

async function noDevices(): Promise<void> {
  await eventually(
    () => cloud.fedecks.devices().length,
    (length) => length === 0,
  );
}

function finish(): void {
  cloud.get(Handlers).finish.shift()!();
}

describe('a handler', () => {
  beforeEach(() => start());

  it('takes what is known of the delivery', async () => {
    const peer = await openDelivering(cloud, id);
    const before = Date.now();
    peer.sendBinary(deliver(7, event('plain'), { lane: 2, epoch: 'a/b', attempt: 3, ageMs: 60_000 }));
    const [from, info] = (await happened.next()) as [string, DeliveryInfo];
    expect(from).toBe(id);
    expect(info).toMatchObject({ lane: 2, seq: 7, epoch: 'a/b', attempt: 3, key: `${id}/a%2Fb/2/7` });
    expect(info.ageMs).toBeGreaterThanOrEqual(60_000);
    expect(info.sentAt!.getTime()).toBeGreaterThanOrEqual(before - info.ageMs!);
    expect(info.sentAt!.getTime()).toBeLessThanOrEqual(Date.now() - 60_000);
  });

  it('takes no time of a delivery whose age the device does not know', async () => {
    const peer = await openDelivering(cloud, id);
    peer.sendBinary(deliver(1, event('plain')));
    expect(await happened.next()).toMatchObject([id, { ageMs: undefined, sentAt: undefined }]);
  });

  it('takes no delivery of a message that was only sent', async () => {
    const peer = await openDelivering(cloud, id);
    peer.sendBinary(term(event('plain')));
    expect(await happened.next()).toEqual([id, undefined]);
    peer.sendBinary(term(event('enhanced', 5)));
    expect(await happened.next()).toEqual([5, undefined, false]);
  });

  it.each([
    ['enhanced', [5, 1, false]],
    ['piped', [5, 1]],
    ['scoped', 1],
  ])('takes the delivery with enhancers, or in a scope of its own: %s', async (name, expected) => {
    const peer = await openDelivering(cloud, id);
    peer.sendBinary(deliver(1, event(name, 5)));
    expect(await happened.next()).toEqual(expected);
    await expectAck(peer, 1);
  });

  it.each(['promise', 'observable', 'iterable', 'intercepted'])(
    'has finished when what it returns has completed: %s',
    async (name) => {
      const peer = await openDelivering(cloud, id);
      peer.sendBinary(deliver(1, event(name)));
      peer.sendBinary(deliver(2, event('plain')));
      expect(await happened.next()).toBe('begun');
      await eventually(
        () => cloud.get(Handlers).finish.length,
        (length) => length === 1,
      );
      expect([happened.size, store.calls.length]).toEqual([0, 1]);
      finish();
      await expectAck(peer, 1);
      await expectAck(peer, 2);
    },
  );

  it('has failed when its stream fails', async () => {
    const peer = await openDelivering(cloud, id);
    peer.sendBinary(deliver(1, event('broken stream')));
    await expectBinary(peer, nack(1, 'failed', 'internal error'));
    expect(await cloud.errors.next()).toMatchObject({ deviceId: id, type: 'handler_failed' });
  });

  it('is not called when a guard refuses: invalid', async () => {
    const peer = await openDelivering(cloud, id);
    peer.sendBinary(deliver(1, event('guarded')));
    await expectBinary(peer, nack(1, 'invalid', 'not you'));
    expect(await cloud.errors.next()).toMatchObject({ deviceId: id, type: 'handler_failed' });
  });

  it('may close the connection, and has handled the message', async () => {
    const peer = await openDelivering(cloud, id);
    peer.sendBinary(deliver(1, event('halt')));
    await expectClose(peer, 4000);
    await calls(2);
    expect(store.calls.at(-1)).toBe(`setHandled /fedecks ${id} 0 E 1`);
  });

  it('sees the message in messages$, and which delivery it is', async () => {
    const seen = new Inbox<UpstreamMessage>('message');
    cloud.fedecks.messages$.subscribe((message) => seen.put(message));
    const peer = await openDelivering(cloud, id);
    peer.sendBinary(deliver(1, event('plain', 3)));
    const { message, delivery } = await seen.next();
    expect(message).toEqual(pair('plain', 3));
    expect(delivery).toMatchObject({ lane: 0, seq: 1, epoch: 'E', attempt: 1 });
  });

  it('is told apart in messages$ from what is only sent', async () => {
    const seen = new Inbox<UpstreamMessage>('message');
    cloud.fedecks.messages$.subscribe((message) => seen.put(message));
    const peer = await openDelivering(cloud, id);
    peer.sendBinary(term(event('plain', 3)));
    expect(await seen.next()).toMatchObject({ message: pair('plain', 3), delivery: undefined });
  });
});

describe('the store', () => {
  it('is not asked for a device that does not deliver', async () => {
    await start();
    const peer = await cloud.open({ deviceId: id, headers: PROTOCOL_2 });
    peer.sendBinary(term(event('echo', 1)));
    await expectBinary(peer, term(int(1)));
    expect(store.calls).toEqual([]);
  });

  it('is asked again when it has failed', async () => {
    await start();
    store.failing = 2;
    const peer = await openDelivering(cloud, id);
    expect(store.calls).toHaveLength(3);
    store.failing = 2;
    peer.sendBinary(deliver(1, event('plain')));
    await expectAck(peer, 1);
    expect([store.calls.length, happened.size]).toEqual([6, 1]);
  });

  it('is asked again when it answers what is no answer', async () => {
    const claim = jest.fn<() => unknown>().mockReturnValue({ generation: 1, handled: [{ lane: 9 }] });
    const setHandled = jest.fn<() => unknown>().mockReturnValue('yes');
    await start({ deliveryStore: Object.assign(new Store(), { claim, setHandled }) });
    const peer = await cloud.open({ deviceId: id, headers: PROTOCOL_2 });
    peer.sendBinary(resume());
    await eventually(
      () => claim.mock.calls.length,
      (length) => length === 2,
    );
    claim.mockReturnValue({ generation: 1, handled: [] });
    await expectBinary(peer, resume());
    peer.sendBinary(deliver(1, event('plain')));
    await eventually(
      () => setHandled.mock.calls.length,
      (length) => length === 2,
    );
    setHandled.mockReturnValue(true);
    await expectAck(peer, 1);
  });

  it('closes with 1002 what is delivered before it has answered', async () => {
    await start();
    store.held = new Promise(() => undefined);
    const peer = await cloud.open({ deviceId: id, headers: PROTOCOL_2 });
    peer.sendBinary(resume());
    peer.sendBinary(deliver(1, event('plain')));
    await expectClose(peer, 1002);
  });

  it('ends the connection with 4152, and stops its handlers, when another node has claimed the device', async () => {
    await start();
    const peer = await openDelivering(cloud, id);
    peer.sendBinary(deliver(1, event('endless'), { lane: 1 }));
    peer.sendBinary(deliver(1, event('observable'), { lane: 2 }));
    // The last, as what comes after a promise waits for it.
    peer.sendBinary(deliver(1, event('patient')));
    for (let lane = 0; lane < 3; lane++) expect(await happened.next()).toBe('begun');
    await store.claim('/fedecks', id);
    finish();
    await expectClose(peer, 4152);
    expect([await happened.next(), await happened.next()]).toEqual(['aborted', 'aborted']);
    const again = await openDelivering(cloud, id);
    // It was handled here, and nowhere else.
    again.sendBinary(deliver(1, event('observable'), { lane: 2 }));
    await expectAck(again, 1, 2);
    again.sendBinary(deliver(1, event('plain')));
    await expectAck(again, 1);
    again.sendBinary(deliver(1, event('plain'), { lane: 1 }));
    await expectAck(again, 1, 1);
    expect(cloud.errors.size).toBe(0);
  });

  it('outlives the app: what was handled is not handled again', async () => {
    await start();
    const peer = await openDelivering(cloud, id);
    peer.sendBinary(deliver(1, event('plain')));
    await expectAck(peer, 1);
    await cloud.close();
    await start();
    const again = await openDelivering(cloud, id, [[0, 'E', 1]]);
    again.sendBinary(deliver(1, event('plain')));
    await expectAck(again, 1);
    expect(happened.size).toBe(1);
  });
});

describe('the life of a connection', () => {
  const order: string[] = [];
  const finishOf = new Map<string, () => void>();
  const until = async (name: string): Promise<void> => {
    order.push(`${name} begins`);
    await new Promise<void>((resolve) => finishOf.set(name, resolve));
    order.push(`${name} ends`);
  };

  @Injectable()
  class Life {
    @OnConnected()
    connected() {
      return until('connected');
    }

    @OnMessage('work')
    work() {
      return until('work');
    }

    @OnDisconnected()
    disconnected() {
      order.push('disconnected');
    }
  }

  const begun = (name: string): Promise<void> =>
    eventually(
      () => finishOf.has(name),
      (has) => has,
    ).then(() => undefined);

  beforeEach(async () => {
    order.length = 0;
    finishOf.clear();
    cloud = await startCloud({ deliveryStore: store }, [Life]);
  });

  it('begins with @OnConnected, also where all else are deliveries, and ends with @OnDisconnected', async () => {
    const peer = await openDelivering(cloud, id);
    await begun('connected');
    peer.sendBinary(deliver(1, event('work')));
    // The pong is answered, so the delivery has been read.
    peer.write(frame(OPCODE.ping, 'x'));
    expect((await peer.expectFrame()).opcode).toBe(OPCODE.pong);
    expect(order).toEqual(['connected begins']);
    finishOf.get('connected')!();
    await begun('work');
    peer.reset();
    await noDevices();
    expect(order).toEqual(['connected begins', 'connected ends', 'work begins']);
    finishOf.get('work')!();
    await eventually(
      () => order.at(-1),
      (last) => last === 'disconnected',
    );
    expect(order.slice(-2)).toEqual(['work ends', 'disconnected']);
  });

  it('is not over for a drain before a lane has finished', async () => {
    const peer = await openDelivering(cloud, id);
    await begun('connected');
    finishOf.get('connected')!();
    peer.sendBinary(deliver(1, event('work')));
    await begun('work');
    let isClosed = false;
    const closed = cloud.shutDown().then(() => (isClosed = true));
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect([isClosed, order.at(-1)]).toEqual([false, 'work begins']);
    finishOf.get('work')!();
    await expectAck(peer, 1);
    await expectClose(peer, 4000);
    peer.destroy();
    await closed;
    expect(order.slice(-2)).toEqual(['work ends', 'disconnected']);
  });
});

describe('a device that comes back', () => {
  it('while its handler runs has the message handled once', async () => {
    await start();
    const peer = await openDelivering(cloud, id);
    peer.sendBinary(deliver(1, event('promise')));
    expect(await happened.next()).toBe('begun');
    peer.reset();
    const again = await openDelivering(cloud, id);
    again.sendBinary(deliver(1, event('promise')));
    again.sendBinary(deliver(2, event('plain'), { epoch: '' }));
    finish();
    await expectAck(again, 1);
    await expectAck(again, 2);
    expect(happened.size).toBe(1);
  });

  it('after its handler has finished is told so', async () => {
    await start();
    const peer = await openDelivering(cloud, id);
    peer.sendBinary(deliver(1, event('promise')));
    expect(await happened.next()).toBe('begun');
    peer.reset();
    await noDevices();
    finish();
    await calls(2);
    await openDelivering(cloud, id, [[0, 'E', 1]]);
  });

  it('while what was handled is being stored has it handled once', async () => {
    await start();
    const peer = await openDelivering(cloud, id);
    let release!: () => void;
    store.held = new Promise((resolve) => (release = resolve));
    peer.sendBinary(deliver(1, event('plain')));
    await calls(2);
    peer.reset();
    const again = await cloud.open({ deviceId: id, headers: PROTOCOL_2 });
    again.sendBinary(resume());
    await calls(3);
    release();
    store.held = undefined;
    await expectBinary(again, resume([[0, 'E', 1]]));
    again.sendBinary(deliver(1, event('plain')));
    await expectAck(again, 1);
    expect(happened.size).toBe(1);
  });

  it('and delivers on two connections loses the older, with 4152', async () => {
    await start({ duplicates: 'allow' });
    const silent = await cloud.open({ deviceId: id, headers: PROTOCOL_2 });
    const older = await openDelivering(cloud, id);
    const newer = await openDelivering(cloud, id);
    await expectClose(older, 4152);
    newer.sendBinary(deliver(1, event('plain')));
    await expectAck(newer, 1);
    silent.sendBinary(term(event('echo', 1)));
    await expectBinary(silent, term(int(1)));
  });
});

describe('a shutdown', () => {
  it('tells handlers to stop that still run after drainMs: the end of their connection does not', async () => {
    await start({ drainMs: 0 });
    const peer = await openDelivering(cloud, id);
    peer.sendBinary(deliver(1, event('endless')));
    expect(await happened.next()).toBe('begun');
    peer.reset();
    await cloud.disconnected.next();
    expect(happened.size).toBe(0);
    await cloud.shutDown();
    expect(await happened.next()).toBe('aborted');
  });

  it('acknowledges what is being handled, and begins nothing more', async () => {
    await start();
    const peer = await openDelivering(cloud, id);
    peer.sendBinary(deliver(1, event('promise')));
    peer.sendBinary(deliver(2, event('plain')));
    expect(await happened.next()).toBe('begun');
    const handlers = cloud.get(Handlers);
    const closed = cloud.shutDown();
    await new Promise((resolve) => setImmediate(resolve));
    handlers.finish.shift()!();
    await expectAck(peer, 1);
    await expectClose(peer, 4000);
    peer.destroy();
    await closed;
    expect(happened.size).toBe(0);
  });

  it('stores what was handled on a connection that is lost', async () => {
    await start();
    const peer = await openDelivering(cloud, id);
    peer.sendBinary(deliver(1, event('promise')));
    expect(await happened.next()).toBe('begun');
    peer.reset();
    await noDevices();
    let release!: () => void;
    store.held = new Promise((resolve) => (release = resolve));
    const handlers = cloud.get(Handlers);
    let isClosed = false;
    const closed = cloud.shutDown().then(() => (isClosed = true));
    handlers.finish.shift()!();
    await calls(2);
    await cloud.disconnected.next();
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(isClosed).toBe(false);
    release();
    await closed;
    await expect(store.claim('/fedecks', id)).resolves.toMatchObject({ handled: [{ seq: 1 }] });
  });
});

describe('an app', () => {
  it('answers no_handler for an event that no handler takes, and logs once that its store is in memory', async () => {
    await start();
    const lines: string[] = [];
    const record = (line: unknown): number => lines.push(String(line));
    const app = await startApp({
      providers: [Handlers],
      setUp: (nest) => nest.useLogger({ log: record, warn: record, error: record }),
    });
    expect(lines.join()).not.toMatch(/in memory/);
    const peer = await RawPeer.connect(portOf(app));
    peer.write(upgradeRequest({ headers: { ...PROTOCOL_2, 'x-fedecks-auth': loginHeader(id) } }));
    await peer.response();
    peer.sendBinary(resume());
    await expectBinary(peer, resume());
    peer.sendBinary(deliver(1, event('unknown')));
    await expectBinary(peer, nack(1, 'no_handler', 'no handler takes this event'));
    expect(await app.errors.next()).toMatchObject({ deviceId: id, type: 'unhandled_message' });
    expect(
      lines.filter((line) => line.includes('The cloud keeps in memory which deliveries were handled')),
    ).toHaveLength(1);
    peer.destroy();
    await app.close();
  });

  it('counts deliveries and acknowledgements in its metrics', async () => {
    const counts = new Inbox<string>('count');
    const metrics = {
      count: (name: string, labels: Readonly<Record<string, string>>) =>
        counts.put(`${name} ${labels['handler'] ?? labels['kind'] ?? labels['answer'] ?? ''}`),
      observe: () => undefined,
    };
    await start({ metrics });
    const peer = await openDelivering(cloud, id);
    counts.clear();
    peer.sendBinary(deliver(1, event('plain')));
    await expectAck(peer, 1);
    const counted = [];
    while (counts.size > 0) counted.push(await counts.next());
    expect(counted).toEqual([
      'fedecks_messages_received_total Handlers.plain',
      'fedecks_received_bytes_total ',
      'fedecks_messages_sent_total ack',
      'fedecks_sent_bytes_total ',
      'fedecks_device_deliveries_total acknowledged',
    ]);
  });
});

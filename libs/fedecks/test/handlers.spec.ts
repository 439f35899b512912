/**
 * Handlers as an application sees them, over real sockets: what a handler may return, its parameters,
 * and which one runs. handlers-flow.spec.ts tests many messages, handlers-nest.spec.ts the Nest features.
 */
import { Injectable } from '@nestjs/common';
import {
  type ConnectedDevice,
  Device,
  DeviceId,
  type DisconnectCause,
  Fedecks,
  type MessageGuard,
  OnConnected,
  OnDisconnected,
  OnMessage,
  OnRawMessage,
  Payload,
  stop,
} from '@fedecks/nest';
import { type FakeDevice } from '@fedecks/nest/testing';
import { atom, type Term, tuple } from '@fedecks/nest/wire';
import { concat, NEVER, Observable, of, throwError } from 'rxjs';
import { type StartedApp, startApp } from './support/app.js';
import { Inbox } from './support/inbox.js';

let markers = 0;
/** Checks with a marker that nothing else was sent, and the connection is open. */
async function expectNothingMore(device: FakeDevice): Promise<void> {
  const marker = ++markers;
  device.send('marker', marker);
  await expect(device.next()).resolves.toEqual({ marker });
}

@Injectable()
class Marker {
  @OnMessage('marker')
  marker(@Payload() marker: number): Term {
    return { marker };
  }
}

async function* values(...each: unknown[]): AsyncGenerator {
  for (const value of each) yield value;
}

async function* failing(): AsyncGenerator {
  yield 1;
  throw new TypeError('no more of these');
}

interface Outcome {
  readonly returns: () => unknown;
  readonly sends?: readonly Term[];
  readonly closes?: { readonly code: number; readonly reason: string };
  /** The name of the error that `@OnSocketError` reports. */
  readonly fails?: string;
}

const OUTCOMES: Readonly<Record<string, Outcome>> = {
  undefined: { returns: () => undefined },
  null: { returns: () => null, sends: [null] },
  'a value': { returns: () => ({ led: true }), sends: [{ led: true }] },
  'a tuple': { returns: () => tuple('hi', 1), sends: [tuple('hi', 1)] },
  'a promise': { returns: async () => 'later', sends: ['later'] },
  'a promise of nothing': { returns: async () => undefined },
  'an Observable': { returns: () => of(1, undefined, null, 'three'), sends: [1, null, 'three'] },
  'an Observable of promises': { returns: () => of(Promise.resolve(1)), sends: [1] },
  'an Observable without end': { returns: () => concat(of(1, 2), NEVER), sends: [1, 2] },
  'a promise of an Observable': { returns: async () => of(1, 2), sends: [1, 2] },
  'an async iterable': { returns: () => values(1, undefined, null, 'three'), sends: [1, null, 'three'] },
  'a promise of an async iterable': { returns: async () => values(1, 2), sends: [1, 2] },
  'stop()': { returns: () => stop(), closes: { code: 1000, reason: '' } },
  'stop(code, reason)': { returns: () => stop(4321, 'enough'), closes: { code: 4321, reason: 'enough' } },
  'a promise of stop()': { returns: async () => stop(4321), closes: { code: 4321, reason: '' } },
  'an Observable that stops': {
    returns: () => of(1, stop(4321, 'enough'), 2),
    sends: [1],
    closes: { code: 4321, reason: 'enough' },
  },
  'an async iterable that stops': {
    returns: () => values(1, stop(4321), 2),
    sends: [1],
    closes: { code: 4321, reason: '' },
  },
  'what is no term': { returns: () => ({ reading: NaN }), fails: 'TermEncodeError' },
  'an Observable of what is no term': {
    returns: () => of(1, NaN, 2),
    sends: [1, 2],
    fails: 'TermEncodeError',
  },
  'a throw': {
    returns: () => {
      throw new TypeError('broken');
    },
    fails: 'TypeError',
  },
  'a throw of what is no Error': {
    returns: () => {
      // eslint-disable-next-line @typescript-eslint/only-throw-error -- some libraries do
      throw 'broken';
    },
    fails: 'string',
  },
  'a rejection': { returns: () => Promise.reject(new TypeError('broken')), fails: 'TypeError' },
  'an Observable that fails': {
    returns: () =>
      concat(
        of(1),
        throwError(() => new TypeError('broken')),
      ),
    sends: [1],
    fails: 'TypeError',
  },
  'an async iterable that fails': { returns: () => failing(), sends: [1], fails: 'TypeError' },
};

const isList: MessageGuard<Term[]> = (message): message is Term[] => Array.isArray(message);

@Injectable()
class Hooks {
  connected: () => unknown = () => undefined;
  message: () => unknown = () => undefined;
  disconnected: () => unknown = () => undefined;

  @OnConnected()
  onConnected(): unknown {
    return this.connected();
  }

  @OnMessage('event')
  onEvent(): unknown {
    return this.message();
  }

  @OnMessage(isList)
  onList(): unknown {
    return this.message();
  }

  @OnMessage()
  onAny(): unknown {
    return this.message();
  }

  @OnRawMessage()
  onRaw(): unknown {
    return this.message();
  }

  @OnDisconnected()
  onDisconnected(): unknown {
    return this.disconnected();
  }
}

describe('the result of a handler', () => {
  let app: StartedApp;
  let hooks: Hooks;
  beforeAll(async () => {
    app = await startApp({ providers: [Hooks, Marker] });
    hooks = app.nest.get(Hooks);
  });
  beforeEach(() => {
    hooks.connected = hooks.message = hooks.disconnected = () => undefined;
    app.errors.clear();
  });
  afterAll(() => app.close());

  /** Triggers each hook, and returns its device. */
  const triggers: Readonly<Record<string, (returns: () => unknown) => Promise<FakeDevice>>> = {
    '@OnConnected()': (returns) => {
      hooks.connected = returns;
      return app.device();
    },
    "@OnMessage('event')": (returns) => sending(returns, (device) => device.send('event', 1)),
    '@OnMessage(guard)': (returns) => sending(returns, (device) => device.send([1, 2, 3])),
    '@OnMessage()': (returns) => sending(returns, (device) => device.send('hello')),
    '@OnRawMessage()': (returns) => sending(returns, (device) => device.sendRaw(Uint8Array.of(1))),
  };

  async function sending(returns: () => unknown, send: (device: FakeDevice) => void): Promise<FakeDevice> {
    hooks.message = returns;
    const device = await app.device();
    send(device);
    return device;
  }

  describe.each(Object.keys(triggers))('from %s', (hook) => {
    it.each(Object.keys(OUTCOMES))('handles %s', async (name) => {
      const { returns, sends = [], closes, fails } = OUTCOMES[name]!;
      const device = await triggers[hook]!(returns);
      for (const message of sends) await expect(device.next()).resolves.toEqual(message);
      if (fails !== undefined) {
        await expect(app.errors.next()).resolves.toMatchObject({
          deviceId: device.id,
          type: 'handler_failed',
          info: expect.stringMatching(new RegExp(`^Hooks\\.on\\w+: ${fails}$`)) as unknown,
        });
      }
      if (closes) {
        await expect(device.closed).resolves.toEqual(closes);
        await expect(device.next()).rejects.toThrow('was closed');
      } else {
        await expectNothingMore(device);
        await device.disconnect();
      }
    });
  });

  it.each(Object.keys(OUTCOMES))(
    'is handled in @OnDisconnected(), where no reply is possible: %s',
    async (name) => {
      const { returns, fails } = OUTCOMES[name]!;
      const ran = new Inbox<string>('disconnect');
      hooks.disconnected = () => {
        ran.put('ran');
        return returns();
      };
      const device = await app.device();
      await device.disconnect();
      await ran.next();
      if (fails && !name.includes('Observable') && !name.includes('iterable') && name !== 'what is no term') {
        await expect(app.errors.next()).resolves.toMatchObject({
          deviceId: device.id,
          info: expect.stringMatching(new RegExp(`^Hooks\\.on\\w+: ${fails}$`)) as unknown,
        });
      }
      hooks.disconnected = () => undefined;
      const other = await app.device();
      await expectNothingMore(other);
      await other.disconnect();
    },
  );

  const endings: Readonly<Record<string, (device: FakeDevice) => Promise<unknown>>> = {
    'the device disconnects': (device) => device.disconnect(),
    'the app disconnects it': (device) => app.nest.get(Fedecks).disconnect(device.id),
    'a newer connection replaces it': async (device) => (await app.device(device.id)).disconnect(),
    'its handler stops it': async (device) => {
      hooks.message = () => stop();
      device.send('hello');
    },
  };

  it.each(Object.keys(endings))('is unsubscribed, if an Observable, when %s', async (how) => {
    const teardowns = new Inbox<string>('unsubscribe');
    hooks.message = () =>
      new Observable((subscriber) => {
        subscriber.next('subscribed');
        return () => teardowns.put('unsubscribed');
      });
    const device = await app.device();
    device.send('hello');
    await expect(device.next()).resolves.toBe('subscribed');
    expect(teardowns.size).toBe(0);
    await endings[how]!(device);
    await teardowns.next();
  });

  it.each(Object.keys(endings))('is ended by return(), if an async iterable, when %s', async (how) => {
    const returned = new Inbox<string>('return of the iterable');
    hooks.message = () => ({
      [Symbol.asyncIterator]: () => {
        let asked = 0;
        return {
          next: () => (asked++ === 0 ? Promise.resolve({ value: 'begun' }) : new Promise(() => undefined)),
          return: async () => {
            returned.put('returned');
            return { done: true, value: undefined };
          },
        };
      },
    });
    const device = await app.device();
    device.send('hello');
    await expect(device.next()).resolves.toBe('begun');
    expect(returned.size).toBe(0);
    await endings[how]!(device);
    await returned.next();
  });
});

@Injectable()
class Parameters {
  readonly seen = new Inbox<readonly unknown[]>('call');

  @OnMessage('undecorated')
  undecorated(payload: Term, device: ConnectedDevice): void {
    this.seen.put([payload, device]);
  }

  @OnMessage('none')
  none(...given: unknown[]): void {
    this.seen.put(given);
  }

  @OnMessage('payload')
  payload(@Payload() payload: Term): void {
    this.seen.put([payload]);
  }

  @OnMessage('all')
  all(
    @Device() device: ConnectedDevice,
    _other: unknown,
    @Payload() payload: Term,
    @DeviceId() id: string,
  ): void {
    this.seen.put([device, _other, payload, id]);
  }

  @OnMessage('property')
  property(@Payload('celsius') celsius: unknown, @Payload('constructor') inherited: unknown): void {
    this.seen.put([celsius, inherited]);
  }

  @OnRawMessage()
  raw(@Payload() bytes: Uint8Array, @DeviceId() id: string): void {
    this.seen.put([Buffer.from(bytes).toString('hex'), id]);
  }

  @OnDisconnected()
  gone(@Payload() cause: DisconnectCause, @Device() device: ConnectedDevice): void {
    this.seen.put([cause, device]);
  }
}

describe('the parameters of a handler', () => {
  let app: StartedApp;
  let device: FakeDevice;
  beforeAll(async () => {
    app = await startApp({
      providers: [Parameters],
      options: { authenticator: { authenticate: () => ({ claims: { site: 'north' } }) } },
    });
    device = await app.device('nerves-242a');
  });
  afterAll(() => app.close());

  const seen = () => app.nest.get(Parameters).seen.next();
  const connected = {
    id: 'nerves-242a',
    claims: { site: 'north' },
    endpoint: '/fedecks',
    remoteAddress: '127.0.0.1',
    since: expect.any(Number) as number,
  };

  it('are the payload and the device without decorators', async () => {
    device.send('undecorated', { celsius: 21.5 });
    await expect(seen()).resolves.toEqual([{ celsius: 21.5 }, connected]);
    device.send('none', 1);
    await expect(seen()).resolves.toEqual([1, connected]);
  });

  it('are what their decorators select, in any order', async () => {
    device.send('payload', [1, 2]);
    await expect(seen()).resolves.toEqual([[1, 2]]);
    device.send('all', 'x');
    await expect(seen()).resolves.toEqual([connected, undefined, 'x', 'nerves-242a']);
  });

  it('may be own properties of the payload', async () => {
    device.send('property', { celsius: 21.5 });
    await expect(seen()).resolves.toEqual([21.5, undefined]);
    device.send('property', null);
    await expect(seen()).resolves.toEqual([undefined, undefined]);
    device.send('property', 'text');
    await expect(seen()).resolves.toEqual([undefined, undefined]);
  });

  it('include the bytes of a raw message', async () => {
    device.sendRaw(Uint8Array.of(1, 2, 255));
    await expect(seen()).resolves.toEqual(['0102ff', 'nerves-242a']);
  });

  it('include the cause of a disconnect', async () => {
    await device.disconnect();
    await expect(seen()).resolves.toEqual([{ type: 'closed_by_device', code: 1000 }, connected]);
  });
});

const isBatch: MessageGuard = (message): message is Term => Array.isArray(message) && message[0] === 'batch';
const isPair: MessageGuard = (message): message is Term => Array.isArray(message) && message.length === 2;

@Injectable()
class Routes {
  // Declared first, but matched last.
  @OnMessage()
  any(message: Term): Term {
    return { any: message };
  }

  @OnMessage(isBatch)
  batch(message: Term): Term {
    return { batch: message };
  }

  @OnMessage(isPair)
  pair(message: Term): Term {
    return { pair: message };
  }

  @OnMessage('temperature')
  @OnMessage('humidity')
  measured(payload: Term): Term {
    return { measured: payload };
  }

  @OnMessage('ok')
  ok(payload: Term): Term {
    return { ok: payload };
  }
}

describe('routing to handlers', () => {
  let app: StartedApp;
  let device: FakeDevice;
  beforeAll(async () => {
    app = await startApp({ providers: [Routes] });
    device = await app.device();
  });
  afterAll(() => app.close());

  it.each<[string, Term, Term]>([
    ['a tuple of a name and a payload', tuple('temperature', 21.5), { measured: 21.5 }],
    ['a list of the same', ['temperature', 21.5], { measured: 21.5 }],
    ['a pair named by an atom', tuple(atom('ok'), 1), { ok: 1 }],
    ['a map with event and data', { event: 'temperature', data: 21.5 }, { measured: 21.5 }],
    ['a map with an event alone', { event: 'ok' }, { ok: null }],
    ['another event of the same method', tuple('humidity', 40), { measured: 40 }],
    ['a message the first guard takes', ['batch', 1], { batch: ['batch', 1] }],
    ['a message only the second guard takes', ['other', 1], { pair: ['other', 1] }],
    ['a string', 'temperature', { any: 'temperature' }],
    ['a list of three', ['temperature', 1, 2], { any: ['temperature', 1, 2] }],
    ['a map without event', { data: 1 }, { any: { data: 1 } }],
    ['an atom', atom('ok'), { any: atom('ok') }],
  ])(
    'matches the exact name, then guards in order, then the catch-all: %s',
    async (_what, message, reply) => {
      device.send(message);
      await expect(device.next()).resolves.toEqual(reply);
    },
  );

  it('reports a message without a handler, and keeps the connection', async () => {
    device.sendRaw(Uint8Array.of(1));
    await expect(app.errors.next()).resolves.toMatchObject({
      deviceId: device.id,
      type: 'unhandled_message',
    });
    await device.disconnect();
  });

  it('runs every @OnConnected() and @OnDisconnected(), in all classes', async () => {
    const told = new Inbox<string>('call');
    @Injectable()
    class First {
      @OnConnected()
      connected() {
        told.put('first');
        return 'from first';
      }
      @OnDisconnected()
      gone() {
        told.put('first gone');
        throw new Error('and the others run all the same');
      }
    }
    @Injectable()
    class Second {
      @OnConnected()
      async connected() {
        told.put('second');
        return 'from second';
      }
      @OnDisconnected()
      gone() {
        told.put('second gone');
      }
    }
    const both = await startApp({ providers: [First, Second, Marker] });
    const greeted = await both.device();
    await expect(greeted.next()).resolves.toBe('from first');
    await expect(greeted.next()).resolves.toBe('from second');
    await expectNothingMore(greeted);
    await greeted.disconnect();
    for (const who of ['first', 'second', 'first gone', 'second gone'])
      await expect(told.next()).resolves.toBe(who);
    await both.close();
    expect(told.size).toBe(0);
  });
});

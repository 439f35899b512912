/** Requests and streams between an app and a real client, in both directions. */
import { type AddressInfo, type Server } from 'node:net';
import { BadRequestException, ForbiddenException, Injectable, ParseIntPipe, UseGuards } from '@nestjs/common';
import {
  AbortSignal as Signal,
  ConnectionLostError,
  DeviceId,
  DeviceOfflineError,
  NotSupportedError,
  OnMessage,
  Payload,
  RequestFailedError,
  RequestTimeoutError,
  stop,
} from '@fedecks/nest';
import {
  FedecksClient,
  MemoryTokenStore,
  NotConnectedError,
  ReservedMessageError,
} from '@fedecks/nest/client';
import { FakeDevice } from '@fedecks/nest/testing';
import { type Term, tuple } from '@fedecks/nest/wire';
import { concat, lastValueFrom, NEVER, of, toArray } from 'rxjs';
import { startApp, type StartedApp } from './support/app.js';
import { eventually } from './support/eventually.js';
import { Inbox } from './support/inbox.js';

class Never {
  canActivate(): boolean {
    return false;
  }
}

@Injectable()
class Greenhouse {
  readonly happened = new Inbox<unknown>('call of a handler');

  @OnMessage('config')
  config(@Payload() payload: Term, @DeviceId() id: string) {
    return { payload, id };
  }

  @OnMessage('nothing')
  nothing() {
    this.happened.put('nothing');
  }

  @OnMessage('late')
  async late() {
    await new Promise((resolve) => setTimeout(resolve, 20));
    return 'at last';
  }

  @OnMessage('count')
  *count() {
    yield 1;
    yield 2;
    yield 3;
  }

  @OnMessage('values')
  values() {
    return of('a', Promise.resolve('b'));
  }

  @OnMessage('boom')
  boom() {
    throw new Error('the password is swordfish');
  }

  @OnMessage('bad request')
  badRequest() {
    throw new BadRequestException('give a sensor');
  }

  @OnMessage('guarded')
  @UseGuards(Never)
  guarded() {
    return 'never';
  }

  @OnMessage('number')
  number(@Payload(ParseIntPipe) number: number) {
    return number;
  }

  @OnMessage('NaN')
  nan() {
    return NaN;
  }

  @OnMessage('hang')
  hang(@Signal() signal: AbortSignal) {
    this.happened.put('begun');
    return new Promise<void>((resolve) => {
      signal.addEventListener('abort', () => {
        this.happened.put('aborted');
        resolve();
      });
    });
  }

  @OnMessage('follow')
  follow(@Signal() signal: AbortSignal) {
    signal.addEventListener('abort', () => this.happened.put('stream aborted'));
    return concat(of(1, 2), NEVER);
  }

  @OnMessage('stop')
  stop() {
    return stop(4000);
  }

  @OnMessage('forbidden')
  forbidden() {
    throw new ForbiddenException();
  }
}

let app: StartedApp;
let client: FedecksClient;
let greenhouse: Greenhouse;

function urlOf(started: StartedApp): string {
  const { port } = (started.nest.getHttpServer() as Server).address() as AddressInfo;
  return `ws://127.0.0.1:${port}/fedecks/websocket`;
}

async function connect(deviceId = 'nerves-242a'): Promise<FedecksClient> {
  const made = new FedecksClient({
    url: urlOf(app),
    deviceId,
    tokenStore: new MemoryTokenStore(),
    closeTimeoutMs: 50,
    retryMinMs: 5_000,
    retryMaxMs: 5_000,
  });
  await made.login({ password: 'open sesame' });
  return made;
}

async function failureOf(promise: Promise<unknown>): Promise<Error> {
  return promise.then(
    (value) => Promise.reject(new Error(`It resolved with ${JSON.stringify(value)}.`)),
    (error: unknown) => error as Error,
  );
}

beforeEach(async () => {
  app = await startApp({ providers: [Greenhouse] });
  greenhouse = app.nest.get(Greenhouse);
  client = await connect();
});
afterEach(async () => {
  await client.stop();
  await app.close();
});

describe('a request of a device', () => {
  it('resolves with what the handler returns', async () => {
    await expect(client.request('config', { version: 7 })).resolves.toEqual({
      payload: { version: 7 },
      id: 'nerves-242a',
    });
    await expect(client.request('late', null)).resolves.toBe('at last');
  });

  it('resolves with null when the handler returns nothing', async () => {
    await expect(client.request('nothing', 1)).resolves.toBeNull();
  });

  it('resolves with the last value of a stream', async () => {
    await expect(client.request('count', null)).resolves.toBe(3);
    await expect(client.request('values', null)).resolves.toBe('b');
  });

  it.each([
    ['no handler', 'unknown', null, 'no_handler', 'no handler takes this event'],
    ['a handler that throws', 'boom', null, 'failed', 'internal error'],
    ['an HttpException', 'bad request', null, 'invalid', 'give a sensor'],
    ['a guard', 'guarded', null, 'invalid', 'Forbidden resource'],
    ['a pipe', 'number', 'seven', 'invalid', 'Validation failed (numeric string is expected)'],
    ['a result that is no term', 'NaN', null, 'failed', 'internal error'],
  ])('rejects after %s', async (_what, event, payload, code, text) => {
    const error = await failureOf(client.request(event, payload));
    expect(error).toBeInstanceOf(RequestFailedError);
    expect(error).toMatchObject({ code, text });
  });

  it('reports the error of the handler to the cloud', async () => {
    await failureOf(client.request('boom', null));
    await expect(app.errors.next()).resolves.toMatchObject({
      deviceId: 'nerves-242a',
      type: 'handler_failed',
      info: 'Greenhouse.boom: Error',
    });
    await failureOf(client.request('unknown', null));
    await expect(app.errors.next()).resolves.toMatchObject({ type: 'unhandled_message' });
  });

  it('rejects when its time is up, and stops the handler', async () => {
    const error = await failureOf(client.request('hang', null, { timeoutMs: 50 }));
    expect(error).toBeInstanceOf(RequestTimeoutError);
    expect(error).toMatchObject({ code: 'timeout', timeoutMs: 50 });
    expect(await greenhouse.happened.next()).toBe('begun');
    expect(await greenhouse.happened.next()).toBe('aborted');
  });

  it('is not run when its time has passed in the mailbox', async () => {
    const hanging = failureOf(client.request('hang', null, { timeoutMs: 300 }));
    expect(await greenhouse.happened.next()).toBe('begun');
    const error = await failureOf(client.request('nothing', null, { timeoutMs: 50 }));
    expect(error).toBeInstanceOf(RequestTimeoutError);
    await hanging;
    expect(await greenhouse.happened.next()).toBe('aborted');
  });

  it('cancels with its signal, and stops the handler', async () => {
    const controller = new AbortController();
    const request = failureOf(client.request('hang', null, { signal: controller.signal }));
    expect(await greenhouse.happened.next()).toBe('begun');
    controller.abort(new Error('not needed any more'));
    expect((await request).message).toBe('not needed any more');
    expect(await greenhouse.happened.next()).toBe('aborted');
  });

  it('rejects when the connection ends', async () => {
    expect(await failureOf(client.request('stop', null))).toBeInstanceOf(ConnectionLostError);
  });

  it('rejects when there is no connection', async () => {
    await client.stop();
    const other = new FedecksClient({
      url: urlOf(app),
      deviceId: 'other',
      tokenStore: new MemoryTokenStore(),
    });
    expect(await failureOf(other.request('config', null))).toBeInstanceOf(NotConnectedError);
    await other.stop();
  });

  it('rejects an option that does not exist', async () => {
    const error = await failureOf(app.fedecks.request('nerves-242a', 'read', null, { timeout: 5 } as never));
    expect(error).toEqual(
      new RangeError("A request: option 'timeout' does not exist (have: timeoutMs, signal)."),
    );
  });

  it.each([0, 600_001, NaN])('rejects a timeout of %s ms', async (timeoutMs) => {
    expect(await failureOf(client.request('config', null, { timeoutMs }))).toBeInstanceOf(RangeError);
  });

  it('rejects a payload that is no term, and sends nothing', async () => {
    const error = await failureOf(client.request('config', NaN));
    expect(error).toMatchObject({ name: 'TermEncodeError' });
    await expect(client.request('config', 1)).resolves.toMatchObject({ payload: 1 });
  });

  it('rejects as busy when 64 are open', async () => {
    const open = Array.from({ length: 64 }, () => new AbortController());
    const failures = open.map(({ signal }) => failureOf(client.request('hang', null, { signal })));
    expect(await failureOf(client.request('nothing', null))).toMatchObject({ code: 'busy' });
    for (const controller of open) controller.abort();
    await Promise.all(failures);
    await expect(client.request('nothing', null)).resolves.toBeNull();
  });
});

describe('a request of the cloud', () => {
  it('resolves with what the device returns', async () => {
    client.onRequest('read', (payload) => ({ read: payload }));
    await expect(app.fedecks.request('nerves-242a', 'read', { sensor: 3 })).resolves.toEqual({
      read: { sensor: 3 },
    });
  });

  it('is not among the messages of the device', async () => {
    const seen: Term[] = [];
    client.messages$.subscribe((message) => seen.push(message));
    client.onRequest('read', () => 1);
    await app.fedecks.request('nerves-242a', 'read', null);
    await app.fedecks.push('nerves-242a', ['last', 1]);
    await eventually(
      () => seen,
      (messages) => messages.length > 0,
    );
    expect(seen).toEqual([['last', 1]]);
  });

  it('rejects when the device is not connected', async () => {
    const error = await failureOf(app.fedecks.request('nobody', 'read', null));
    expect(error).toBeInstanceOf(DeviceOfflineError);
    expect(error).toMatchObject({ code: 'offline' });
  });

  it('rejects when the device speaks protocol 1', async () => {
    const device = await FakeDevice.connect(app.nest, { id: 'old', protocol: 1 });
    expect(await failureOf(app.fedecks.request('old', 'read', null))).toBeInstanceOf(NotSupportedError);
    await device.disconnect();
  });

  it('rejects with no_handler when the device has none', async () => {
    client.onRequest('other', () => 1)();
    expect(await failureOf(app.fedecks.request('nerves-242a', 'other', null))).toMatchObject({
      code: 'no_handler',
    });
  });

  it('rejects with failed when the handler throws, which is an event of the client', async () => {
    const events = new Inbox<{ type: string }>('event');
    client.events$.subscribe((event) => events.put(event));
    client.onRequest('read', () => {
      throw new TypeError('the password is swordfish');
    });
    expect(await failureOf(app.fedecks.request('nerves-242a', 'read', null))).toMatchObject({
      code: 'failed',
      text: 'internal error',
    });
    await expect(events.next()).resolves.toMatchObject({ type: 'observer_failed', reason: 'TypeError' });
  });

  it('rejects when the connection ends, on both sides', async () => {
    const happened = new Inbox<string>('call of a handler');
    client.onRequest('hang', (_payload, { signal }) => {
      happened.put('begun');
      signal.addEventListener('abort', () => happened.put('aborted'));
      return new Promise(() => undefined);
    });
    const request = failureOf(app.fedecks.request('nerves-242a', 'hang', null));
    expect(await happened.next()).toBe('begun');
    await app.fedecks.disconnect('nerves-242a');
    expect(await request).toBeInstanceOf(ConnectionLostError);
    expect(await happened.next()).toBe('aborted');
  });

  it('refuses a second handler for an event', () => {
    client.onRequest('read', () => 1);
    expect(() => client.onRequest('read', () => 2)).toThrow(/this event has a handler already/);
  });
});

describe('a stream', () => {
  it('gives all values of a device, and ends', async () => {
    client.onRequest('logs', async function* () {
      yield 'one';
      await Promise.resolve();
      yield 'two';
    });
    const values = app.fedecks.stream('nerves-242a', 'logs', null).pipe(toArray());
    await expect(lastValueFrom(values)).resolves.toEqual(['one', 'two']);
  });

  it('gives all values of the cloud, and ends', async () => {
    await expect(lastValueFrom(client.stream('count', null).pipe(toArray()))).resolves.toEqual([1, 2, 3]);
    await expect(lastValueFrom(client.stream('config', 1).pipe(toArray()))).resolves.toEqual([
      { payload: 1, id: 'nerves-242a' },
    ]);
  });

  it('stops the handler when it is unsubscribed', async () => {
    const values: Term[] = [];
    const subscription = client.stream('follow', null).subscribe((value) => values.push(value));
    await eventually(
      () => values,
      (seen) => seen.length === 2,
    );
    subscription.unsubscribe();
    expect(await greenhouse.happened.next()).toBe('stream aborted');
  });

  it('fails when the connection ends', async () => {
    client.onRequest('logs', () => concat(of(1), NEVER));
    const failed = new Inbox<Error>('error');
    app.fedecks.stream('nerves-242a', 'logs', null).subscribe({ error: (error: Error) => failed.put(error) });
    await new Promise((resolve) => setTimeout(resolve, 50));
    await client.stop();
    expect(await failed.next()).toBeInstanceOf(ConnectionLostError);
  });

  it('fails when the device is offline, and survives an observer that throws', async () => {
    const failed = new Inbox<Error>('error');
    app.fedecks.stream('nobody', 'logs', null).subscribe({ error: (error: Error) => failed.put(error) });
    expect(await failed.next()).toBeInstanceOf(DeviceOfflineError);
    client.stream('count', null).subscribe(() => {
      throw new Error('an observer failed');
    });
    await expect(client.request('nothing', null)).resolves.toBeNull();
  });
});

describe('both sides at once', () => {
  it('lets handlers ask the other side while it asks them', async () => {
    client.onRequest('sensor', async (payload) => client.request('config', payload));
    const answers = Array.from({ length: 20 }, (_, index) =>
      app.fedecks.request('nerves-242a', 'sensor', index),
    );
    await expect(Promise.all(answers)).resolves.toHaveLength(20);
  });
});

describe('messages that look like control messages', () => {
  const reserved = tuple([...Buffer.from('request')], 1, 2, 'x');

  it('are refused by send and push', async () => {
    await expect(client.send(reserved)).rejects.toBeInstanceOf(ReservedMessageError);
    await expect(
      client.sendRaw(Buffer.from('8368046b000772657175657374610161026178', 'hex')),
    ).rejects.toBeInstanceOf(ReservedMessageError);
    await expect(app.fedecks.push('nerves-242a', reserved)).rejects.toBeInstanceOf(ReservedMessageError);
  });
});

/** Requests of a real cloud at a device that is a Nest app. */
import { type AddressInfo, type Server } from 'node:net';
import { HttpException, Injectable, type LoggerService, ParseIntPipe, UseGuards } from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';
import { type Fedecks, RequestFailedError, RequestTimeoutError, stop } from '@fedecks/nest';
import {
  AbortSignal as Signal,
  ConnectionLostError,
  DeviceId,
  FedecksClient,
  FedecksClientModule,
  MemoryTokenStore,
  OnMessage,
  Payload,
} from '@fedecks/nest/client-nest';
import { type Term } from '@fedecks/nest/wire';
import { concat, lastValueFrom, NEVER, of, take, toArray } from 'rxjs';
import { startApp, type StartedApp } from './support/app.js';
import { eventually } from './support/eventually.js';
import { Inbox } from './support/inbox.js';

const ID = 'nerves-242a';

class Never {
  canActivate(): boolean {
    return false;
  }
}

@Injectable()
class Sensors {
  readonly happened = new Inbox<unknown>('call of a handler');
  release: () => void = () => undefined;

  @OnMessage('read')
  read(@Payload('sensor') sensor: number, @DeviceId() id: string) {
    return { sensor, id };
  }

  @OnMessage('later')
  async later() {
    return 'at last';
  }

  @OnMessage('values')
  values() {
    return of(1, 2);
  }

  @OnMessage('generator')
  async *generator() {
    yield 'a';
    yield 'b';
  }

  @OnMessage('nothing')
  nothing() {
    // Returns nothing.
  }

  @OnMessage('number')
  number(@Payload(ParseIntPipe) number: number) {
    return number;
  }

  @OnMessage('guarded')
  @UseGuards(Never)
  guarded() {
    return 'never';
  }

  @OnMessage('boom')
  boom() {
    throw new Error('the password is swordfish');
  }

  @OnMessage('stop')
  stop() {
    return stop();
  }

  @OnMessage('broken')
  broken() {
    throw new HttpException('sensor 3 is broken', 500);
  }

  @OnMessage('note')
  note(@Payload() payload: Term) {
    this.happened.put(payload);
  }

  @OnMessage('wait')
  async wait() {
    this.happened.put('waiting');
    await new Promise<void>((resolve) => (this.release = resolve));
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
}

/** Records the device's log: `error` and `warn` only. */
class Log implements LoggerService {
  readonly lines: string[] = [];
  log(): void {
    // Not recorded.
  }
  error(message: unknown): void {
    this.lines.push(`error: ${String(message)}`);
  }
  warn(message: unknown): void {
    this.lines.push(`warn: ${String(message)}`);
  }
}

let cloud: StartedApp;
let fedecks: Fedecks;
let app: TestingModule;
let log: Log;
let happened: Inbox<unknown>;

async function startDevice(...handlers: (new () => object)[]): Promise<void> {
  const { port } = (cloud.nest.getHttpServer() as Server).address() as AddressInfo;
  log = new Log();
  app = await Test.createTestingModule({
    imports: [
      FedecksClientModule.forRoot({
        url: `ws://127.0.0.1:${port}/fedecks/websocket`,
        deviceId: ID,
        tokenStore: new MemoryTokenStore(),
        startDelayMs: 0,
        closeTimeoutMs: 50,
      }),
    ],
    providers: [Sensors, ...handlers],
  })
    .setLogger(log)
    .compile();
  await app.init();
  await app.get(FedecksClient).login({ password: 'open sesame' });
  ({ happened } = app.get(Sensors));
}

beforeEach(async () => {
  cloud = await startApp({});
  ({ fedecks } = cloud);
});

afterEach(async () => {
  await app.close();
  await cloud.close();
});

describe('an @OnMessage method of a device', () => {
  beforeEach(() => startDevice());

  it.each([
    ['a value', 'read', { sensor: 3 }, { sensor: 3, id: ID }],
    ['what a promise resolves with', 'later', null, 'at last'],
    ['the last value of an Observable', 'values', null, 2],
    ['the last value of a generator', 'generator', null, 'b'],
    ['null for nothing', 'nothing', null, null],
    ['what a pipe lets through', 'number', '12', 12],
  ])('answers a request: %s', async (_what, event, payload, answer) => {
    await expect(fedecks.request(ID, event, payload)).resolves.toEqual(answer);
  });

  it.each([
    ['values', [1, 2]],
    ['generator', ['a', 'b']],
    ['later', ['at last']],
    ['nothing', [null]],
  ])('answers a stream: %s', async (event, values) => {
    await expect(lastValueFrom(fedecks.stream(ID, event, null).pipe(toArray()))).resolves.toEqual(values);
  });

  it.each([
    ['a pipe refuses', 'number', 'seven', 'invalid', 'Validation failed (numeric string is expected)'],
    ['a guard refuses', 'guarded', null, 'invalid', 'Forbidden resource'],
    ['it throws', 'boom', null, 'failed', 'internal error'],
    ['it returns stop(), which is for the cloud', 'stop', null, 'failed', 'internal error'],
    ['it throws an HttpException', 'broken', null, 'failed', 'sensor 3 is broken'],
  ])('answers with an error when %s', async (_what, event, payload, code, text) => {
    const request = fedecks.request(ID, event, payload);
    await expect(request).rejects.toBeInstanceOf(RequestFailedError);
    await expect(request).rejects.toMatchObject({ code, text });
  });

  it('logs what it throws, and what a pipe refuses', async () => {
    await fedecks.request(ID, 'boom', null).catch(() => undefined);
    await fedecks.request(ID, 'number', 'seven').catch(() => undefined);
    expect(log.lines).toEqual([
      'error: Sensors.boom failed',
      'warn: A pipe rejected a message from the cloud: Sensors.number: Validation failed (numeric string is expected)',
    ]);
  });

  it('is missing: answers no_handler, and logs that', async () => {
    await expect(fedecks.request(ID, 'unknown', null)).rejects.toMatchObject({ code: 'no_handler' });
    expect(log.lines).toEqual([
      expect.stringMatching(/^warn: Of what the cloud sent, .*"unknown"/) as unknown,
    ]);
  });

  it('handles requests in their turn among messages', async () => {
    await fedecks.push(ID, ['wait', null]);
    expect(await happened.next()).toBe('waiting');
    await fedecks.push(ID, ['note', 'first']);
    const answer = fedecks.request(ID, 'note', 'second');
    await fedecks.push(ID, ['note', 'third']);
    // What was sent before this answer has arrived at the device.
    await app
      .get(FedecksClient)
      .request('unknown', null)
      .catch(() => undefined);
    expect(happened.size).toBe(0);
    app.get(Sensors).release();
    await answer;
    expect([await happened.next(), await happened.next(), await happened.next()]).toEqual([
      'first',
      'second',
      'third',
    ]);
  });

  it('answers busy when 1,000 messages wait, without dropping any', async () => {
    await fedecks.push(ID, ['wait', null]);
    expect(await happened.next()).toBe('waiting');
    for (let number = 0; number < 1_000; number++) await fedecks.push(ID, ['note', number]);
    const request = fedecks.request(ID, 'read', { sensor: 3 });
    await expect(request).rejects.toMatchObject({
      code: 'busy',
      text: 'too many messages wait for a handler',
    });
    app.get(Sensors).release();
    for (let number = 0; number < 1_000; number++) expect(await happened.next()).toBe(number);
    await expect(fedecks.request(ID, 'read', { sensor: 3 })).resolves.toMatchObject({ sensor: 3 });
    expect(log.lines).toEqual([]);
  });

  it.each([
    ['the cloud cancels', (signal: AbortController) => signal.abort(new Error('not needed')), 10_000],
    ['the time is up', () => undefined, 50],
  ])('has its signal aborted when %s', async (_what, cancel, timeoutMs) => {
    const controller = new AbortController();
    const request = fedecks.request(ID, 'hang', null, { timeoutMs, signal: controller.signal });
    request.catch(() => undefined);
    expect(await happened.next()).toBe('begun');
    cancel(controller);
    expect(await happened.next()).toBe('aborted');
    const error: unknown = await request.catch((reason: unknown) => reason);
    if (timeoutMs === 50) expect(error).toBeInstanceOf(RequestTimeoutError);
    else expect(error).toBe(controller.signal.reason);
  });

  it('has its signal aborted when the connection ends', async () => {
    const request = fedecks.request(ID, 'hang', null);
    request.catch(() => undefined);
    expect(await happened.next()).toBe('begun');
    await fedecks.disconnect(ID);
    expect(await happened.next()).toBe('aborted');
    await expect(request).rejects.toBeInstanceOf(ConnectionLostError);
  });

  it('has its stream ended, and its signal aborted, when the cloud has enough', async () => {
    const values = lastValueFrom(fedecks.stream(ID, 'follow', null).pipe(take(2), toArray()));
    await expect(values).resolves.toEqual([1, 2]);
    expect(await happened.next()).toBe('stream aborted');
  });

  it('keeps its place until it returns, also when nobody waits for it any more', async () => {
    const controller = new AbortController();
    const request = fedecks.request(ID, 'wait', null, { signal: controller.signal });
    request.catch(() => undefined);
    expect(await happened.next()).toBe('waiting');
    controller.abort(new Error('not needed'));
    await expect(request).rejects.toThrow('not needed');
    await fedecks.push(ID, ['note', 'next']);
    await app
      .get(FedecksClient)
      .request('unknown', null)
      .catch(() => undefined);
    expect(happened.size).toBe(0);
    app.get(Sensors).release();
    expect(await happened.next()).toBe('next');
  });
});

describe('client.onRequest in a Nest app', () => {
  @Injectable()
  class Any {
    @OnMessage()
    any() {
      return 'any';
    }
  }

  it('answers before methods, in its turn among messages', async () => {
    await startDevice(Any);
    await expect(fedecks.request(ID, 'level', 1)).resolves.toBe('any');
    const remove = app.get(FedecksClient).onRequest('level', (payload) => {
      happened.put(payload);
      return 'function';
    });
    await fedecks.push(ID, ['wait', null]);
    expect(await happened.next()).toBe('waiting');
    const answer = fedecks.request(ID, 'level', 2);
    await app
      .get(FedecksClient)
      .request('unknown', null)
      .catch(() => undefined);
    expect(happened.size).toBe(0);
    app.get(Sensors).release();
    await expect(answer).resolves.toBe('function');
    remove();
    await expect(fedecks.request(ID, 'level', 3)).resolves.toBe('any');
  });

  it('is not called for messages', async () => {
    await startDevice();
    app.get(FedecksClient).onRequest('level', () => 'function');
    await fedecks.push(ID, ['level', 1]);
    await eventually(
      () => log.lines,
      (lines) => lines.length > 0,
    );
    expect(log.lines).toEqual([expect.stringMatching(/"level"/) as unknown]);
  });

  it('answers failed when the function throws, without its text, and logs that', async () => {
    await startDevice();
    app.get(FedecksClient).onRequest('level', () => {
      throw new Error('the password is swordfish');
    });
    await expect(fedecks.request(ID, 'level', 1)).rejects.toMatchObject({
      code: 'failed',
      text: 'internal error',
    });
    expect(log.lines).toEqual(['error: The handler of onRequest() failed']);
  });

  it('has its signal aborted when the cloud cancels', async () => {
    await startDevice();
    app.get(FedecksClient).onRequest('level', (_payload, { signal }) => {
      happened.put('begun');
      signal.addEventListener('abort', () => happened.put('aborted'));
      return new Promise(() => undefined);
    });
    const controller = new AbortController();
    fedecks.request(ID, 'level', 1, { signal: controller.signal }).catch(() => undefined);
    expect(await happened.next()).toBe('begun');
    controller.abort();
    expect(await happened.next()).toBe('aborted');
  });
});

import { type INestApplication, Injectable } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import {
  type Credentials,
  DeviceId,
  Fedecks,
  FedecksModule,
  OnMessage,
  OnRawMessage,
  ConnectionLostError,
  NotSupportedError,
  Payload,
  RequestFailedError,
  RequestTimeoutError,
  stop,
} from '@fedecks/nest';
import { FakeDevice, FakeDeviceRefused } from '@fedecks/nest/testing';
import { type Term } from '@fedecks/nest/wire';
import { lastValueFrom, toArray } from 'rxjs';

@Injectable()
class Login {
  asked = 0;

  authenticate({ password }: Credentials): boolean {
    this.asked++;
    return password === 'open sesame';
  }
}

@Injectable()
class Greenhouse {
  @OnMessage('temperature')
  temperature(@DeviceId() id: string, @Payload('celsius') celsius: number): Term {
    return { event: celsius > 30 ? 'open window' : 'noted', data: id };
  }

  @OnMessage('stop')
  stop() {
    return stop(4321, 'enough');
  }

  @OnMessage('count')
  *count() {
    yield 1;
    yield 2;
  }

  @OnMessage('wait')
  wait() {
    return new Promise<void>(() => undefined);
  }

  @OnMessage('quiet')
  quiet(): void {
    // Returns no reply.
  }

  @OnMessage()
  any(@Payload() message: Term): Term {
    return message;
  }

  @OnRawMessage()
  raw(@Payload() bytes: Uint8Array): Term {
    return bytes.length;
  }
}

const authenticated = { secrets: ['x'.repeat(32)], authenticator: Login };
const credentials = { password: 'open sesame' };

// A test as users of the package write it, in fewer than 20 lines.
describe('a greenhouse', () => {
  it('opens its window when it is hot', async () => {
    const app = await greenhouse();
    const device = await FakeDevice.connect(app, { id: 'nerves-242a', credentials });
    device.send('temperature', { celsius: 31 });
    await expect(device.next()).resolves.toEqual({ event: 'open window', data: 'nerves-242a' });
    await device.disconnect();
    await app.close();
  });
});

async function greenhouse(): Promise<INestApplication> {
  const module = await Test.createTestingModule({
    imports: [
      FedecksModule.forRoot(authenticated),
      FedecksModule.forRoot({ ...authenticated, path: '/other' }),
    ],
    providers: [Greenhouse, Login],
  }).compile();
  const app = module.createNestApplication();
  app.useLogger(false);
  return app;
}

describe('FakeDevice', () => {
  let app: INestApplication;
  beforeAll(async () => {
    app = await greenhouse();
  });
  afterAll(() => app.close());

  it('makes the app listen on loopback if it does not listen yet', async () => {
    const device = await FakeDevice.connect(app, { id: 'first', credentials });
    await expect(app.getUrl()).resolves.toContain('127.0.0.1');
    await device.disconnect();
    const again = await FakeDevice.connect(app, { id: 'first', credentials });
    await again.disconnect();
  });

  it('sends terms, events and raw bytes, and receives the replies in order', async () => {
    const device = await FakeDevice.connect(app, { id: 'second', credentials });
    device.send(['hello', 'matey', 1]);
    device.send('hello');
    device.sendRaw(Uint8Array.of(1, 2, 3));
    device.send('temperature', { celsius: 3 });
    await expect(device.next()).resolves.toEqual(['hello', 'matey', 1]);
    await expect(device.next()).resolves.toBe('hello');
    await expect(device.next()).resolves.toBe(3);
    await expect(device.next()).resolves.toEqual({ event: 'noted', data: 'second' });
    await device.disconnect();
  });

  it('receives pushes', async () => {
    const device = await FakeDevice.connect(app, { id: 'third', credentials });
    await expect(app.get(Fedecks).push('third', { led: true })).resolves.toBe('sent');
    await expect(device.next()).resolves.toEqual({ led: true });
    await device.disconnect();
  });

  it('reconnects with its token, without credentials', async () => {
    const device = await FakeDevice.connect(app, { id: 'fourth', credentials });
    const { token } = device;
    const { asked } = app.get(Login);
    const again = await FakeDevice.connect(app, { id: 'fourth', token });
    await expect(device.closed).resolves.toEqual({ code: 4152, reason: 'replaced' });
    expect(app.get(Login).asked).toBe(asked);
    await again.disconnect();
  });

  it('rejects with the status of a rejected upgrade', async () => {
    const connecting = FakeDevice.connect(app, { id: 'fifth', credentials: { password: 'guess' } });
    await expect(connecting).rejects.toBeInstanceOf(FakeDeviceRefused);
    await expect(connecting).rejects.toMatchObject({ status: 403, message: /'fifth' with 403/ });
    await expect(FakeDevice.connect(app, { id: 'fifth', token: 'forged' })).rejects.toMatchObject({
      status: 403,
    });
  });

  it('rejects for a path without an endpoint', async () => {
    const connecting = FakeDevice.connect(app, { id: 'sixth', credentials, path: '/nowhere' });
    await expect(connecting).rejects.toMatchObject({ status: 404 });
  });

  it('connects to the given endpoint', async () => {
    const device = await FakeDevice.connect(app, { id: 'seventh', credentials, path: '/other' });
    expect(app.get(Fedecks).devices('/other')).toMatchObject([{ id: 'seventh' }]);
    await device.disconnect();
  });

  it('rejects pending and later next() and send() with how the connection ended', async () => {
    const device = await FakeDevice.connect(app, { id: 'eighth', credentials });
    const waiting = device.next();
    device.send('stop', null);
    await expect(device.closed).resolves.toEqual({ code: 4321, reason: 'enough' });
    await expect(waiting).rejects.toThrow("device 'eighth'. Its connection was closed with 4321 (enough).");
    await expect(device.next()).rejects.toThrow('4321 (enough)');
    expect(() => device.send('hello')).toThrow('4321 (enough)');
  });

  it('rejects next() after its deadline, and does not lose a later message', async () => {
    const device = await FakeDevice.connect(app, { id: 'ninth', credentials });
    device.send('quiet', null);
    await expect(device.next(1)).rejects.toThrow("No message from the cloud for device 'ninth' within 1 ms");
    device.send('marker');
    await expect(device.next()).resolves.toBe('marker');
    await device.disconnect();
  });
});

type Contract = {
  up: { temperature: { celsius: number } };
  down: { read: { sensor: number }; restart: null };
};

describe('requests of a FakeDevice', () => {
  let app: INestApplication;
  let device: FakeDevice;
  beforeAll(async () => {
    app = await greenhouse();
  });
  afterAll(() => app.close());
  beforeEach(async () => {
    device = await FakeDevice.connect(app, { id: 'asker', credentials });
  });
  afterEach(() => device.disconnect());

  it('resolve with the answer of the cloud', async () => {
    await expect(device.request('temperature', { celsius: 31 })).resolves.toEqual({
      event: 'open window',
      data: 'asker',
    });
    await expect(device.request('quiet', null)).resolves.toBeNull();
    await expect(lastValueFrom(device.stream('count', null).pipe(toArray()))).resolves.toEqual([1, 2]);
  });

  it('reject as on a device', async () => {
    await expect(device.request('wait', null, { timeoutMs: 1 })).rejects.toBeInstanceOf(RequestTimeoutError);
    const signal = AbortSignal.abort(new Error('not needed'));
    await expect(device.request('wait', null, { signal })).rejects.toThrow('not needed');
    const old = await FakeDevice.connect(app, { id: 'old', credentials, protocol: 1 });
    await expect(old.request('quiet', null)).rejects.toBeInstanceOf(NotSupportedError);
    await old.disconnect();
    await expect(old.request('quiet', null)).rejects.toThrow('cannot ask. Its connection was closed');
  });

  it('reject when the connection ends before the answer', async () => {
    const request = device.request('stop', null);
    await expect(request).rejects.toBeInstanceOf(ConnectionLostError);
    await expect(device.closed).resolves.toEqual({ code: 4321, reason: 'enough' });
  });
});

describe('requests of the cloud at a FakeDevice', () => {
  let app: INestApplication;
  let fedecks: Fedecks;
  let device: FakeDevice<Contract>;
  beforeAll(async () => {
    app = await greenhouse();
    fedecks = app.get(Fedecks);
  });
  afterAll(() => app.close());
  beforeEach(async () => {
    device = await FakeDevice.connect<Contract>(app, { id: 'nerves-242a', credentials });
  });
  afterEach(() => device.disconnect());

  it('are answered by the test, and are not among its messages', async () => {
    const reading = fedecks.request('nerves-242a', 'read', { sensor: 3 }, { timeoutMs: 4_000 });
    const request = await device.nextRequest();
    expect(request).toMatchObject({ event: 'read', payload: { sensor: 3 }, remainingMs: 4_000 });
    request.reply(21.5);
    await expect(reading).resolves.toBe(21.5);
    await fedecks.push('nerves-242a', 'marker');
    await expect(device.next()).resolves.toBe('marker');
  });

  it('are answered in any order', async () => {
    const [first, second] = [
      fedecks.request('nerves-242a', 'read', { sensor: 1 }),
      fedecks.request('nerves-242a', 'read', { sensor: 2 }),
    ];
    const requests = [await device.nextRequest(), await device.nextRequest()];
    requests[1]?.reply('two');
    await expect(second).resolves.toBe('two');
    requests[0]?.reply('one');
    await expect(first).resolves.toBe('one');
  });

  it('are answered with several values', async () => {
    const values = lastValueFrom(fedecks.stream('nerves-242a', 'read', { sensor: 1 }).pipe(toArray()));
    const request = await device.nextRequest();
    expect(request.remainingMs).toBe(-1);
    request.next('a');
    request.next('b');
    request.complete();
    await expect(values).resolves.toEqual(['a', 'b']);
  });

  it('fail with the code and text that the test gives', async () => {
    const restart = fedecks.request('nerves-242a', 'restart', null);
    (await device.nextRequest()).fail('busy', 'an update runs');
    await expect(restart).rejects.toBeInstanceOf(RequestFailedError);
    await expect(restart).rejects.toMatchObject({ code: 'busy', text: 'an update runs' });
  });

  it('say when the cloud no longer waits', async () => {
    const controller = new AbortController();
    const cancelled = fedecks.request('nerves-242a', 'restart', null, { signal: controller.signal });
    const first = await device.nextRequest();
    controller.abort(new Error('not needed'));
    await expect(cancelled).rejects.toThrow('not needed');
    await first.cancelled;
    first.reply('too late');

    const late = fedecks.request('nerves-242a', 'restart', null, { timeoutMs: 20 });
    const second = await device.nextRequest();
    await expect(late).rejects.toBeInstanceOf(RequestTimeoutError);
    await second.cancelled;
  });

  it('say that a request is cancelled only when it was not answered', async () => {
    const restart = fedecks.request('nerves-242a', 'restart', null);
    const request = await device.nextRequest();
    const seen: string[] = [];
    void request.cancelled.then(() => seen.push('cancelled'));
    request.reply(null);
    await restart;
    await device.disconnect();
    expect(seen).toEqual([]);
  });

  it('end with the connection', async () => {
    const restart = fedecks.request('nerves-242a', 'restart', null);
    const request = await device.nextRequest();
    const [outcome] = await Promise.all([
      restart.catch((error: unknown) => error),
      device.disconnect(),
      request.cancelled,
    ]);
    expect(outcome).toBeInstanceOf(ConnectionLostError);
    await expect(device.nextRequest()).rejects.toThrow(
      "No request from the cloud for device 'nerves-242a'. Its connection was closed with 1000.",
    );
  });

  it('are waited for until a deadline', async () => {
    await expect(device.nextRequest(1)).rejects.toThrow(
      "No request from the cloud for device 'nerves-242a' within 1 ms",
    );
  });

  it('do not reach a device that speaks protocol 1', async () => {
    const old = await FakeDevice.connect(app, { id: 'old', credentials, protocol: 1 });
    await expect(fedecks.request('old', 'read', null)).rejects.toBeInstanceOf(NotSupportedError);
    await old.disconnect();
  });
});

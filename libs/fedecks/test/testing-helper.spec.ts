import { type INestApplication, Injectable } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import {
  type Credentials,
  DeviceId,
  Fedecks,
  FedecksModule,
  OnMessage,
  OnRawMessage,
  Payload,
  stop,
} from '@fedecks/nest';
import { FakeDevice, FakeDeviceRefused } from '@fedecks/nest/testing';
import { type Term } from '@fedecks/nest/wire';

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

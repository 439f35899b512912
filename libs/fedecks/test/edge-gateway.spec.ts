/** An app that has devices and is a device itself: which of its classes take what the cloud sends, and which what devices send. */
import { type DynamicModule, Injectable, type Type } from '@nestjs/common';
import {
  DeviceEndpoint,
  DeviceId,
  Fedecks,
  FedecksModule,
  type FedecksOptions,
  InvalidHandlerError,
  OnConnected,
  OnDisconnected,
  OnMessage,
  OnRawMessage,
  OnSocketError,
  Payload,
} from '@fedecks/nest';
import { MemoryTokenStore } from '@fedecks/nest/client';
import {
  FedecksClient,
  FedecksClientModule,
  type FedecksClientOptions,
  FromCloud,
} from '@fedecks/nest/client-nest';
import { FakeDevice } from '@fedecks/nest/testing';
import { type Term } from '@fedecks/nest/wire';
import { type StartedApp, startApp } from './support/app.js';
import { eventually } from './support/eventually.js';
import { Inbox } from './support/inbox.js';
import { SECRET, Site } from './support/site.js';

/** What the cloud's own app has received, each with the id of its device. */
const upstream = new Inbox<[string, Term]>('message for the cloud');
/** Which methods of the gateway have run. */
let calls: string[];

@Injectable()
class Upstream {
  @OnMessage()
  any(@DeviceId() id: string, @Payload() message: Term) {
    upstream.put([id, message]);
  }
}

@Injectable()
@DeviceEndpoint()
class Greenhouses {
  @OnConnected()
  connected() {
    calls.push('Greenhouses.connected');
  }

  @OnMessage('temperature')
  temperature() {
    calls.push('Greenhouses.temperature');
    return 'from Greenhouses';
  }

  @OnDisconnected()
  gone() {
    calls.push('Greenhouses.gone');
  }
}

@Injectable()
@FromCloud()
class Orders {
  @OnConnected()
  connected() {
    calls.push('Orders.connected');
  }

  @OnMessage('temperature')
  temperature() {
    calls.push('Orders.temperature');
    return 'from Orders';
  }

  @OnDisconnected()
  gone() {
    calls.push('Orders.gone');
  }
}

@Injectable()
@DeviceEndpoint()
@FromCloud()
class Health {
  @OnMessage('health')
  health() {
    return 'healthy';
  }
}

/** What only devices can cause: its class has nothing to choose. */
@Injectable()
class Failures {
  @OnSocketError()
  failed() {
    calls.push('Failures.failed');
  }

  @OnRawMessage()
  raw() {
    return 'raw';
  }
}

let cloud: StartedApp;
let gateway: Site;

const site = (given: Partial<FedecksOptions> = {}): FedecksOptions => ({
  secrets: [SECRET],
  authenticator: { authenticate: ({ password }) => password !== 'guess' },
  ...given,
});

const uplink = (deviceId = 'gateway-1'): FedecksClientOptions => ({
  url: `ws://127.0.0.1:${cloudPort()}/fedecks/websocket`,
  deviceId,
  tokenStore: new MemoryTokenStore(),
  startDelayMs: 0,
});

function cloudPort(): number {
  return (cloud.nest.getHttpServer() as { address(): { port: number } }).address().port;
}

const halves = (): DynamicModule[] => [FedecksModule.forRoot(site()), FedecksClientModule.forRoot(uplink())];

async function start(imports: DynamicModule[], providers: Type[]): Promise<void> {
  gateway = await Site.start({ imports, providers });
}

/** The error with which a gateway does not start. */
async function startError(imports: DynamicModule[], providers: Type[]): Promise<unknown> {
  return Site.start({ imports, providers }).then(
    async (started) => {
      await started.close();
      throw new Error('the gateway has started');
    },
    (error: unknown) => error,
  );
}

/** What the gateway answers to a message of the cloud. */
async function answerToCloud(message: Term, deviceId = 'gateway-1'): Promise<Term> {
  expect(await cloud.nest.get(Fedecks).push(deviceId, message)).toBe('sent');
  const [from, answer] = await upstream.next();
  expect(from).toBe(deviceId);
  return answer;
}

beforeEach(async () => {
  calls = [];
  upstream.clear();
  cloud = await startApp({ providers: [Upstream] });
});

afterEach(() => cloud.close());

describe('A gateway', () => {
  afterEach(() => gateway.close());

  const modules: [string, () => DynamicModule[]][] = [
    ['FedecksModule first', () => halves()],
    ['FedecksClientModule first', () => halves().reverse()],
    [
      'forRootAsync',
      () => [
        FedecksClientModule.forRootAsync({ useFactory: async () => uplink() }),
        FedecksModule.forRootAsync({ useFactory: async () => site() }),
      ],
    ],
  ];

  it.each(modules)('gives each message to the class that serves its sender: %s', async (_how, make) => {
    await start(make(), [Greenhouses, Orders, Health, Failures]);
    await gateway.app.get(FedecksClient).login({});
    const device = await FakeDevice.connect(gateway.app, { id: 'nerves-242a' });
    device.send('temperature', 21.5);
    expect(await device.next()).toBe('from Greenhouses');
    expect(await answerToCloud({ event: 'temperature', data: 21.5 })).toBe('from Orders');
    await device.disconnect();
    await eventually(
      () => calls.length,
      (count) => count === 5,
    );
    expect([...calls].sort()).toEqual([
      'Greenhouses.connected',
      'Greenhouses.gone',
      'Greenhouses.temperature',
      'Orders.connected',
      'Orders.temperature',
    ]);
    await cloud.fedecks.disconnect('gateway-1');
    await eventually(
      () => calls.slice(5),
      (later) => later.includes('Orders.gone'),
    );
    expect(calls.slice(5).filter((call) => call.startsWith('Greenhouses'))).toEqual([]);
  });

  it('serves both with a class that has both decorators', async () => {
    await start(halves(), [Health]);
    await gateway.app.get(FedecksClient).login({});
    const device = await FakeDevice.connect(gateway.app, { id: 'nerves-242a' });
    device.send('health', null);
    expect(await device.next()).toBe('healthy');
    expect(await answerToCloud({ event: 'health', data: null })).toBe('healthy');
  });

  it('needs no decorator on a class that handles only failures and raw messages', async () => {
    await start(halves(), [Failures]);
    const refused = FakeDevice.connect(gateway.app, { id: 'thief', credentials: { password: 'guess' } });
    await expect(refused).rejects.toMatchObject({ status: 403 });
    expect(calls).toEqual(['Failures.failed']);
    const device = await FakeDevice.connect(gateway.app, { id: 'nerves-242a' });
    device.sendRaw(Buffer.from('no term'));
    expect(await device.next()).toBe('raw');
  });

  it('with several endpoints serves each device by the class of its endpoint', async () => {
    @Injectable()
    @DeviceEndpoint('/barns')
    class Barns {
      @OnMessage('temperature')
      temperature() {
        return 'from Barns';
      }
    }
    await start(
      [
        FedecksModule.forRoot(site({ path: '/barns' })),
        FedecksClientModule.forRoot(uplink()),
        FedecksModule.forRoot(site()),
      ],
      [Barns, Greenhouses, Orders],
    );
    await gateway.app.get(FedecksClient).login({});
    const barn = await FakeDevice.connect(gateway.app, { id: 'barn-1', path: '/barns' });
    barn.send('temperature', 21.5);
    expect(await barn.next()).toBe('from Barns');
    const greenhouse = await FakeDevice.connect(gateway.app, { id: 'nerves-242a', path: '/fedecks' });
    greenhouse.send('temperature', 21.5);
    expect(await greenhouse.next()).toBe('from Greenhouses');
    expect(await answerToCloud({ event: 'temperature', data: 21.5 })).toBe('from Orders');
  });

  it('serves all its clouds with the classes that have @FromCloud()', async () => {
    await start(
      ['gateway-1', 'gateway-2'].map((id) => FedecksClientModule.forRoot(uplink(id))),
      [Orders],
    );
    const clients = gateway.app.get(FedecksClient, {
      strict: false,
      each: true,
    });
    expect(clients).toHaveLength(2);
    await Promise.all(clients.map((client) => client.login({})));
    for (const id of ['gateway-1', 'gateway-2']) {
      expect(await answerToCloud({ event: 'temperature', data: 21.5 }, id)).toBe('from Orders');
    }
  });
});

describe('An app does not start', () => {
  @Injectable()
  class Valves {
    @OnSocketError()
    failed(): void {
      // Nobody but devices can cause it.
    }
    @OnMessage('open')
    open(): void {
      // Whose message?
    }
    @OnMessage('close')
    close(): void {
      // Whose message?
    }
  }
  @Injectable()
  class Fans {
    @OnConnected()
    connected(): void {
      // Whose connection?
    }
  }

  it.each([
    ['FedecksModule first', () => halves()],
    ['FedecksClientModule first', () => halves().reverse()],
  ])(
    'as a gateway with classes that do not say whom they serve, and names all of them: %s',
    async (_how, make) => {
      const error = await startError(make(), [Valves, Greenhouses, Fans, Orders]);
      expect(error).toBeInstanceOf(InvalidHandlerError);
      expect((error as Error).message).toBe(
        'Valves.open, Fans.connected: the class does not name its peer, but this app both has devices ' +
          '(FedecksModule) and is a device (FedecksClientModule). Add @DeviceEndpoint() to the class to serve devices, ' +
          '@FromCloud() to serve the cloud, or both.',
      );
    },
  );

  it('when a class has @FromCloud() and there is no cloud', async () => {
    const error = await startError([FedecksModule.forRoot(site())], [Orders]);
    expect(error).toEqual(
      new InvalidHandlerError(
        'Orders.connected has @FromCloud() on its class, but this app does not import FedecksClientModule: ' +
          'import it, or remove the decorator or the class.',
      ),
    );
  });

  it('when a class has @DeviceEndpoint() and there are no endpoints', async () => {
    const error = await startError([FedecksClientModule.forRoot(uplink())], [Greenhouses]);
    expect(error).toEqual(
      new InvalidHandlerError(
        'Greenhouses.connected has @DeviceEndpoint() on its class, but this app does not import FedecksModule: ' +
          'import it, or remove the decorator or the class.',
      ),
    );
  });

  it('when a class that serves only the cloud handles what only devices cause', async () => {
    @Injectable()
    @FromCloud()
    class Orders {
      @OnSocketError()
      failed(): void {
        // Never called.
      }
    }
    expect(await startError(halves(), [Orders])).toEqual(
      new InvalidHandlerError(
        'Orders.failed has @OnSocketError(), which is for devices only, but its class has @FromCloud(): ' +
          'move it to a class with @DeviceEndpoint().',
      ),
    );
  });
});

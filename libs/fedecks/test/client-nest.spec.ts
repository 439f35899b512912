import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type DynamicModule, Injectable, type LoggerService, Module } from '@nestjs/common';
import { jest } from '@jest/globals';
import { Test, type TestingModule } from '@nestjs/testing';
import { FileTokenStore, MemoryTokenStore } from '@fedecks/nest/client';
import {
  AbortSignal,
  type ClientEvent,
  type ConnectionLost,
  DeviceId,
  FedecksClient,
  FedecksClientModule,
  type FedecksClientOptions,
  type FedecksClientOptionsFactory,
  InvalidOptionsError,
  OnConnected,
  OnDisconnected,
  OnMessage,
  Payload,
} from '@fedecks/nest/client-nest';
import { type Term } from '@fedecks/nest/wire';
import { of } from 'rxjs';
import { Program } from './support/child-app.js';
import { eventually } from './support/eventually.js';
import { Inbox } from './support/inbox.js';
import { type PeerConnection, PhoenixPeer } from './support/phoenix-peer.js';
import { int, str, strMap, term, tuple } from './support/term-bytes.js';

let cloud: PhoenixPeer;

function options(): FedecksClientOptions {
  return {
    url: cloud.url,
    deviceId: 'nerves-242a',
    tokenStore: new MemoryTokenStore('stored-token'),
    startDelayMs: 0,
    retryMinMs: 1,
    retryMaxMs: 20,
    closeTimeoutMs: 30,
  };
}

@Injectable()
class Commands {
  readonly happened = new Inbox<unknown[]>('call of a handler');
  release: () => void = () => undefined;

  @OnConnected()
  connected(@DeviceId() id: string) {
    this.happened.put(['connected', id]);
    return 'hello cloud';
  }

  @OnMessage('reboot')
  reboot(@Payload() payload: Term) {
    this.happened.put(['reboot', payload]);
    return { event: 'rebooting' };
  }

  @OnMessage('count')
  count() {
    return of(1, 2);
  }

  @OnMessage('boom')
  boom() {
    throw new Error('the greenhouse is on fire');
  }

  @OnMessage('watch')
  async *watch(@AbortSignal() signal: AbortSignal): AsyncGenerator<string> {
    try {
      yield 'watching';
      await new Promise((_resolve, reject) =>
        signal.addEventListener('abort', () => reject(signal.reason as Error)),
      );
    } finally {
      this.happened.put(['watched', signal.aborted]);
    }
  }

  @OnMessage('wait')
  async wait() {
    this.happened.put(['wait']);
    await new Promise<void>((resolve) => (this.release = resolve));
  }

  @OnMessage()
  any(@Payload() message: Term) {
    this.happened.put(['any', message]);
  }

  @OnDisconnected()
  gone(@Payload() loss: ConnectionLost) {
    this.happened.put(['gone', loss]);
  }
}

/** Records the app's log: `error` and `warn` only. */
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

let app: TestingModule;
let log: Log;

async function start(imported: DynamicModule): Promise<void> {
  log = new Log();
  app = await Test.createTestingModule({ imports: [imported], providers: [Commands] })
    .setLogger(log)
    .compile();
  await app.init();
}

/** Accepts the app's connection, and consumes its token request and its handler's greeting. */
async function accept(): Promise<PeerConnection> {
  const device = await cloud.accept();
  device.upgrade();
  await device.frame();
  expect((await device.frame()).payload).toEqual(term(str('hello cloud')));
  return device;
}

beforeEach(async () => {
  cloud = await PhoenixPeer.listen();
});

afterEach(() => cloud.close());

describe('FedecksClientModule', () => {
  @Injectable()
  class Config implements FedecksClientOptionsFactory {
    async createFedecksClientOptions() {
      return options();
    }
  }

  @Module({ providers: [Config], exports: [Config] })
  class ConfigModule {}

  afterEach(() => app.close());

  it.each([
    ['forRoot', () => FedecksClientModule.forRoot(options())],
    [
      'forRootAsync, useFactory',
      () =>
        FedecksClientModule.forRootAsync({
          imports: [ConfigModule],
          inject: [Config],
          useFactory: (config: Config) => config.createFedecksClientOptions(),
        }),
    ],
    ['forRootAsync, useClass', () => FedecksClientModule.forRootAsync({ useClass: Config })],
    [
      'forRootAsync, useExisting',
      () => FedecksClientModule.forRootAsync({ imports: [ConfigModule], useExisting: Config }),
    ],
  ])(
    'connects with the app, and passes messages to handlers, whose results it sends: %s',
    async (_how, make) => {
      await start(make());
      const device = await accept();
      const { happened } = app.get(Commands);
      expect(await happened.next()).toEqual(['connected', 'nerves-242a']);

      device.binary(term(tuple(str('reboot'), strMap({ delay: int(5) }))));
      expect(await happened.next()).toEqual(['reboot', { delay: 5 }]);
      expect((await device.frame()).payload).toEqual(term(strMap({ event: str('rebooting') })));

      device.binary(term(tuple(str('count'), int(0))));
      expect((await device.frame()).payload).toEqual(term(int(1)));
      expect((await device.frame()).payload).toEqual(term(int(2)));

      device.binary(term(str('anything')));
      expect(await happened.next()).toEqual(['any', 'anything']);

      await app.get(FedecksClient).send('from a service');
      expect((await device.frame()).payload).toEqual(term(str('from a service')));
    },
  );

  describe('isGlobal', () => {
    @Injectable()
    class Sensor {
      constructor(readonly client: FedecksClient) {}
    }

    @Module({ providers: [Sensor] })
    class SensorModule {}

    const make = {
      forRoot: (visibility: { isGlobal?: boolean }) =>
        FedecksClientModule.forRoot({ ...options(), ...visibility }),
      forRootAsync: (visibility: { isGlobal?: boolean }) =>
        FedecksClientModule.forRootAsync({ useFactory: options, ...visibility }),
    };

    /** An app in which one module imports the client's, and another injects the client. */
    async function startWithSensor(uplink: DynamicModule, ofSensor: DynamicModule[] = []) {
      @Module({ imports: [uplink] })
      class UplinkModule {}
      @Module({ imports: [UplinkModule, { module: SensorModule, imports: ofSensor }] })
      class AppModule {}
      await start({ module: AppModule });
      await accept();
    }

    it.each(Object.entries(make))(
      'lets every module inject the client unless it is false: %s',
      async (_how, clientModule) => {
        await startWithSensor(clientModule({}));
        expect(app.get(Sensor, { strict: false }).client).toBe(app.get(FedecksClient));
      },
    );

    it.each(Object.entries(make))(
      'with false, only modules that import the module can inject the client: %s',
      async (_how, clientModule) => {
        await expect(startWithSensor(clientModule({ isGlobal: false }))).rejects.toThrow(
          /resolve dependencies of the Sensor \(\?\).*SensorModule/,
        );
        const imported = clientModule({ isGlobal: false });
        await startWithSensor(imported, [imported]);
        expect(app.get(Sensor, { strict: false }).client).toBe(app.get(FedecksClient));
      },
    );
  });

  it('reports to handlers how a connection ended, and when the next one is open', async () => {
    await start(FedecksClientModule.forRoot(options()));
    const device = await accept();
    const { happened } = app.get(Commands);
    await happened.next();
    device.close(1011);
    device.fin();
    // Its greeting, which no ping has confirmed.
    const lost = { type: 'connection_lost', cause: 'closed', code: 1011, unconfirmed: 1 };
    expect(await happened.next()).toEqual(['gone', lost]);
    await accept();
    expect(await happened.next()).toEqual(['connected', 'nerves-242a']);
  });

  it('aborts the signal of a handler, and ends its generator, when the connection is lost', async () => {
    await start(FedecksClientModule.forRoot(options()));
    const device = await accept();
    const { happened } = app.get(Commands);
    await happened.next();
    device.binary(term(tuple(str('watch'), int(0))));
    expect((await device.frame()).payload).toEqual(term(str('watching')));
    device.close(1011);
    device.fin();
    const next = [await happened.next(), await happened.next()];
    expect(next).toContainEqual(['watched', true]);
    const lost = expect.objectContaining({ type: 'connection_lost', cause: 'closed', code: 1011 }) as unknown;
    expect(next).toContainEqual(['gone', lost]);
    expect(log.lines).toEqual([]);
  });

  it('reports observers that throw as observer_failed, except observers of that event', async () => {
    await start(FedecksClientModule.forRoot(options()));
    const device = await accept();
    const { happened } = app.get(Commands);
    await happened.next();
    const client = app.get(FedecksClient);
    const events: ClientEvent[] = [];
    const broken = (): never => {
      throw new TypeError('broken');
    };
    const brokenLater: () => unknown = async () => broken();
    client.events$.subscribe((event) => events.push(event));
    client.events$.subscribe(broken);
    client.events$.subscribe(brokenLater);
    client.messages$.subscribe(broken);
    device.binary(term(str('hello')));
    expect(await happened.next()).toEqual(['any', 'hello']);
    device.binary(term(str('again')));
    expect(await happened.next()).toEqual(['any', 'again']);
    expect(events).toEqual([
      { type: 'observer_failed', reason: 'TypeError', error: expect.any(TypeError) as unknown },
      { type: 'observer_failed', reason: 'TypeError', error: expect.any(TypeError) as unknown },
    ]);
  });

  it('stays connected when a handler throws, and logs it without the message', async () => {
    await start(FedecksClientModule.forRoot(options()));
    const device = await accept();
    const { happened } = app.get(Commands);
    await happened.next();
    device.binary(term(tuple(str('boom'), str('secret payload'))));
    device.binary(term(str('next')));
    expect(await happened.next()).toEqual(['any', 'next']);
    expect(log.lines).toEqual(['error: Commands.boom failed']);
  });

  it('queues 1,000 messages for a slow handler, logs dropped ones, and recovers', async () => {
    await start(FedecksClientModule.forRoot(options()));
    const device = await accept();
    const commands = app.get(Commands);
    const { happened } = commands;
    await happened.next();
    device.binary(term(tuple(str('wait'), int(0))));
    expect(await happened.next()).toEqual(['wait']);
    for (let number = 0; number < 1_010; number++) device.binary(term(int(number)));
    // The pong follows all messages read before the ping.
    device.ping('all read');
    await device.frame();
    expect(log.lines).toEqual(['error: Dropping messages from the cloud: 1000 messages wait for a handler']);
    commands.release();
    for (let number = 0; number < 1_000; number++) expect(await happened.next()).toEqual(['any', number]);
    expect(log.lines.slice(1)).toEqual([
      'error: Dropped 10 messages from the cloud; accepting messages again',
    ]);
    device.binary(term(str('next')));
    expect(await happened.next()).toEqual(['any', 'next']);
  });

  it('logs once which handler runs for long while others wait for it', async () => {
    await start(FedecksClientModule.forRoot(options()));
    const device = await accept();
    const { happened } = app.get(Commands);
    await happened.next();
    let ahead = 0;
    const now = performance.now.bind(performance);
    const clock = jest.spyOn(performance, 'now').mockImplementation(() => now() + ahead);
    try {
      device.binary(term(tuple(str('wait'), int(0))));
      expect(await happened.next()).toEqual(['wait']);
      const pass = (ms: number): number => {
        ahead += ms;
        return log.lines.length;
      };
      await eventually(
        () => pass(1_000),
        (lines) => lines > 0,
      );
      expect(ahead).toBeGreaterThan(60_000 - 10_000);
      await eventually(
        () => pass(1_000),
        () => ahead > 200_000,
      );
      expect(log.lines).toEqual([
        "warn: Commands.wait, for the event 'wait', has been running for 60 s. Later messages from the cloud wait for it, " +
          'and are dropped when 1000 wait: add a timeout to what it awaits',
      ]);
      app.get(Commands).release();
    } finally {
      clock.mockRestore();
    }
  });

  it('closes with 1000 when the app closes', async () => {
    await start(FedecksClientModule.forRoot(options()));
    const device = await accept();
    const closing = app.close();
    const close = await device.frame();
    expect({ opcode: close.opcode, code: close.payload.toString('hex') }).toEqual({
      opcode: 8,
      code: '03e8',
    });
    device.close(1000);
    device.fin();
    await closing;
    expect(app.get(FedecksClient).status).toBe('stopped');
  });
});

describe('FedecksClientModule', () => {
  it.each([
    ['forRoot', (wrong: FedecksClientOptions) => FedecksClientModule.forRoot(wrong)],
    [
      'forRootAsync',
      (wrong: FedecksClientOptions) => FedecksClientModule.forRootAsync({ useFactory: () => wrong }),
    ],
  ])('fails at start-up with invalid options, and names all of them: %s', async (_how, make) => {
    const wrong = { ...options(), url: 'https://cloud.example.com', pingIntervalMs: 0 };
    const starting = start(make(wrong));
    await expect(starting).rejects.toThrow(InvalidOptionsError);
    await expect(starting).rejects.toMatchObject({
      problems: [
        expect.stringContaining("'url' must start with 'wss://'"),
        expect.stringContaining("'pingIntervalMs' must be"),
      ],
    });
  });
});

describe('a Nest app in its own process', () => {
  it.each(['SIGTERM', 'SIGINT'] as const)('closes with 1000 at %s, and exits', async (signal) => {
    const directory = await mkdtemp(join(tmpdir(), 'fedecks-nest-device-'));
    const program = await Program.compile('nest-device-app.ts');
    await new FileTokenStore(directory, 'nerves-242a').save('stored-token');
    const process = program.start([cloud.url, directory]);
    try {
      const device = await cloud.accept();
      device.upgrade();
      await device.frame();
      device.binary(term(tuple(str('reboot'), str('now'))));
      expect((await device.frame()).payload).toEqual(
        term(strMap({ event: str('rebooting'), data: str('now') })),
      );
      expect(await process.line()).toBe('started');
      process.kill(signal);
      const close = await device.frame();
      expect({ opcode: close.opcode, code: close.payload.toString('hex') }).toEqual({
        opcode: 8,
        code: '03e8',
      });
      device.close(1000);
      device.fin();
      expect(await process.exited(5_000)).toMatchObject({ signal });
      expect(process.stderr).toBe('');
    } finally {
      process.dispose();
      await rm(directory, { recursive: true });
    }
  });
});

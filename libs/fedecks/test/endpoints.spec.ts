import { jest } from '@jest/globals';
import { type DynamicModule, Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import {
  DeviceEndpoint,
  DeviceId,
  Fedecks,
  type FedecksEndpoint,
  type FedecksOptions,
  type FedecksOptionsFactory,
  FedecksModule,
  InvalidHandlerError,
  InvalidOptionsError,
  OnMessage,
} from '@fedecks/nest';
import { tokenHeader } from './support/cloud.js';
import { type RawPeer } from './support/raw-peer.js';
import { closeCode, PasswordOnly, SECRET, Site, type SiteOptions, tokenOf } from './support/site.js';
import { str, term } from './support/term-bytes.js';

const PASSWORD_ONLY = new PasswordOnly();
const GREENHOUSE = { deviceId: 'nerves-242a', target: '/fedecks/websocket' };
const CUSTOM = { deviceId: 'nerves-242a', target: '/v2/custom/websocket' };

function options(given: Partial<FedecksOptions> = {}): FedecksOptions {
  return { secrets: [SECRET], authenticator: PASSWORD_ONLY, ...given };
}

@Injectable()
class Greenhouse {
  @OnMessage()
  any(@DeviceId() id: string) {
    return `greenhouse ${id}`;
  }
}

@Injectable()
@DeviceEndpoint('/v2/custom')
class Custom {
  @OnMessage()
  any(@DeviceId() id: string) {
    return `custom ${id}`;
  }
}

@Injectable()
@DeviceEndpoint('/fedecks', '/v2/custom')
class Both {
  @OnMessage('both')
  both() {
    return 'both';
  }
}

let site: Site;
const closeSite = (): Promise<void> => site.close();

async function start(
  imports: DynamicModule[],
  providers: SiteProviders = [],
  given?: SiteOptions,
): Promise<void> {
  site = await Site.start({ imports, providers }, given);
}
type SiteProviders = NonNullable<Parameters<typeof Site.start>[0]['providers']>;

async function expectReply(peer: RawPeer, message: Uint8Array, reply: string): Promise<void> {
  peer.sendBinary(message);
  expect((await peer.expectFrame()).payload).toEqual(term(str(reply)));
}

const HELLO = term(str('hello'));

@Injectable()
@DeviceEndpoint()
class Unnamed {
  @OnMessage()
  any() {
    return 'unnamed';
  }
}

describe('@DeviceEndpoint() without a path', () => {
  afterEach(closeSite);

  it('means the only endpoint, whatever its path', async () => {
    await start([FedecksModule.forRoot(options({ path: '/v2/custom' }))], [Unnamed]);
    await expectReply(await site.open(CUSTOM), HELLO, 'unnamed');
  });

  it('means the default endpoint, if there are several', async () => {
    await start(
      [FedecksModule.forRoot(options({ path: '/v2/custom' })), FedecksModule.forRoot(options())],
      [Unnamed, Custom],
    );
    await expectReply(await site.open(GREENHOUSE), HELLO, 'unnamed');
    await expectReply(await site.open(CUSTOM), HELLO, 'custom nerves-242a');
  });
});

describe('Two endpoints', () => {
  afterEach(closeSite);
  beforeEach(() =>
    start(
      [
        FedecksModule.forRoot(options()),
        FedecksModule.forRoot(options({ path: '/v2/custom', secrets: ['c'.repeat(32)] })),
      ],
      [Greenhouse, Custom, Both],
    ),
  );

  it('each run their own handlers; handlers without an endpoint serve the default one', async () => {
    const [greenhouse, custom] = [await site.open(GREENHOUSE), await site.open(CUSTOM)];
    await expectReply(greenhouse, HELLO, 'greenhouse nerves-242a');
    await expectReply(custom, HELLO, 'custom nerves-242a');
    const both = term(Buffer.concat([Buffer.from([0x68, 2]), str('both'), str('')]));
    await expectReply(greenhouse, both, 'both');
    await expectReply(custom, both, 'both');
  });

  it('hold the same device id side by side, without replacing it', async () => {
    await site.open(GREENHOUSE);
    await site.open(CUSTOM);
    expect(
      site.fedecks
        .devices()
        .map(({ endpoint }) => endpoint)
        .sort(),
    ).toEqual(['/fedecks', '/v2/custom']);
    expect(site.fedecks.endpoint('/v2/custom').devices()).toMatchObject([
      { id: 'nerves-242a', endpoint: '/v2/custom' },
    ]);
  });

  it('both get a push, unless one endpoint is named', async () => {
    const [greenhouse, custom] = [await site.open(GREENHOUSE), await site.open(CUSTOM)];
    expect(await site.fedecks.push('nerves-242a', 'for both')).toBe('sent');
    expect(await site.fedecks.endpoint('/v2/custom').push('nerves-242a', 'for one')).toBe('sent');
    site.fedecks.downstream.next({ deviceId: 'nerves-242a', message: 'for the other', endpoint: '/fedecks' });
    expect((await greenhouse.expectFrame()).payload).toEqual(term(str('for both')));
    expect((await greenhouse.expectFrame()).payload).toEqual(term(str('for the other')));
    expect((await custom.expectFrame()).payload).toEqual(term(str('for both')));
    expect((await custom.expectFrame()).payload).toEqual(term(str('for one')));
  });

  it("return 'offline' for a device at the named endpoint, although it is connected to the other", async () => {
    await site.open(GREENHOUSE);
    const custom = site.fedecks.endpoint('/v2/custom');
    expect(await custom.push('nerves-242a', 'hello')).toBe('offline');
    expect(await custom.disconnect('nerves-242a')).toBe(false);
    expect(custom.joinGroup('nerves-242a', 'cellar')).toBe(false);
    expect(custom.leaveGroup('nerves-242a', 'cellar')).toBe(false);
    expect(await custom.presence.get('nerves-242a')).toBeUndefined();
  });

  it('disconnect and revoke a device at the named endpoint, or at both', async () => {
    const [greenhouse, custom] = [await site.open(GREENHOUSE), await site.open(CUSTOM)];
    const [token, customToken] = [await tokenOf(greenhouse), await tokenOf(custom)];
    await site.fedecks.endpoint('/v2/custom').revoke('nerves-242a');
    expect(closeCode(await custom.expectFrame())).toBe(4150);
    expect(await site.statusOf({ ...CUSTOM, auth: tokenHeader('nerves-242a', customToken) })).toBe(
      '403 Forbidden',
    );
    await expectReply(greenhouse, HELLO, 'greenhouse nerves-242a');

    expect(await site.fedecks.endpoint('/fedecks').disconnect('nerves-242a')).toBe(true);
    expect(closeCode(await greenhouse.expectFrame())).toBe(1000);
    const again = [
      await site.open({ ...GREENHOUSE, auth: tokenHeader('nerves-242a', token) }),
      await site.open(CUSTOM),
    ];
    await site.fedecks.revoke('nerves-242a');
    for (const peer of again) expect(closeCode(await peer.expectFrame())).toBe(4150);
  });

  it("reject each other's tokens when their secrets differ", async () => {
    const token = await tokenOf(await site.open(GREENHOUSE));
    const auth = tokenHeader('nerves-242a', token);
    expect(await site.statusOf({ ...CUSTOM, auth })).toBe('403 Forbidden');
    expect(await site.statusOf({ ...GREENHOUSE, auth })).toBe('101 Switching Protocols');
  });

  it('are listed in the error for an unknown endpoint', async () => {
    const message = "Endpoint '/custom' does not exist (have: /fedecks, /v2/custom).";
    expect(() => site.fedecks.endpoint('/custom')).toThrow(message);
    await expect(site.fedecks.presence.get('a', '/custom')).rejects.toThrow(message);
  });

  it('have broadcasts, groups and presence of their own', async () => {
    const [greenhouse, custom] = [await site.open(GREENHOUSE), await site.open(CUSTOM)];
    const endpoint = site.fedecks.endpoint('/v2/custom');
    await endpoint.broadcast('to all');
    expect(endpoint.joinGroup('nerves-242a', 'cellar')).toBe(true);
    await site.fedecks.endpoint('/fedecks').pushToGroup('cellar', 'to nobody');
    await endpoint.pushToGroup('cellar', 'to the cellar');
    expect(endpoint.leaveGroup('nerves-242a', 'cellar')).toBe(true);
    await endpoint.pushToGroup('cellar', 'to nobody');
    expect(await endpoint.presence.get('nerves-242a')).toMatchObject({ endpoint: '/v2/custom' });
    expect((await endpoint.presence.list()).entries).toMatchObject([{ endpoint: '/v2/custom' }]);

    for (const message of ['to all', 'to the cellar'])
      expect((await custom.expectFrame()).payload).toEqual(term(str(message)));
    await expectReply(custom, HELLO, 'custom nerves-242a');
    await expectReply(greenhouse, HELLO, 'greenhouse nerves-242a');
  });

  it('tell presence changes of one endpoint apart', async () => {
    const seen: string[] = [];
    const changes = site.fedecks.endpoint('/v2/custom').presence.changes$;
    changes.subscribe(({ endpoint, state }) => seen.push(`${endpoint} ${state}`));
    await site.open(GREENHOUSE);
    await site.open(CUSTOM);
    expect(seen).toEqual(['/v2/custom online']);
  });

  it('may be named in the last argument, which is deprecated', async () => {
    await site.open(GREENHOUSE);
    const custom = await site.open(CUSTOM);
    const { fedecks } = site;
    const warn = jest.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
    expect(fedecks.devices('/v2/custom')).toHaveLength(1);
    expect(fedecks.joinGroup('nerves-242a', 'cellar', '/v2/custom')).toBe(true);
    await fedecks.pushToGroup('cellar', 'to the cellar', '/v2/custom');
    expect(fedecks.leaveGroup('nerves-242a', 'cellar', '/v2/custom')).toBe(true);
    await fedecks.broadcast('to all', '/v2/custom');
    expect(await fedecks.push('nerves-242a', 'to one', '/v2/custom')).toBe('sent');
    for (const message of ['to the cellar', 'to all', 'to one'])
      expect((await custom.expectFrame()).payload).toEqual(term(str(message)));
    await fedecks.revoke('nerves-242a', '/v2/custom');
    expect(await fedecks.disconnect('nerves-242a', '/v2/custom')).toBe(false);
    expect(fedecks.devices('/fedecks')).toHaveLength(1);
    await expect(fedecks.push('a', null, '/custom')).rejects.toThrow("Endpoint '/custom' does not exist");
    expect(warn.mock.calls).toEqual([
      [
        expect.stringContaining('use fedecks.endpoint(path)'),
        { type: 'DeprecationWarning', code: 'FEDECKS_PATH' },
      ],
    ]);
    warn.mockRestore();
  });
});

describe('An endpoint', () => {
  afterEach(closeSite);

  it('may be chosen, and its presence watched, in a constructor', async () => {
    @Injectable()
    class Watcher {
      readonly custom: FedecksEndpoint;
      readonly seen: string[] = [];

      constructor(fedecks: Fedecks) {
        this.custom = fedecks.endpoint('/v2/custom');
        for (const { changes$ } of [fedecks.presence, this.custom.presence])
          changes$.subscribe(({ id, state }) => this.seen.push(`${id} ${state}`));
      }
    }
    await start([FedecksModule.forRoot(options({ path: '/v2/custom' }))], [Watcher]);
    const watcher = site.app.get(Watcher);
    await site.open(CUSTOM);
    expect(site.fedecks.endpoint('/v2/custom')).toBe(watcher.custom);
    expect(watcher.seen).toEqual(['nerves-242a online', 'nerves-242a online']);
    expect(await watcher.custom.push('nerves-242a', 'hello')).toBe('sent');
  });

  it('stays where it is under a global prefix', async () => {
    await start([FedecksModule.forRoot(options())], [Greenhouse], {
      prepare: (app) => void app.setGlobalPrefix('api'),
    });
    await expectReply(await site.open(), HELLO, 'greenhouse nerves-242a');
    const { peer, response } = await site.ask({ target: '/api/fedecks/websocket' });
    expect(response.statusLine).toBe('HTTP/1.1 404 Not Found');
    peer.destroy();
  });

  it('serves handlers without an endpoint if it is the only one, whatever its path', async () => {
    await start([FedecksModule.forRoot(options({ path: '/v2/custom' }))], [Greenhouse]);
    await expectReply(await site.open(CUSTOM), HELLO, 'greenhouse nerves-242a');
  });
});

@Injectable()
class Settings implements FedecksOptionsFactory {
  async createFedecksOptions(): Promise<FedecksOptions> {
    return Promise.resolve(options({ path: '/async', authenticator: PasswordOnly }));
  }
}

@Module({ providers: [Settings], exports: [Settings] })
class SettingsModule {}

describe('forRootAsync', () => {
  afterEach(closeSite);
  it.each<[string, DynamicModule, SiteProviders]>([
    [
      'useFactory, with imports and inject',
      FedecksModule.forRootAsync({
        imports: [SettingsModule],
        inject: [Settings],
        useFactory: (settings: Settings) => settings.createFedecksOptions(),
      }),
      [],
    ],
    ['useFactory alone', FedecksModule.forRootAsync({ useFactory: () => options({ path: '/async' }) }), []],
    ['useClass', FedecksModule.forRootAsync({ useClass: Settings }), []],
    [
      'useExisting, with imports',
      FedecksModule.forRootAsync({ imports: [SettingsModule], useExisting: Settings }),
      [],
    ],
  ])('takes options from %s', async (_, module, providers) => {
    await start([module], [Greenhouse, PasswordOnly, ...providers]);
    await expectReply(await site.open({ target: '/async/websocket' }), HELLO, 'greenhouse nerves-242a');
  });
});

describe('A message put into downstream before the app has started', () => {
  afterEach(closeSite);

  it('does not keep the app from starting when it names an endpoint that does not exist', async () => {
    @Injectable()
    class Eager {
      constructor(fedecks: Fedecks) {
        fedecks.downstream.next({ deviceId: 'nerves-242a', message: 'hello', endpoint: '/from/data' });
      }
    }
    await start([FedecksModule.forRoot(options())], [Eager, Greenhouse]);
    await expectReply(await site.open(), HELLO, 'greenhouse nerves-242a');
  });
});

describe('App start-up', () => {
  async function startUp(
    imports: DynamicModule[],
    providers: SiteProviders = [],
  ): Promise<{ error: unknown; log: string }> {
    const log: string[] = [];
    const write = (...line: unknown[]): void =>
      void log.push(
        line.map((part) => (part instanceof Error ? (part.stack ?? '') : String(part))).join(' '),
      );
    const logger = { log: write, error: write, warn: write, debug: write, verbose: write, fatal: write };
    @Module({ imports, providers })
    class AppModule {}
    try {
      const app = await NestFactory.create(AppModule, { logger, abortOnError: false });
      try {
        await app.init();
      } finally {
        await app.close();
      }
      return { error: undefined, log: log.join('\n') };
    } catch (error) {
      return { error, log: log.join('\n') };
    }
  }

  it.each<[string, FedecksOptions['secrets'], string]>([
    ['is missing', [undefined], 'secrets[0] is missing or empty'],
    ['is too short', [SECRET, 'hunter2hunter2'], 'secrets[1] has 14 bytes: set it to at least 32 bytes'],
  ])('fails when a secret %s, without showing it', async (_, secrets, message) => {
    for (const module of [
      FedecksModule.forRoot(options({ secrets })),
      FedecksModule.forRootAsync({ useFactory: () => options({ secrets }) }),
    ]) {
      const { error, log } = await startUp([module]);
      expect(error).toBeInstanceOf(InvalidOptionsError);
      expect((error as Error).message).toContain(message);
      expect(`${log} ${(error as Error).stack}`).not.toMatch(/hunter2|ssssssss/);
    }
  });

  it('fails when two endpoints have one path', async () => {
    const { error } = await startUp([FedecksModule.forRoot(options()), FedecksModule.forRoot(options())]);
    expect(error).toBeInstanceOf(InvalidOptionsError);
    expect((error as Error).message).toContain(
      "Two endpoints have the path '/fedecks': give each endpoint its own 'path'.",
    );
  });

  it('fails when no module provides the authenticator class', async () => {
    const { error } = await startUp([FedecksModule.forRoot(options({ authenticator: PasswordOnly }))]);
    expect(error).toBeInstanceOf(InvalidOptionsError);
    expect((error as Error).message).toContain(
      "'authenticator' names PasswordOnly, which no module provides",
    );
  });

  it('when its code names an endpoint that does not exist', async () => {
    @Injectable()
    class Typist {
      readonly custom: FedecksEndpoint;
      constructor(fedecks: Fedecks) {
        this.custom = fedecks.endpoint('/v2/custm');
      }
    }
    const { error } = await startUp([FedecksModule.forRoot(options({ path: '/v2/custom' }))], [Typist]);
    expect(error).toEqual(new RangeError("Endpoint '/v2/custm' does not exist (have: /v2/custom)."));
  });

  it('when a handler chose an endpoint that does not exist, or has to choose one and did not', async () => {
    const unknown = await startUp([FedecksModule.forRoot(options())], [Custom]);
    expect(unknown.error).toBeInstanceOf(InvalidHandlerError);
    expect((unknown.error as Error).message).toContain(
      "Custom.any serves endpoint '/v2/custom', which does not exist.",
    );

    const paths = ['/a', '/b'].map((path) => FedecksModule.forRoot(options({ path })));
    for (const type of [Greenhouse, Unnamed]) {
      const undecided = await startUp(paths, [type]);
      expect(undecided.error).toBeInstanceOf(InvalidHandlerError);
      expect((undecided.error as Error).message).toContain(
        `${type.name}.any does not name its endpoint. Add @DeviceEndpoint() to its class, with one of: '/a', '/b'.`,
      );
    }
  });

  it('succeeds when all of that is correct', async () => {
    const { error } = await startUp(
      [FedecksModule.forRoot(options({ authenticator: PasswordOnly }))],
      [Greenhouse, PasswordOnly],
    );
    expect(error).toBeUndefined();
  });
});

/** Error messages for common mistakes of developers, often without types. */
import { Inject, Injectable, type INestApplication, Module, Scope, type Type } from '@nestjs/common';
import { REQUEST } from '@nestjs/core';
import { Test } from '@nestjs/testing';
import { Fedecks, FedecksModule, type FedecksOptions } from '@fedecks/nest';
import { FedecksClient, MemoryTokenStore } from '@fedecks/nest/client';
import { FedecksClientModule } from '@fedecks/nest/client-nest';
import { startApp } from './support/app.js';

type Imported = NonNullable<Parameters<typeof Test.createTestingModule>[0]['imports']>[number];

async function startError(imported: Imported, providers: Type[] = []): Promise<string> {
  let nest: INestApplication | undefined;
  try {
    const module = await Test.createTestingModule({ imports: [imported], providers }).compile();
    nest = module.createNestApplication();
    nest.useLogger(false);
    await nest.init();
  } catch (error) {
    return (error as Error).message;
  } finally {
    await nest?.close().catch(() => undefined);
  }
  throw new Error('the app has started');
}

/** Values that JavaScript may pass instead of options. */
const nothing = undefined as never;

describe('missing options', () => {
  @Injectable()
  class Forgetful {
    createFedecksOptions(): Promise<never> {
      return Promise.resolve(nothing);
    }
    createFedecksClientOptions(): never {
      return nothing;
    }
  }

  it.each<[string, Imported, string]>([
    [
      'FedecksModule.forRoot()',
      FedecksModule.forRoot(nothing),
      'FedecksModule.forRoot: The options are undefined: pass an object with at least secrets and authenticator.',
    ],
    [
      'FedecksModule.forRootAsync, useFactory',
      FedecksModule.forRootAsync({ useFactory: () => nothing }),
      "FedecksModule.forRootAsync: The options are undefined: return an object with options from the 'useFactory'.",
    ],
    [
      'FedecksModule.forRootAsync, an async useFactory',
      FedecksModule.forRootAsync({ useFactory: async () => Promise.resolve(null as never) }),
      "FedecksModule.forRootAsync: The options are null: return an object with options from the 'useFactory'.",
    ],
    [
      'FedecksModule.forRootAsync, useClass',
      FedecksModule.forRootAsync({ useClass: Forgetful }),
      'FedecksModule.forRootAsync: The options are undefined: return an object with options from createFedecksOptions().',
    ],
    [
      'FedecksClientModule.forRoot()',
      FedecksClientModule.forRoot(nothing),
      'FedecksClientModule.forRoot: The options are undefined: pass an object with at least url, deviceId and tokenStore.',
    ],
    [
      'FedecksClientModule.forRootAsync, useFactory',
      FedecksClientModule.forRootAsync({ useFactory: () => nothing }),
      "FedecksClientModule.forRootAsync: The options are undefined: return an object with options from the 'useFactory'.",
    ],
    [
      'FedecksClientModule.forRootAsync, useClass',
      FedecksClientModule.forRootAsync({ useClass: Forgetful }),
      'FedecksClientModule.forRootAsync: The options are undefined: return an object with options from createFedecksClientOptions().',
    ],
    [
      'FedecksModule without forRoot',
      FedecksModule,
      'FedecksModule: The module has no options: import FedecksModule.forRoot({ ... }) or FedecksModule.forRootAsync({ ... }).',
    ],
    [
      'FedecksClientModule without forRoot',
      FedecksClientModule,
      'FedecksClientModule: The module has no options: import FedecksClientModule.forRoot({ ... }) or FedecksClientModule.forRootAsync({ ... }).',
    ],
  ])('are named, with where they come from: %s', async (_what, imported, message) => {
    await expect(startError(imported)).resolves.toBe(message);
  });

  it.each<[string, unknown]>([
    ['nothing', undefined],
    ['an empty object', {}],
    ['no function', { useFactory: { secrets: [] } }],
  ])('are asked of something: forRootAsync with %s', (_what, given) => {
    expect(() => FedecksModule.forRootAsync(given as never)).toThrow(
      "FedecksModule.forRootAsync: Set 'useFactory' to a function, or 'useClass' or 'useExisting' to a class with createFedecksOptions().",
    );
    expect(() => FedecksClientModule.forRootAsync(given as never)).toThrow(
      /^FedecksClientModule.forRootAsync: Set 'useFactory' .* createFedecksClientOptions\(\)/,
    );
  });

  it('are asked of a class that gives some', async () => {
    @Injectable()
    class Other {}
    await expect(startError(FedecksModule.forRootAsync({ useClass: Other as never }))).resolves.toBe(
      'FedecksModule.forRootAsync: Other has no method createFedecksOptions().',
    );
    await expect(startError(FedecksClientModule.forRootAsync({ useClass: Other as never }))).resolves.toBe(
      'FedecksClientModule.forRootAsync: Other has no method createFedecksClientOptions().',
    );
  });
});

describe('an authenticator or guard', () => {
  @Injectable({ scope: Scope.REQUEST })
  class PerRequest {
    authenticate(): boolean {
      return true;
    }
    canActivate(): boolean {
      return true;
    }
  }

  @Injectable({ scope: Scope.TRANSIENT })
  class Transient extends PerRequest {}

  @Injectable()
  class InjectsRequest extends PerRequest {
    constructor(@Inject(REQUEST) readonly request: unknown) {
      super();
    }
  }

  @Injectable()
  class Empty {}

  @Injectable()
  class Unprovided extends PerRequest {}

  function endpoint(options: Partial<FedecksOptions>): Imported {
    return FedecksModule.forRoot({
      secrets: ['x'.repeat(32)],
      authenticator: { authenticate: () => true },
      ...options,
    });
  }

  it.each([PerRequest, Transient, InjectsRequest])(
    'fails at start-up, with the remedy, if its scope is not singleton: %p',
    async (type) => {
      for (const [option, imported] of [
        ['authenticator', endpoint({ authenticator: type })],
        ['guards', endpoint({ guards: [type] })],
      ] as const) {
        await expect(startError(imported, [type])).resolves.toBe(
          `FedecksModule.forRoot: '${option}' names ${type.name}, which is request-scoped or transient, or depends on such a provider. ` +
            'All upgrades share one instance: make it a singleton, and resolve scoped providers with ModuleRef.resolve().',
        );
      }
    },
  );

  it('fails at start-up, with the remedy, if it is in no providers', async () => {
    await expect(startError(endpoint({ authenticator: Unprovided }))).resolves.toBe(
      "FedecksModule.forRoot: 'authenticator' names Unprovided, which no module provides: " +
        'add it to the providers of one of your modules.',
    );
  });

  it.each<[string, Partial<Record<string, unknown>>]>([
    ['authenticate()', { authenticator: Empty }],
    ['canActivate()', { guards: [Empty] }],
    ['revoke() and no revokedAt()', { revocations: Empty }],
    ['count() and no observe()', { metrics: Empty }],
  ])('without its methods is refused at start: %s', async (missing, options) => {
    const [[option, given] = []] = Object.entries(options);
    const type = [given].flat()[0] as Type;
    await expect(startError(endpoint(options), [type])).resolves.toBe(
      `FedecksModule.forRoot: '${option}' names Empty, which has no ${missing}: add it.`,
    );
  });

  it('may be provided by a module that does not export it', async () => {
    @Module({ providers: [Unprovided] })
    class Elsewhere {}
    const app = await startApp({ imports: [Elsewhere], options: { authenticator: Unprovided } });
    await app.device();
    await app.close();
  });
});

describe('an untyped call', () => {
  it.each(['push', 'joinGroup', 'leaveGroup', 'disconnect', 'revoke'] as const)(
    'of %s is rejected when the device id is missing',
    async (method) => {
      const { fedecks, close } = await startFedecks();
      for (const [id, what] of [
        [undefined, 'undefined'],
        [null, 'null'],
        [42, 'number'],
      ] as const) {
        const rest = ['push', 'joinGroup', 'leaveGroup'].includes(method) ? ['a message'] : [];
        const untyped = fedecks as unknown as Record<string, (...given: unknown[]) => unknown>;
        const call = async (): Promise<unknown> => untyped[method]!(id, ...rest);
        const message = `${method}(deviceId, ...): the device id must be a string, not ${what}.`;
        await expect(call()).rejects.toThrow(new TypeError(message));
      }
      await close();
    },
  );

  it.each([undefined, null, 42])('with %p for the name of a group is refused', async (name) => {
    const { fedecks, close } = await startFedecks();
    const type = name === null ? 'null' : typeof name;
    await expect(fedecks.pushToGroup(name as never, 'a message')).rejects.toThrow(
      new TypeError(`A group name must be a string, not ${type}.`),
    );
    await close();
  });

  it('that puts a message without a device id into downstream is reported as what it is', async () => {
    const app = await startApp({});
    app.fedecks.downstream.next({ deviceId: undefined as never, message: 'a message' });
    await expect(app.errors.next()).resolves.toMatchObject({
      deviceId: null,
      type: 'undelivered',
      info: 'downstream.next({ deviceId, ... }): the device id must be a string, not undefined.',
    });
    await app.close();
  });

  it.each<[unknown[], string]>([
    [[], 'send() takes 1 or 2 arguments, not 0'],
    [['a', 'b', 'c'], 'send() takes 1 or 2 arguments, not 3'],
    [[42, {}], 'send(event, payload): the event name must be a string, not number'],
    [[undefined, {}], 'send(event, payload): the event name must be a string, not undefined'],
    [[null, {}], 'send(event, payload): the event name must be a string, not null'],
  ])('of send%j is rejected, with the right usage', async (given, problem) => {
    const client = new FedecksClient({
      url: 'ws://127.0.0.1:9/',
      deviceId: 'nerves-242a',
      tokenStore: new MemoryTokenStore(),
    });
    const untyped: { send(...given: unknown[]): Promise<void> } = client;
    const usage = 'call send(event, payload) with the name of an event, or send(message) with one message';
    await expect(untyped.send(...given)).rejects.toThrow(new TypeError(`${problem}: ${usage}.`));
    await client.stop();
  });
});

async function startFedecks(): Promise<{ fedecks: Fedecks; close: () => Promise<void> }> {
  const app = await startApp({});
  return { fedecks: app.fedecks, close: () => app.close() };
}

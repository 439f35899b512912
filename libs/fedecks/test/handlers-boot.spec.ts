/** Mistakes that make start-up fail, and guards that run before the upgrade. */
import {
  type CanActivate,
  ConsoleLogger,
  type ExecutionContext,
  ForbiddenException,
  Injectable,
  InternalServerErrorException,
  Module,
  Scope,
  UnauthorizedException,
  UseGuards,
} from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import {
  DeviceEndpoint,
  FedecksModule,
  InvalidHandlerError,
  InvalidOptionsError,
  OnConnected,
  OnMessage,
  OnRawMessage,
  OnSocketError,
  Payload,
  type UpgradeRequest,
} from '@fedecks/nest';
import { FakeDevice } from '@fedecks/nest/testing';
import { of, throwError } from 'rxjs';
import { type StartedApp, startApp, type TestApp } from './support/app.js';
import { Inbox } from './support/inbox.js';

describe('App start-up: fails and names the class and the remedy', () => {
  async function failure(given: TestApp): Promise<Error> {
    return startApp(given).then(
      async (app) => {
        await app.close();
        throw new Error('the app has started');
      },
      (error: unknown) => error as Error,
    );
  }

  @Injectable()
  class Greenhouse {
    @OnMessage()
    any(): void {
      // Takes everything.
    }
  }

  it('for two catch-alls', async () => {
    @Injectable()
    class Cellar {
      @OnMessage()
      every(): void {
        // Takes everything too.
      }
    }
    const error = await failure({ providers: [Greenhouse, Cellar] });
    expect(error).toBeInstanceOf(InvalidHandlerError);
    expect(error.message).toContain('Both Greenhouse.any and Cellar.every have @OnMessage()');
    expect(error.message).toContain('remove one');
  });

  it('for two handlers of one event', async () => {
    @Injectable()
    class Cellar {
      @OnMessage('temperature')
      one(): void {
        // Takes it.
      }
      @OnMessage('temperature')
      two(): void {
        // Takes it too.
      }
    }
    const error = await failure({ providers: [Cellar] });
    expect(error).toBeInstanceOf(InvalidHandlerError);
    expect(error.message).toContain("Both Cellar.one and Cellar.two have @OnMessage('temperature')");
  });

  it('for two handlers of raw messages', async () => {
    @Injectable()
    class Cellar {
      @OnRawMessage()
      one(): void {
        // Takes it.
      }
      @OnRawMessage()
      two(): void {
        // Takes it too.
      }
    }
    expect((await failure({ providers: [Cellar] })).message).toContain(
      'have @OnRawMessage(), but only one handler runs',
    );
  });

  it('for a class that two modules provide', async () => {
    @Module({ providers: [Greenhouse] })
    class Other {}
    const error = await failure({ providers: [Greenhouse], imports: [Other] });
    expect(error).toBeInstanceOf(InvalidHandlerError);
    expect(error.message).toContain('Greenhouse.any has @OnMessage() twice');
    expect(error.message).toContain('provide it in one module, and export it from there');
  });

  it('for a decorator on a property, a static method, or a constructor', () => {
    const declare: Readonly<Record<string, () => unknown>> = {
      '@OnMessage() on Cellar.property: the decorator needs an instance method': () => {
        class Cellar {
          // TypeScript rejects this, but JavaScript does not.
          @(OnMessage() as PropertyDecorator)
          property = () => undefined;
        }
        return Cellar;
      },
      '@OnConnected() on Cellar.connected: the decorator needs an instance method': () => {
        class Cellar {
          readonly name = 'cellar';
          @OnConnected()
          static connected(): void {
            // Not an instance method.
          }
        }
        return Cellar;
      },
      'The constructor of Cellar has a parameter decorator of fedecks: move it to a parameter of a handler method':
        () => {
          class Cellar {
            constructor(@Payload() readonly payload: unknown) {}
          }
          return Cellar;
        },
      '@OnMessage takes an event name, a type guard, or no argument': () =>
        OnMessage(42 as unknown as string),
    };
    for (const [message, mistake] of Object.entries(declare)) {
      expect(mistake).toThrow(InvalidHandlerError);
      expect(mistake).toThrow(message);
    }
  });

  it('for an unknown endpoint', async () => {
    @Injectable()
    @DeviceEndpoint('/fedeks')
    class Cellar {
      @OnMessage()
      any(): void {
        // Never called.
      }
    }
    const error = await failure({ providers: [Cellar] });
    expect(error).toBeInstanceOf(InvalidHandlerError);
    expect(error.message).toContain("Cellar.any serves endpoint '/fedeks', which does not exist");
    expect(error.message).toContain("one of: '/fedecks'");
  });

  it('for a class that names no endpoint, if there are several', async () => {
    const authenticated = { secrets: ['x'.repeat(32)], authenticator: { authenticate: () => true } };
    @Injectable()
    @DeviceEndpoint('/north', '/south')
    class Errors {
      @OnSocketError()
      error(): void {
        // Names its endpoint.
      }
    }
    const { Test } = await import('@nestjs/testing');
    const module = await Test.createTestingModule({
      imports: [
        FedecksModule.forRoot({ ...authenticated, path: '/north' }),
        FedecksModule.forRoot({ ...authenticated, path: '/south' }),
      ],
      providers: [Greenhouse, Errors],
    }).compile();
    const app = module.createNestApplication();
    app.useLogger(false);
    await expect(app.init()).rejects.toThrow(
      "Greenhouse.any does not name its endpoint. Add @DeviceEndpoint() to its class, with one of: '/north', '/south'.",
    );
    await app.close();
  });

  it('for an authenticator or a guard that no module provides', async () => {
    class Nobody {
      authenticate(): boolean {
        return true;
      }
      canActivate(): boolean {
        return true;
      }
    }
    const authenticator = await failure({ options: { authenticator: Nobody } });
    expect(authenticator).toBeInstanceOf(InvalidOptionsError);
    expect(authenticator.message).toContain(
      "'authenticator' names Nobody, which no module provides: add it to the providers",
    );
    const guards = await failure({ options: { guards: [Nobody] } });
    expect(guards.message).toContain("'guards' names Nobody, which no module provides");
  });

  describe('for enhancers that Nest would silently ignore', () => {
    @Injectable()
    class Refusing implements CanActivate {
      canActivate(): boolean {
        return false;
      }
    }
    @Injectable()
    class Guarded {
      @OnMessage()
      @UseGuards(Refusing)
      any(): void {
        // Never called.
      }
    }

    it('names a guard class on an instance of a factory or a value', async () => {
      for (const provider of [{ useFactory: () => new Guarded() }, { useValue: new Guarded() }]) {
        const error = await failure({ providers: [{ provide: 'guarded', ...provider }] });
        expect(error).toBeInstanceOf(InvalidHandlerError);
        expect(error.message).toContain('Refusing would not run on Guarded.any');
        expect(error.message).toContain('Provide Guarded by its class, or give an instance of Refusing');
      }
    });

    it('names a request-scoped global guard, for a handler of a factory', async () => {
      const error = await failure({
        providers: [
          { provide: APP_GUARD, useClass: Refusing, scope: Scope.REQUEST },
          { provide: 'greenhouse', useFactory: () => new Greenhouse() },
        ],
      });
      expect(error.message).toContain('enhancer of the app would not run on Greenhouse.any');
    });
  });
});

describe('guards of forRoot', () => {
  let app: StartedApp;
  afterEach(() => app.close());

  const seen = new Inbox<UpgradeRequest>('request');

  @Injectable()
  class NorthOnly implements CanActivate {
    canActivate(context: ExecutionContext): boolean {
      expect(context.getType()).toBe('http');
      const request = context.switchToHttp().getRequest<UpgradeRequest>();
      seen.put(request);
      return request.device?.claims?.['site'] === 'north';
    }
  }

  const options = (site: string): TestApp['options'] => ({
    authenticator: { authenticate: ({ password }) => password === 'open sesame' && { claims: { site } } },
    guards: [NorthOnly],
  });
  const nerves = { id: 'nerves-242a', credentials: { password: 'open sesame' } };

  it('run at the upgrade, at login and with a token, and get the device with its claims', async () => {
    app = await startApp({ options: options('north'), providers: [NorthOnly] });
    const { token } = await FakeDevice.connect(app.nest, nerves);
    const expected = {
      id: 'nerves-242a',
      claims: { site: 'north' },
      endpoint: '/fedecks',
      remoteAddress: '127.0.0.1',
    };
    expect((await seen.next()).device).toEqual(expected);
    await FakeDevice.connect(app.nest, { id: 'nerves-242a', token });
    expect((await seen.next()).device).toEqual(expected);
  });

  it("reject with 403, which is reported with the guard's name", async () => {
    app = await startApp({ options: options('south'), providers: [NorthOnly] });
    await expect(FakeDevice.connect(app.nest, nerves)).rejects.toMatchObject({ status: 403 });
    await expect(app.errors.next()).resolves.toEqual({
      deviceId: 'nerves-242a',
      type: 'refused_by_guard',
      info: 'NorthOnly',
    });
    await seen.next();
  });

  it('do not run for a device that failed authentication', async () => {
    app = await startApp({ options: options('north'), providers: [NorthOnly] });
    await expect(FakeDevice.connect(app.nest, { id: 'nerves-242a' })).rejects.toMatchObject({ status: 403 });
    await expect(app.errors.next()).resolves.toMatchObject({ type: 'authentication_failed' });
    expect(seen.size).toBe(0);
  });

  const answers: Readonly<
    Record<string, [answer: () => unknown, status: number | undefined, type?: string]>
  > = {
    'a promise of true': [async () => true, undefined],
    'an Observable of true': [() => of(true), undefined],
    'a promise of false': [async () => false, 403, 'refused_by_guard'],
    'an Observable of false': [() => of(false), 403, 'refused_by_guard'],
    'a ForbiddenException': [() => thrown(new ForbiddenException()), 403, 'refused_by_guard'],
    'an UnauthorizedException, rejected': [
      () => Promise.reject(new UnauthorizedException()),
      403,
      'refused_by_guard',
    ],
    'a ForbiddenException of an Observable': [
      () => throwError(() => new ForbiddenException()),
      403,
      'refused_by_guard',
    ],
    'an exception of 500': [() => thrown(new InternalServerErrorException()), 503, 'upgrade_failed'],
    'any other error': [() => thrown(new TypeError('broken')), 503, 'upgrade_failed'],
    'a rejection': [() => Promise.reject(new TypeError('broken')), 503, 'upgrade_failed'],
  };

  function thrown(error: Error): never {
    throw error;
  }

  it.each(Object.keys(answers))('may return %s', async (how) => {
    const [answer, status, type] = answers[how]!;
    const guard = { canActivate: answer as CanActivate['canActivate'] };
    app = await startApp({ options: { guards: [guard] } });
    if (status === undefined) {
      await app.device('nerves-242a');
      return;
    }
    await expect(app.device('nerves-242a')).rejects.toMatchObject({ status });
    await expect(app.errors.next()).resolves.toMatchObject({ deviceId: 'nerves-242a', type });
  });

  it('run in order up to the first that returns false', async () => {
    const asked: string[] = [];
    const guard = (name: string, answer: boolean): CanActivate => ({
      canActivate: () => {
        asked.push(name);
        return answer;
      },
    });
    app = await startApp({
      options: { guards: [guard('one', true), guard('two', false), guard('three', true)] },
    });
    await expect(app.device()).rejects.toMatchObject({ status: 403 });
    expect(asked).toEqual(['one', 'two']);
  });
});

describe('@OnSocketError()', () => {
  it('may throw or reject, without effect on the process or on other listeners', async () => {
    const told = new Inbox<string>('call');
    @Injectable()
    class Careless {
      @OnSocketError()
      throws(): void {
        told.put('throws');
        throw new Error('broken');
      }
      @OnSocketError()
      async rejects(): Promise<void> {
        told.put('rejects');
        throw new Error('broken');
      }
      @OnSocketError()
      stream() {
        told.put('stream');
        return throwError(() => new Error('broken'));
      }
      @OnSocketError()
      async *iterable(): AsyncGenerator<string> {
        told.put('iterable');
        yield 'nobody is left to read this';
        throw new Error('broken');
      }
      @OnSocketError()
      @UseGuards({ canActivate: () => false })
      guarded(): void {
        told.put('never');
      }
    }
    const logged = new Inbox<string>('line of the log');
    const logger = new ConsoleLogger();
    logger.error = (message: unknown) => logged.put(String(message));
    logger.warn = logger.log = () => undefined;
    const app = await startApp({
      providers: [Careless],
      options: { authenticator: { authenticate: () => false } },
      setUp: (nest) => nest.useLogger(logger),
    });
    await expect(app.device()).rejects.toMatchObject({ status: 403 });
    await app.errors.next();
    const failed = ['guarded', 'iterable', 'rejects', 'stream', 'throws'];
    const lines: string[] = [];
    while (lines.length < failed.length) lines.push(await logged.next());
    expect(lines.sort()).toEqual(failed.map((name) => `@OnSocketError Careless.${name} failed`));
    const calls = [await told.next(), await told.next(), await told.next(), await told.next()];
    expect(calls.sort()).toEqual(['iterable', 'rejects', 'stream', 'throws']);
    await app.close();
    expect(told.size).toBe(0);
  });
});

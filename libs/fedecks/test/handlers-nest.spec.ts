/**
 * Handlers with Nest features: guards, pipes, interceptors, exception filters, custom parameters, scopes, and where a
 * handler may be defined. Over real sockets; handlers-boot.spec.ts tests mistakes and upgrade guards.
 */
import {
  type ArgumentsHost,
  BadRequestException,
  type CallHandler,
  type CanActivate,
  Catch,
  Controller,
  createParamDecorator,
  type ExceptionFilter,
  type ExecutionContext,
  ForbiddenException,
  Get,
  Inject,
  Injectable,
  Module,
  type NestInterceptor,
  ParseIntPipe,
  type PipeTransform,
  Scope,
  SetMetadata,
  UseFilters,
  UseGuards,
  UseInterceptors,
  UsePipes,
  ValidationPipe,
} from '@nestjs/common';
import { APP_GUARD, APP_INTERCEPTOR, APP_PIPE, Reflector, REQUEST } from '@nestjs/core';
import {
  type ConnectedDevice,
  Device,
  DeviceId,
  OnConnected,
  OnDisconnected,
  OnMessage,
  OnRawMessage,
  Payload,
  stop,
} from '@fedecks/nest';
import { type FakeDevice } from '@fedecks/nest/testing';
import { type Term } from '@fedecks/nest/wire';
import { IsNumber, Max } from 'class-validator';
import {
  catchError,
  concat,
  concatMap,
  delay,
  interval,
  map,
  NEVER,
  Observable,
  of,
  startWith,
  tap,
  throwError,
} from 'rxjs';
import { type StartedApp, startApp, type TestApp } from './support/app.js';
import { Inbox } from './support/inbox.js';

let app: StartedApp;
let device: FakeDevice;
afterEach(() => app.close());

async function start(given: TestApp): Promise<void> {
  app = await startApp(given);
  device = await app.device();
}

/** Checks with an `echo` that nothing else was sent, and the connection is open. */
async function expectNothingSent(): Promise<void> {
  device.send('echo', 'marker');
  await expect(device.next()).resolves.toBe('marker');
}

/** @param name of the error of a handler. */
async function expectFailure(name: string): Promise<void> {
  await expect(app.errors.next()).resolves.toMatchObject({
    deviceId: device.id,
    type: 'handler_failed',
    info: expect.stringMatching(new RegExp(`^\\w+\\.\\w+: ${name}$`)) as unknown,
  });
  await expectNothingSent();
}

@Injectable()
class Echo {
  @OnMessage('echo')
  echo(@Payload() payload: Term): Term {
    return payload;
  }
}

class Reading {
  @IsNumber()
  @Max(100)
  celsius!: number;
}

const Roles = (...roles: string[]): MethodDecorator => SetMetadata('roles', roles);

describe('guards', () => {
  const contexts = new Inbox<ExecutionContext>('execution context');

  @Injectable()
  class RolesGuard implements CanActivate {
    constructor(private readonly reflector: Reflector) {}

    canActivate(context: ExecutionContext): boolean {
      contexts.put(context);
      return this.reflector.get<string[]>('roles', context.getHandler())[0] === 'admin';
    }
  }

  @Injectable()
  class Greenhouse {
    readonly ran: string[] = [];

    @OnMessage('open')
    @UseGuards(RolesGuard)
    @Roles('admin')
    open(@Payload() payload: Term): Term {
      return { opened: payload };
    }

    @OnMessage('burn')
    @UseGuards(RolesGuard)
    @Roles('nobody')
    burn(): Term {
      this.ran.push('burn');
      return 'burnt';
    }
  }

  it('on a method see the device, the payload, the class, the method and its metadata', async () => {
    await start({ providers: [Greenhouse, Echo] });
    device.send('open', { window: 1 });
    await expect(device.next()).resolves.toEqual({ opened: { window: 1 } });
    const context = await contexts.next();
    expect(context.getType()).toBe('ws');
    expect(context.switchToWs().getClient<ConnectedDevice>()).toMatchObject({
      id: device.id,
      endpoint: '/fedecks',
    });
    expect(context.switchToWs().getData()).toEqual({ window: 1 });
    expect(context.getClass()).toBe(Greenhouse);
    expect(context.getHandler()).toBe(Object.getOwnPropertyDescriptor(Greenhouse.prototype, 'open')?.value);
  });

  it('on a method prevent the handler when they return false, which is reported', async () => {
    await start({ providers: [Greenhouse, Echo] });
    device.send('burn', null);
    await expectFailure('ForbiddenException');
    expect(app.nest.get(Greenhouse).ran).toEqual([]);
  });

  it('may return promises, Observables or values, and throw', async () => {
    class Later implements CanActivate {
      canActivate(context: ExecutionContext) {
        const data = context.switchToWs().getData<string>();
        if (data === 'throw') throw new ForbiddenException();
        return data === 'promise' ? Promise.resolve(false) : of(data !== 'Observable');
      }
    }
    @Injectable()
    @UseGuards(new Later())
    class Guarded {
      @OnMessage('echo')
      echo(payload: Term): Term {
        return payload;
      }
    }
    await start({ providers: [Guarded] });
    for (const payload of ['throw', 'promise', 'Observable']) {
      device.send('echo', payload);
      await expectFailure('ForbiddenException');
    }
  });

  it('on a class run before every handler of it', async () => {
    class Nobody implements CanActivate {
      canActivate(): boolean {
        return false;
      }
    }
    @Injectable()
    @UseGuards(Nobody)
    class Closed {
      readonly ran: string[] = [];
      @OnConnected()
      connected() {
        this.ran.push('connected');
      }
      @OnMessage('one')
      one() {
        this.ran.push('one');
      }
      @OnMessage()
      any() {
        this.ran.push('any');
      }
      @OnRawMessage()
      raw() {
        this.ran.push('raw');
      }
    }
    await start({ providers: [Closed, Echo] });
    device.send('one', 1);
    device.send('other');
    device.sendRaw(Uint8Array.of(1));
    for (let count = 0; count < 4; count++) await expectFailure('ForbiddenException');
    expect(app.nest.get(Closed).ran).toEqual([]);
  });
});

describe('pipes', () => {
  @Injectable()
  class Greenhouse {
    readonly seen = new Inbox<unknown>('payload');

    @OnMessage('reading')
    reading(@DeviceId() id: string, @Payload() reading: Reading): Term {
      this.seen.put(reading);
      return id;
    }

    @OnMessage('undecorated')
    undecorated(reading: Reading, given: ConnectedDevice): Term {
      this.seen.put(reading);
      return given.id;
    }

    @OnMessage('number')
    number(@Payload(ParseIntPipe) value: number, @Device() given: ConnectedDevice): Term {
      return [value, given.id];
    }

    @OnMessage('property')
    property(@Payload('celsius', new ParseIntPipe()) celsius: number): Term {
      return celsius;
    }
  }

  const setUp: TestApp['setUp'] = (nest) =>
    nest.useGlobalPipes(new ValidationPipe({ transform: true, whitelist: true }));

  it.each(['reading', 'undecorated'])(
    'validate a DTO with class-validator, and make it an instance: %s',
    async (event) => {
      await start({ providers: [Greenhouse, Echo], setUp });
      device.send(event, { celsius: 21.5, extra: true });
      await expect(device.next()).resolves.toBe(device.id);
      const seen = await app.nest.get(Greenhouse).seen.next();
      expect(seen).toBeInstanceOf(Reading);
      expect(seen).toEqual({ celsius: 21.5 });
    },
  );

  it.each(['reading', 'undecorated'])(
    'reject invalid payloads, without their values in the report: %s',
    async (event) => {
      await start({ providers: [Greenhouse, Echo], setUp });
      for (const payload of [{ celsius: 4711 }, { celsius: 'secret-4711' }, 'secret-4711', null, [1]]) {
        device.send(event, payload);
        const error = await app.errors.next();
        expect(error).toMatchObject({
          deviceId: device.id,
          type: 'refused_by_pipe',
          error: { name: 'BadRequestException' },
        });
        expect(JSON.stringify([error, (error.error as Error).stack])).not.toContain('4711');
        await expectNothingSent();
      }
      expect(app.nest.get(Greenhouse).seen.size).toBe(0);
    },
  );

  it('on a parameter apply to that parameter only', async () => {
    await start({ providers: [Greenhouse, Echo] });
    device.send('number', '42');
    await expect(device.next()).resolves.toEqual([42, device.id]);
    device.send('property', { celsius: '21' });
    await expect(device.next()).resolves.toBe(21);
    device.send('number', 'many');
    await expect(app.errors.next()).resolves.toMatchObject({
      type: 'refused_by_pipe',
      error: { name: 'BadRequestException' },
    });
    await expectNothingSent();
  });

  it('on a method or class apply to the payload, and not to the device', async () => {
    class Upper implements PipeTransform<string, string> {
      transform(value: string): string {
        return value.toUpperCase();
      }
    }
    @Injectable()
    @UsePipes(Upper)
    class Shouting {
      @OnMessage('echo')
      @UsePipes(ParseIntPipe)
      echo(@DeviceId() id: string, @Payload() payload: number, @Device() given: ConnectedDevice): Term {
        return [id, payload, given.id];
      }
      @OnMessage('upper')
      upper(payload: string, given: ConnectedDevice): Term {
        return [payload, given.id];
      }
    }
    await start({ providers: [Shouting] });
    device.send('echo', '42');
    await expect(device.next()).resolves.toEqual([device.id, 42, device.id]);
    device.send('upper', 'quiet');
    await expect(device.next()).resolves.toEqual(['QUIET', device.id]);
  });
});

describe('custom parameter decorators', () => {
  const Celsius = createParamDecorator((property: string, context: ExecutionContext) => {
    const { id } = context.switchToWs().getClient<ConnectedDevice>();
    return `${id}: ${String(context.switchToWs().getData<Record<string, unknown>>()[property])}`;
  });

  @Injectable()
  class Greenhouse {
    @OnMessage('reading')
    reading(@Celsius('celsius') celsius: string, @Payload('celsius') plain: number): Term {
      return [celsius, plain];
    }
  }

  it("work beside the library's own decorators", async () => {
    await start({ providers: [Greenhouse] });
    device.send('reading', { celsius: 21.5 });
    await expect(device.next()).resolves.toEqual([`${device.id}: 21.5`, 21.5]);
  });
});

describe('interceptors', () => {
  const log: string[] = [];
  beforeEach(() => (log.length = 0));

  @Injectable()
  class Tracing implements NestInterceptor {
    intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
      const name = context.getHandler().name;
      log.push(`before ${name}`);
      return next.handle().pipe(
        tap({
          next: (value) => log.push(`value ${String(value)}`),
          complete: () => log.push(`after ${name}`),
        }),
        map((value: unknown) => (value === undefined ? undefined : { traced: value })),
      );
    }
  }

  let release: () => void;
  let released: Promise<void>;
  beforeEach(() => {
    released = new Promise((resolve) => (release = resolve));
  });

  @Injectable()
  @UseInterceptors(Tracing)
  class Greenhouse {
    @OnMessage('value')
    value(@Payload() payload: string): Term {
      log.push(`run ${payload}`);
      return payload;
    }

    @OnMessage('nothing')
    nothing(): void {
      log.push('run nothing');
    }

    @OnMessage('slow')
    async slow(@Payload() payload: string): Promise<Term> {
      log.push('run slow');
      await released;
      log.push('ran slow');
      return payload;
    }

    @OnMessage('stream')
    stream(): Observable<string> {
      return of('one', 'two');
    }

    @OnMessage('endless')
    endless(): Observable<string> {
      return concat(of('begun'), NEVER);
    }

    @OnMessage('silent')
    silent(): Observable<never> {
      return NEVER;
    }

    @OnMessage('later endless')
    async laterEndless(): Promise<Observable<string>> {
      return this.endless();
    }
  }

  it('run before and after, and map the reply', async () => {
    await start({ providers: [Greenhouse, Echo] });
    device.send('value', 'hi');
    await expect(device.next()).resolves.toEqual({ traced: 'hi' });
    expect(log).toEqual(['before value', 'run hi', 'value hi', 'after value']);
    device.send('nothing', 1);
    await expectNothingSent();
    expect(log.slice(4)).toEqual(['before nothing', 'run nothing', 'value undefined', 'after nothing']);
  });

  it('see each value of an Observable', async () => {
    await start({ providers: [Greenhouse] });
    device.send('stream', null);
    await expect(device.next()).resolves.toEqual({ traced: 'one' });
    await expect(device.next()).resolves.toEqual({ traced: 'two' });
    expect(log).toEqual(['before stream', 'value one', 'value two', 'after stream']);
  });

  it('see an async iterable as one value, which is then sent value by value', async () => {
    class Seeing implements NestInterceptor {
      intercept(_context: ExecutionContext, next: CallHandler): Observable<unknown> {
        return next.handle().pipe(tap((value) => log.push(typeof value)));
      }
    }
    @Injectable()
    class Iterating {
      @OnMessage('iterable')
      @UseInterceptors(Seeing)
      async *iterable(): AsyncGenerator<string> {
        yield 'one';
        yield 'two';
      }
    }
    await start({ providers: [Iterating] });
    device.send('iterable', null);
    await expect(device.next()).resolves.toBe('one');
    await expect(device.next()).resolves.toBe('two');
    expect(log).toEqual(['object']);
  });

  it('keep the order: a slow handler delays the next message, intercepted or not', async () => {
    await start({ providers: [Greenhouse, Echo] });
    const other = await app.device();
    device.send('slow', 'first');
    device.send('value', 'second');
    device.send('echo', 'third');
    other.send('value', 'other');
    await expect(other.next()).resolves.toEqual({ traced: 'other' });
    expect(log).toContain('run slow');
    expect(log).not.toContain('run second');
    release();
    await expect(device.next()).resolves.toEqual({ traced: 'first' });
    await expect(device.next()).resolves.toEqual({ traced: 'second' });
    await expect(device.next()).resolves.toBe('third');
    expect(log.indexOf('ran slow')).toBeLessThan(log.indexOf('run second'));
  });

  it('delay the next message until the reply they map has been sent', async () => {
    class Slow implements NestInterceptor {
      intercept(_context: ExecutionContext, next: CallHandler): Observable<unknown> {
        return next.handle().pipe(
          delay(20),
          concatMap(async (value: unknown) => [value, 'mapped']),
        );
      }
    }
    @Injectable()
    class Mapped {
      @OnMessage('mapped')
      @UseInterceptors(Slow)
      mapped(payload: Term): Term {
        return payload;
      }
    }
    await start({ providers: [Mapped, Echo] });
    device.send('mapped', 1);
    device.send('echo', 2);
    await expect(device.next()).resolves.toEqual([1, 'mapped']);
    await expect(device.next()).resolves.toBe(2);
  });

  it.each(['endless', 'later endless'])(
    'do not delay the next message when the handler returns an endless stream: %s',
    async (event) => {
      await start({ providers: [Greenhouse, Echo] });
      device.send(event, null);
      await expect(device.next()).resolves.toEqual({ traced: 'begun' });
      await expectNothingSent();
    },
  );

  it('do not delay the next message when the returned stream has not emitted yet', async () => {
    await start({ providers: [Greenhouse, Echo] });
    device.send('silent', null);
    await expectNothingSent();
    expect(log).toEqual(['before silent']);
  });

  it('may append an endless stream to a handler that has returned', async () => {
    class Ticking implements NestInterceptor {
      intercept(_context: ExecutionContext, next: CallHandler): Observable<unknown> {
        return concat(next.handle().pipe(startWith('received')), NEVER);
      }
    }
    @Injectable()
    class Ticked {
      @OnMessage('ticked')
      @UseInterceptors(Ticking)
      async ticked(payload: Term): Promise<Term> {
        await released;
        return payload;
      }
    }
    await start({ providers: [Ticked, Echo] });
    device.send('ticked', 1);
    device.send('echo', 2);
    await expect(device.next()).resolves.toBe('received');
    release();
    await expect(device.next()).resolves.toBe(1);
    await expect(device.next()).resolves.toBe(2);
  });

  it('are unsubscribed from when the device disconnects', async () => {
    const teardowns = new Inbox<string>('unsubscribe');
    class Forever implements NestInterceptor {
      intercept(_context: ExecutionContext, next: CallHandler): Observable<unknown> {
        return new Observable((subscriber) => {
          subscriber.add(next.handle().subscribe(subscriber));
          return () => teardowns.put('unsubscribed');
        });
      }
    }
    @Injectable()
    class Endless {
      @OnMessage('endless')
      @UseInterceptors(Forever)
      endless(): Observable<number> {
        return interval(10);
      }
    }
    await start({ providers: [Endless] });
    device.send('endless', null);
    await device.next();
    await device.disconnect();
    await teardowns.next();
  });

  it('may reply instead of the handler', async () => {
    class Cache implements NestInterceptor {
      intercept(): Observable<unknown> {
        return of('cached');
      }
    }
    @Injectable()
    class Cached {
      ran = false;
      @OnMessage('cached')
      @UseInterceptors(Cache)
      cached(): Term {
        this.ran = true;
        return 'fresh';
      }
    }
    await start({ providers: [Cached, Echo] });
    device.send('cached', null);
    await expect(device.next()).resolves.toBe('cached');
    await expectNothingSent();
    expect(app.nest.get(Cached).ran).toBe(false);
  });

  it('let a handler close the connection, and can catch its errors', async () => {
    class Calm implements NestInterceptor {
      intercept(_context: ExecutionContext, next: CallHandler): Observable<unknown> {
        return next.handle().pipe(catchError((error: Error) => of(error.message)));
      }
    }
    @Injectable()
    @UseInterceptors(Calm)
    class Nervous {
      @OnMessage('throw')
      throws(): Term {
        throw new Error('broken');
      }
      @OnMessage('stop')
      stop() {
        return stop(4321);
      }
    }
    await start({ providers: [Nervous] });
    device.send('throw', null);
    await expect(device.next()).resolves.toBe('broken');
    device.send('stop', null);
    await expect(device.closed).resolves.toMatchObject({ code: 4321 });
  });

  it('keep connection and process alive when the handler throws, and report it once', async () => {
    @Injectable()
    @UseInterceptors(Tracing)
    class Broken {
      @OnMessage('throw')
      throws(): Term {
        throw new TypeError('broken');
      }
      @OnDisconnected()
      gone(): void {
        throw new RangeError('broken again');
      }
    }
    await start({ providers: [Broken, Echo] });
    device.send('throw', null);
    await expectFailure('TypeError');
    await device.disconnect();
    await expect(app.errors.next()).resolves.toMatchObject({ info: 'Broken.gone: RangeError' });
    expect(app.errors.size).toBe(0);
  });
});

describe('exception filters', () => {
  class Fire extends Error {}

  @Catch(Fire)
  class FireFilter implements ExceptionFilter {
    catch(error: Fire, host: ArgumentsHost): unknown {
      const { id } = host.switchToWs().getClient<ConnectedDevice>();
      expect(host.getType()).toBe('ws');
      switch (error.message) {
        case 'stop':
          return stop(4321);
        case 'rethrow':
          throw error;
        case 'later':
          return Promise.resolve('sorry, later');
        case 'stream':
          return of('sorry', 'so sorry');
        case 'swallow':
          return undefined;
        default:
          return `sorry, ${id}`;
      }
    }
  }

  function throwing(message: string): never {
    throw new Fire(message);
  }

  @Injectable()
  @UseFilters(FireFilter)
  class Greenhouse {
    @OnMessage('throw')
    throws(@Payload() message: string): Term {
      return throwing(message);
    }
    @OnMessage('reject')
    async rejects(@Payload() message: string): Promise<Term> {
      return throwing(message);
    }
    @OnMessage('stream')
    stream(@Payload() message: string): Observable<Term> {
      return concat(
        of('first'),
        throwError(() => new Fire(message)),
      );
    }
    @OnMessage('iterable')
    async *iterable(@Payload() message: string): AsyncGenerator<Term> {
      yield 'first';
      throwing(message);
    }
    @OnMessage('intercepted')
    @UseInterceptors({ intercept: (_context: ExecutionContext, next: CallHandler) => next.handle() })
    intercepted(@Payload() message: string): Term {
      return throwing(message);
    }
    @OnMessage('other')
    other(): Term {
      throw new TypeError('no fire');
    }
    @OnMessage('refused')
    @UseGuards({ canActivate: () => throwing('guard') })
    refused(): void {
      // A guard runs before it.
    }
  }

  const first: Readonly<Record<string, readonly Term[]>> = {
    throw: [],
    reject: [],
    stream: ['first'],
    iterable: ['first'],
    intercepted: [],
  };

  describe.each(Object.keys(first))('on a handler that fails by: %s', (event) => {
    beforeEach(async () => {
      await start({ providers: [Greenhouse, Echo] });
    });

    async function fail(message: string): Promise<void> {
      device.send(event, message);
      for (const value of first[event]!) await expect(device.next()).resolves.toEqual(value);
    }

    it('reply with what they return', async () => {
      await fail('please');
      await expect(device.next()).resolves.toBe(`sorry, ${device.id}`);
      await fail('later');
      await expect(device.next()).resolves.toBe('sorry, later');
      await fail('stream');
      await expect(device.next()).resolves.toBe('sorry');
      await expect(device.next()).resolves.toBe('so sorry');
      await expectNothingSent();
      expect(app.errors.size).toBe(0);
    });

    it('send and report nothing when they return nothing', async () => {
      await fail('swallow');
      await expectNothingSent();
      expect(app.errors.size).toBe(0);
    });

    it('may close the connection', async () => {
      await fail('stop');
      await expect(device.closed).resolves.toMatchObject({ code: 4321 });
    });

    it('may rethrow: the error is reported, and the connection stays open', async () => {
      await fail('rethrow');
      await expectFailure('Error');
      expect(app.errors.size).toBe(0);
    });
  });

  it('ignore other errors, and get errors of guards', async () => {
    await start({ providers: [Greenhouse, Echo] });
    device.send('other', null);
    await expectFailure('TypeError');
    device.send('refused', null);
    await expect(device.next()).resolves.toBe(`sorry, ${device.id}`);
  });
});

describe('global enhancers', () => {
  const calls: string[] = [];
  beforeEach(() => (calls.length = 0));

  @Injectable()
  class All implements CanActivate, PipeTransform, NestInterceptor {
    canActivate(context: ExecutionContext): boolean {
      calls.push('guard');
      return context.switchToWs().getData() !== 'refuse';
    }
    transform(value: unknown): unknown {
      calls.push('pipe');
      return value;
    }
    intercept(_context: ExecutionContext, next: CallHandler): Observable<unknown> {
      calls.push('interceptor');
      return next.handle();
    }
  }

  it.each([
    [
      'app.useGlobal...()',
      {
        setUp: (nest) => {
          const all = new All();
          nest.useGlobalGuards(all).useGlobalPipes(all).useGlobalInterceptors(all);
        },
      },
    ],
    ['APP_GUARD and its like', { providers: provided(Scope.DEFAULT) }],
    ['APP_GUARD and its like, request-scoped', { providers: provided(Scope.REQUEST) }],
    ['APP_GUARD and its like, transient', { providers: provided(Scope.TRANSIENT) }],
  ] as [string, TestApp][])('run before handlers: %s', async (_how, given) => {
    await start({ ...given, providers: [Echo, ...(given.providers ?? [])] });
    device.send('echo', 'hello');
    await expect(device.next()).resolves.toBe('hello');
    expect(calls).toEqual(['guard', 'interceptor', 'pipe']);
    device.send('echo', 'refuse');
    await expectNothingSent();
  });

  function provided(scope: Scope) {
    return [
      { provide: APP_GUARD, useClass: All, scope },
      { provide: APP_PIPE, useClass: All, scope },
      { provide: APP_INTERCEPTOR, useClass: All, scope },
    ];
  }
});

describe('scopes', () => {
  let made = 0;
  beforeEach(() => (made = 0));

  @Injectable({ scope: Scope.REQUEST })
  class PerMessage {
    readonly number = ++made;
    constructor(@Inject(REQUEST) private readonly request: { device: ConnectedDevice; payload: Term }) {}

    @OnMessage('who')
    who(): Term {
      return [this.number, this.request.device.id, this.request.payload];
    }

    @OnMessage('guarded anew')
    @UseGuards({ canActivate: (context: ExecutionContext) => context.switchToWs().getData() !== 'refuse' })
    guarded(@Payload() payload: Term): Term {
      return [this.number, payload];
    }
  }

  it('request: creates a handler per message, which can inject device and payload as REQUEST', async () => {
    await start({ providers: [PerMessage, Echo] });
    for (const number of [1, 2]) {
      device.send('who', { n: number });
      await expect(device.next()).resolves.toEqual([number, device.id, { n: number }]);
    }
    device.send('guarded anew', 'hi');
    await expect(device.next()).resolves.toEqual([3, 'hi']);
    device.send('guarded anew', 'refuse');
    await expectFailure('ForbiddenException');
  });

  it('request: keeps the order of messages', async () => {
    await start({ providers: [PerMessage, Echo] });
    device.send('who', 1);
    device.send('echo', 2);
    await expect(device.next()).resolves.toEqual([1, device.id, 1]);
    await expect(device.next()).resolves.toBe(2);
  });

  it('request: works for an enhancer, and for what a handler injects', async () => {
    @Injectable({ scope: Scope.REQUEST })
    class ScopedGuard implements CanActivate {
      constructor(@Inject(REQUEST) private readonly request: { payload: Term }) {}
      canActivate(): boolean {
        made++;
        return this.request.payload !== 'refuse';
      }
    }
    @Injectable()
    class Guarded {
      @OnMessage('guarded')
      @UseGuards(ScopedGuard)
      guarded(@Payload() payload: Term): Term {
        return payload;
      }
    }
    @Injectable()
    class Injecting {
      constructor(private readonly scoped: PerMessage) {}
      @OnMessage('injected')
      injected(): Term {
        return this.scoped.who();
      }
    }
    await start({ providers: [Guarded, Injecting, PerMessage, Echo] });
    device.send('guarded', 'hi');
    await expect(device.next()).resolves.toBe('hi');
    expect(made).toBe(1);
    device.send('guarded', 'refuse');
    await expectFailure('ForbiddenException');
    device.send('injected', 'x');
    await expect(device.next()).resolves.toEqual([3, device.id, 'x']);
  });

  it("transient: injects the handler's dependencies", async () => {
    @Injectable({ scope: Scope.TRANSIENT })
    class Transient {
      constructor(private readonly echo: Echo) {}
      @OnMessage('transient')
      transient(payload: Term): Term {
        return this.echo.echo(payload);
      }
    }
    await start({ providers: [Transient, Echo] });
    device.send('transient', 'hi');
    await expect(device.next()).resolves.toBe('hi');
  });
});

describe('where a handler may be defined', () => {
  @Injectable()
  class Refusing implements CanActivate {
    canActivate(context: ExecutionContext): boolean {
      return context.switchToWs().getData() !== 'refuse';
    }
  }

  @Injectable()
  class Cellar {
    @OnMessage('echo')
    @UseGuards(Refusing)
    echo(payload: Term): Term {
      return payload;
    }
  }

  @Injectable()
  class Unguarded {
    @OnMessage('echo')
    @UseGuards(new Refusing())
    echo(payload: Term): Term {
      return payload;
    }
  }

  @Module({ providers: [Cellar] })
  class CellarModule {}

  @Controller('cellar')
  class CellarController {
    @OnMessage('echo')
    @UseGuards(Refusing)
    @Get()
    echo(payload: Term): Term {
      return payload;
    }
  }

  it.each<[string, TestApp]>([
    ['in a provider', { providers: [Cellar] }],
    ['in a controller', { controllers: [CellarController] }],
    ['in a provider of an imported module', { imports: [CellarModule] }],
    ['in a provider of useClass', { providers: [{ provide: 'cellar', useClass: Cellar }] }],
    [
      'in a provider of useFactory',
      { providers: [{ provide: 'cellar', useFactory: () => new Unguarded() }] },
    ],
    ['in a provider of useValue', { providers: [{ provide: 'cellar', useValue: new Unguarded() }] }],
    ['in a provider with an alias, once', { providers: [{ provide: 'alias', useExisting: Cellar }, Cellar] }],
    [
      'in a provider that a factory returns again, once',
      { providers: [{ provide: 'same', useFactory: (cellar: Cellar) => cellar, inject: [Cellar] }, Cellar] },
    ],
  ])('runs a handler with its guard %s', async (_where, given) => {
    await start(given);
    await expectNothingSent();
    device.send('echo', 'refuse');
    await expectFailure('ForbiddenException');
  });

  it('runs a handler that a class inherits, or overrides with its own decorators', async () => {
    @Injectable()
    class Base {
      @OnMessage('inherited')
      @UseGuards(Refusing)
      inherited(@Payload('n') n: number): Term {
        return [this.constructor.name, n];
      }
      @OnMessage('overridden')
      overridden(): Term {
        return 'base';
      }
    }
    @Injectable()
    class Sub extends Base {
      @OnMessage('overridden')
      override overridden(): Term {
        return 'sub';
      }
    }
    await start({ providers: [Sub, Echo] });
    device.send('inherited', { n: 1 });
    await expect(device.next()).resolves.toEqual(['Sub', 1]);
    device.send('inherited', 'refuse');
    await expectFailure('ForbiddenException');
    device.send('overridden', null);
    await expect(device.next()).resolves.toBe('sub');
  });
});

describe('handlers without enhancers', () => {
  @Injectable()
  class Greenhouse {
    @OnMessage('plain')
    plain(@Payload() _payload: Term, @DeviceId() _id: string): Term {
      return new Error().stack ?? '';
    }

    @OnMessage('guarded')
    @UseGuards({ canActivate: () => true })
    guarded(): Term {
      return new Error().stack ?? '';
    }
  }

  it('are called directly, not through Nest', async () => {
    await start({ providers: [Greenhouse] });
    device.send('guarded', null);
    await expect(device.next()).resolves.toContain('external-context-creator');
    device.send('plain', null);
    await expect(device.next()).resolves.not.toContain('@nestjs');
  });

  it('are called directly when another handler, or a controller, has enhancers', async () => {
    @Controller()
    @UseGuards({ canActivate: () => false })
    class Closed {
      @Get()
      get(): string {
        throw new BadRequestException();
      }
    }
    await start({ providers: [Greenhouse], controllers: [Closed] });
    device.send('plain', null);
    await expect(device.next()).resolves.not.toContain('@nestjs');
  });
});

/** Reports and log lines for messages without a handler, messages that a pipe rejects, and failed handlers. */
import {
  type ArgumentsHost,
  BadRequestException,
  type CallHandler,
  Catch,
  createParamDecorator,
  type ExceptionFilter,
  type ExecutionContext,
  HttpException,
  Injectable,
  type NestInterceptor,
  ParseIntPipe,
  type PipeTransform,
  Scope,
  UseFilters,
  UseInterceptors,
  ValidationPipe,
} from '@nestjs/common';
import { APP_FILTER, BaseExceptionFilter, HttpAdapterHost } from '@nestjs/core';
import {
  AbortSignal as AbortSignalParam,
  OnConnected,
  OnDisconnected,
  OnMessage,
  OnRawMessage,
  Payload,
} from '@fedecks/nest';
import { type FakeDevice } from '@fedecks/nest/testing';
import { type Term, tuple } from '@fedecks/nest/wire';
import { IsNumber, IsOptional, IsString, Max, ValidateNested } from 'class-validator';
import { Type } from 'class-transformer';
import { type Observable } from 'rxjs';
import { type StartedApp, startApp, type TestApp } from './support/app.js';
import { Inbox } from './support/inbox.js';

let app: StartedApp;
let device: FakeDevice;
afterEach(() => app.close());

async function start(given: TestApp): Promise<void> {
  app = await startApp(given);
  device = await app.device();
}

/** Records the app's log: `<level> <message> [<stack>]`. */
function logging(lines: Inbox<string>): TestApp['setUp'] {
  const log =
    (level: string) =>
    (message: unknown, ...rest: unknown[]): void =>
      lines.put([level, String(message), ...rest.slice(0, -1).map(String)].join(' '));
  return (nest) =>
    nest.useLogger({ log: () => undefined, warn: log('warn'), error: log('error'), debug: () => undefined });
}

describe('global exception filters', () => {
  class Fire extends Error {
    override readonly name = 'Fire';
  }

  @Catch()
  class CatchAll implements ExceptionFilter {
    catch(error: Error): Term {
      return `caught ${error.name}`;
    }
  }

  @Injectable()
  class Greenhouse {
    @OnMessage('burn')
    burn(): never {
      throw new Fire('the greenhouse is on fire');
    }

    @OnMessage('burn behind a pipe')
    behind(@Payload(new ValidationPipe()) _payload: Term): never {
      throw new Fire('the greenhouse is on fire');
    }

    @OnMessage('own filter')
    @UseFilters(CatchAll)
    own(): never {
      throw new Fire('the greenhouse is on fire');
    }
  }

  /** As in the documentation of Nest: it writes to an HTTP response, which does not exist here. */
  @Catch(HttpException, Error)
  class HttpFilter implements ExceptionFilter {
    catch(_error: Error, host: ArgumentsHost): void {
      host.switchToHttp().getResponse<{ status(code: number): { json(body: object): void } }>().status(500);
    }
  }

  @Catch()
  class Base extends BaseExceptionFilter {}

  it.each([
    ['catch-all, app.useGlobalFilters()', { setUp: (nest) => nest.useGlobalFilters(new CatchAll()) }],
    ['of HTTP, app.useGlobalFilters()', { setUp: (nest) => nest.useGlobalFilters(new HttpFilter()) }],
    [
      'BaseExceptionFilter, app.useGlobalFilters()',
      { setUp: (nest) => nest.useGlobalFilters(new Base(nest.get(HttpAdapterHost).httpAdapter)) },
    ],
    ['BaseExceptionFilter, APP_FILTER', { providers: [{ provide: APP_FILTER, useClass: Base }] }],
    [
      'request-scoped, APP_FILTER',
      { providers: [{ provide: APP_FILTER, useClass: HttpFilter, scope: Scope.REQUEST }] },
    ],
  ] as [string, TestApp][])(
    "do not hide errors of handlers, and do not replace the handler's own filters: %s",
    async (_what, given) => {
      const lines = new Inbox<string>('line of the log');
      const setUp: TestApp['setUp'] = (nest) => {
        given.setUp?.(nest);
        logging(lines)?.(nest);
      };
      await start({ setUp, providers: [Greenhouse, ...(given.providers ?? [])] });
      // Nest 12 logs a warning about a request-scoped filter.
      lines.clear();
      for (const event of ['burn', 'burn behind a pipe']) {
        device.send(event, null);
        await expect(lines.next()).resolves.toMatch(
          /: handler_failed: Greenhouse\.\w+: Fire Fire: the greenhouse is on fire\n +at /,
        );
      }
      device.send('own filter', null);
      await expect(device.next()).resolves.toBe('caught Fire');
      expect(lines.size).toBe(0);
    },
  );
});

describe('switchToWs().getPattern()', () => {
  const patterns = new Inbox<unknown>('pattern');

  class Logging implements NestInterceptor {
    intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
      patterns.put(context.switchToWs().getPattern());
      return next.handle();
    }
  }

  const Pattern = createParamDecorator((_data: unknown, context: ExecutionContext): unknown =>
    context.switchToWs().getPattern(),
  );

  @Injectable()
  @UseInterceptors(Logging)
  class Greenhouse {
    @OnMessage('temperature')
    @OnMessage('humidity')
    record(@Payload() payload: Term, @Pattern() pattern: string): Term {
      return [pattern, payload];
    }

    @OnMessage('watch')
    watch(@AbortSignalParam() signal: AbortSignal, @Pattern() pattern: string): Term {
      return [pattern, signal.aborted];
    }

    @OnMessage((message): message is string => message === 'a shape')
    shape(): Term {
      return 'ok';
    }

    @OnMessage()
    any(): Term {
      return 'ok';
    }

    @OnRawMessage()
    raw(): Term {
      return 'ok';
    }

    @OnConnected()
    @OnDisconnected()
    changed(): void {
      // Only its pattern is tested.
    }
  }

  it("returns the event's name, or the decorator for other handlers; never the payload", async () => {
    await start({ providers: [Greenhouse] });
    await expect(patterns.next()).resolves.toBe('@OnConnected()');
    for (const event of ['temperature', 'humidity']) {
      device.send(event, { password: 'hunter2' });
      await expect(device.next()).resolves.toEqual([event, { password: 'hunter2' }]);
      await expect(patterns.next()).resolves.toBe(event);
    }
    device.send('watch', 1);
    await expect(device.next()).resolves.toEqual(['watch', false]);
    await expect(patterns.next()).resolves.toBe('watch');
    for (const [message, pattern] of [
      ['a shape', '@OnMessage(guard)'],
      ['anything', '@OnMessage()'],
    ] as const) {
      device.send(message);
      await expect(device.next()).resolves.toBe('ok');
      await expect(patterns.next()).resolves.toBe(pattern);
    }
    device.sendRaw(Buffer.from('raw'));
    await expect(device.next()).resolves.toBe('ok');
    await expect(patterns.next()).resolves.toBe('@OnRawMessage()');
    await device.disconnect();
    await expect(patterns.next()).resolves.toBe('@OnDisconnected()');
  });
});

describe('what a pipe refused', () => {
  class Chip {
    @IsString()
    maker!: string;
  }
  class Sensor {
    @IsString()
    name!: string;

    @IsOptional()
    @ValidateNested()
    @Type(() => Chip)
    chip?: Chip;
  }
  class Reading {
    @IsNumber()
    @Max(100)
    celsius!: number;

    @ValidateNested()
    @Type(() => Sensor)
    sensor!: Sensor;
  }

  /** As in the documentation of Nest for gateways. @nestjs/websockets need not be installed. */
  class WsException extends Error {
    constructor(private readonly error: unknown) {
      super('Ws Exception');
    }
    getError(): unknown {
      return this.error;
    }
  }

  class Broken implements PipeTransform {
    transform(value: { celsius: { toFixed(): string } }): string {
      return value.celsius.toFixed();
    }
  }

  /** Another library's, of which the status is not for everybody. */
  class Guarded extends Error {
    override readonly name = 'Guarded';
    getResponse(): string {
      return 'no';
    }
    getStatus(): number {
      throw new Error('not for you');
    }
  }

  class Odd implements PipeTransform {
    transform(): never {
      throw new Guarded('odd');
    }
  }

  class TooBusy implements PipeTransform {
    transform(): never {
      throw new HttpException('the database is gone', 503);
    }
  }

  @Injectable()
  class Greenhouse {
    @OnMessage('reading')
    reading(
      @Payload(new ValidationPipe({ transform: true, forbidNonWhitelisted: true, whitelist: true }))
      r: Reading,
    ): Term {
      return r.celsius;
    }

    @OnMessage('ws')
    ws(
      @Payload(new ValidationPipe({ transform: true, exceptionFactory: (errors) => new WsException(errors) }))
      r: Reading,
    ): Term {
      return r.celsius;
    }

    @OnMessage('number')
    number(@Payload('celsius', ParseIntPipe) celsius: number): Term {
      return celsius;
    }

    @OnMessage('broken')
    broken(@Payload(Broken) text: string): Term {
      return text;
    }

    @OnMessage('odd')
    odd(@Payload(Odd) text: string): Term {
      return text;
    }

    @OnMessage('too busy')
    busy(@Payload(TooBusy) text: string): Term {
      return text;
    }

    @OnMessage('by itself')
    itself(): never {
      throw new BadRequestException('thrown by the handler');
    }
  }

  const lines = new Inbox<string>('line of the log');

  beforeEach(async () => {
    lines.clear();
    await start({ providers: [Greenhouse], setUp: logging(lines) });
  });

  it.each([
    [
      'reading',
      { celsius: 4711, sensor: { name: 'a' } },
      'Greenhouse.reading: celsius must not be greater than 100',
    ],
    [
      'reading',
      { celsius: 1, sensor: { name: 'a' }, colour: 'secret' },
      'Greenhouse.reading: property colour should not exist',
    ],
    ['reading', { celsius: 1, sensor: { name: 4711 } }, 'Greenhouse.reading: sensor.name must be a string'],
    [
      'ws',
      { celsius: 4711, sensor: { name: 4711 } },
      'Greenhouse.ws: celsius must not be greater than 100; sensor.name must be a string',
    ],
    [
      'ws',
      { celsius: 1, sensor: { name: 'a', chip: { maker: 4711 } } },
      'Greenhouse.ws: sensor.chip.maker must be a string',
    ],
    [
      'number',
      { celsius: 'many' },
      "Greenhouse.number: property 'celsius': Validation failed (numeric string is expected)",
    ],
  ])('is reported with the property, as a warning without a stack: %s %j', async (event, payload, info) => {
    device.send(event, payload);
    await expect(app.errors.next()).resolves.toMatchObject({ type: 'refused_by_pipe', info });
    await expect(lines.next()).resolves.toBe(`warn device "${device.id}": refused_by_pipe: ${info}`);
    expect(lines.size).toBe(0);
  });

  it('is reported in at most 500 characters', async () => {
    const many = Object.fromEntries(Array.from({ length: 1_000 }, (_, i) => [`property${i}`, i]));
    device.send('reading', many);
    const { info } = await app.errors.next();
    expect(info.length).toBe(500);
  });

  it.each([
    ['broken', {}, 'Greenhouse.broken: TypeError'],
    ['too busy', {}, 'Greenhouse.busy: HttpException'],
    ['odd', {}, 'Greenhouse.odd: Guarded'],
    ['by itself', {}, 'Greenhouse.itself: BadRequestException'],
  ])('is not what fails for a reason of the cloud: %s', async (event, payload, info) => {
    device.send(event, payload);
    await expect(app.errors.next()).resolves.toMatchObject({ type: 'handler_failed', info });
    await expect(lines.next()).resolves.toMatch(/^error .*\n +at /s);
  });
});

describe('a message without a handler', () => {
  @Injectable()
  class Greenhouse {
    @OnMessage('fan')
    fan(): Term {
      return 'ok';
    }
  }

  it.each<[string, Term, string]>([
    [
      'an event',
      tuple('temprature', { celsius: 21.5 }),
      `no handler for event "temprature": if you have @OnMessage("temprature"), check that its class is in 'providers' or 'controllers' of a module (have: "fan")`,
    ],
    ['no event', [1, 2, 3], 'no handler for a message that is not an event: add a catch-all @OnMessage()'],
    [
      'an event with a long name',
      tuple('x'.repeat(1_000), null),
      `no handler for event "${'x'.repeat(64)}...": if you have @OnMessage("${'x'.repeat(64)}..."), check that its class is in 'providers' or 'controllers' of a module (have: "fan")`,
    ],
  ])('is reported with the most common cause: %s', async (_what, message, info) => {
    await start({ providers: [Greenhouse] });
    device.send(message);
    await expect(app.errors.next()).resolves.toMatchObject({ type: 'unhandled_message', info });
  });

  it('is reported when the app has no handlers at all', async () => {
    await start({});
    device.send('fan', null);
    await expect(app.errors.next()).resolves.toMatchObject({
      type: 'unhandled_message',
      info: `no handler for event "fan", and there are no @OnMessage() handlers here: add one, or check that its class is in 'providers' or 'controllers' of a module`,
    });
    device.sendRaw(Buffer.from('raw'));
    await expect(app.errors.next()).resolves.toMatchObject({
      type: 'unhandled_message',
      info: 'no handler for a raw message: add @OnRawMessage()',
    });
  });
});

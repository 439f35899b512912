/** `@AbortSignal()` in every kind of handler. */
import {
  type CanActivate,
  Inject,
  Injectable,
  type PipeTransform,
  Scope,
  UseGuards,
  UsePipes,
} from '@nestjs/common';
import { REQUEST } from '@nestjs/core';
import {
  AbortSignal,
  DeviceId,
  OnDisconnected,
  OnMessage,
  OnSocketError,
  Payload,
  type SocketError,
} from '@fedecks/nest';
import { type StartedApp, startApp } from './support/app.js';
import { Inbox } from './support/inbox.js';

const piped: unknown[] = [];

@Injectable()
class LettingIn implements CanActivate {
  canActivate(): boolean {
    return true;
  }
}

@Injectable()
class Recording implements PipeTransform {
  transform(value: unknown): unknown {
    piped.push(value);
    return value;
  }
}

/** A handler call: its name, its signal, and whether that was aborted. */
type Call = readonly [name: string, signal: AbortSignal, aborted: boolean];
const calls = new Inbox<Call>('call of a handler');
const note = (name: string, signal: AbortSignal): void => calls.put([name, signal, signal.aborted]);

@Injectable()
class Direct {
  @OnMessage('direct')
  direct(@Payload() _payload: unknown, @AbortSignal() signal: AbortSignal): void {
    note('direct', signal);
  }

  @OnMessage('enhanced')
  @UseGuards(LettingIn)
  @UsePipes(Recording)
  enhanced(@AbortSignal() signal: AbortSignal, @DeviceId() id: string, @Payload() payload: unknown): void {
    note(`enhanced ${id} ${String(payload)}`, signal);
  }

  @OnMessage('waits')
  async waits(@AbortSignal() signal: AbortSignal): Promise<void> {
    note('waits', signal);
    await new Promise((_resolve, reject) =>
      signal.addEventListener('abort', () => reject(signal.reason as Error)),
    );
  }

  @OnDisconnected()
  gone(@AbortSignal() signal: AbortSignal): void {
    note('gone', signal);
  }

  @OnSocketError()
  error(@Payload() error: SocketError, @AbortSignal() signal: AbortSignal): void {
    note(error.type, signal);
  }

  @OnMessage('boom')
  boom(): void {
    throw new Error('broken');
  }
}

@Injectable({ scope: Scope.REQUEST })
class Scoped {
  constructor(@Inject(REQUEST) readonly request: unknown) {}

  @OnMessage('scoped')
  scoped(@AbortSignal() signal: AbortSignal): void {
    note('scoped', signal);
  }

  @OnMessage('scoped and enhanced')
  @UseGuards(LettingIn)
  both(@AbortSignal() signal: AbortSignal): void {
    note('scoped and enhanced', signal);
  }
}

let app: StartedApp;
beforeEach(async () => {
  calls.clear();
  app = await startApp({ providers: [Direct, Scoped], options: { drainMs: 100 } });
});
afterEach(() => app.close());

it.each(['direct', 'enhanced', 'scoped', 'scoped and enhanced'])(
  'passes a handler that is %s the signal of its connection, which is aborted when that ends',
  async (event) => {
    const device = await app.device('first');
    const other = await app.device('other');
    device.send(event, 'payload');
    const [name, signal, aborted] = await calls.next();
    expect(name).toBe(event === 'enhanced' ? 'enhanced first payload' : event);
    expect(signal).toBeInstanceOf(globalThis.AbortSignal);
    expect(aborted).toBe(false);
    other.send(event, 'payload');
    const [, another] = await calls.next();
    await device.disconnect();
    expect((await calls.next()).slice(0, 3)).toEqual(['gone', signal, true]);
    expect([signal.aborted, another.aborted]).toEqual([true, false]);
  },
);

it('does not pass the signal to pipes', async () => {
  const device = await app.device();
  device.send('enhanced', 'payload');
  await calls.next();
  expect(piped).toContain('payload');
  expect(piped.filter((value) => value instanceof globalThis.AbortSignal)).toEqual([]);
});

it('ends a waiting handler when the app drains, without a report', async () => {
  const device = await app.device();
  device.send('waits', null);
  const [, signal] = await calls.next();
  await app.close();
  expect(signal.aborted).toBe(true);
  expect(app.errors.size).toBe(0);
});

it('passes @OnSocketError() a signal that is not aborted', async () => {
  const device = await app.device();
  device.send('boom', null);
  expect(await calls.next()).toEqual(['handler_failed', expect.any(globalThis.AbortSignal), false]);
});

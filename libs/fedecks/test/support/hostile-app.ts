/**
 * A cloud as a separate process, whose handlers and observers fail in every way. Writes its port to
 * its standard output, each report to `@OnSocketError` as `report <device> <type> <info>`, and `uncaught <what>` for whatever
 * would have ended it. A device names the handler it wants; `echo` answers.
 */
import { EventEmitter, on } from 'node:events';
import { writeSync } from 'node:fs';
import { type AddressInfo, type Server } from 'node:net';
import { Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import {
  AbortSignal,
  Fedecks,
  FedecksModule,
  OnMessage,
  OnSocketError,
  Payload,
  type SocketError,
} from '@fedecks/nest';
import { interval, map, Observable, throwError, timer } from 'rxjs';

/** Synchronous: asynchronous writes are lost when the process ends. */
function tell(line: string): void {
  writeSync(1, `${line}\n`);
}

for (const event of ['uncaughtException', 'unhandledRejection']) {
  process.on(event, (error: unknown) =>
    tell(`uncaught ${event} ${error instanceof Error ? error.message : ''}`),
  );
}

const bus = new EventEmitter();

const broken = (): never => {
  throw new Error('broken');
};

function unreadable(...keys: string[]): Error {
  const error = new Error('x');
  for (const key of keys) Object.defineProperty(error, key, { get: broken });
  return error;
}

function thrown(error: unknown): never {
  throw error;
}

function revoked(): object {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
}

function iterator(end: () => unknown): unknown {
  return { [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => undefined), return: end }) };
}

const ENDINGS: Readonly<Record<string, () => unknown>> = {
  teardown: () => new Observable(() => broken),
  'teardown behind operators': () => new Observable(() => broken).pipe(map((value) => value)),
  'teardown when it completes': () =>
    new Observable((subscriber) => {
      setImmediate(() => subscriber.complete());
      return broken;
    }),
  'async teardown': () => new Observable(() => async () => broken()),
  return: () => iterator(broken),
  'return without a promise': () => iterator(() => ({ done: true })),
  'return that rejects': () => iterator(async () => broken()),
  then: () => ({ then: broken }),
  'a getter then': () => Object.defineProperty({}, 'then', { get: broken }),
  'an error without a stack': () => thrown(unreadable('stack')),
  'an error without anything': () => thrown(unreadable('stack', 'name', 'message')),
  'an Observable of such an error': () => throwError(() => unreadable('stack', 'name', 'message')),
  null: () => thrown(null),
  'a revoked Proxy': () => thrown(revoked()),
  'a rejection with a revoked Proxy': async () => thrown(revoked()),
};

@Injectable()
class Hostile {
  @OnMessage('end')
  end(@Payload() name: string): unknown {
    return ENDINGS[name]?.();
  }

  @OnMessage('endless')
  async *endless(): AsyncGenerator<string> {
    for (;;) yield 'x'.repeat(1_000);
  }

  @OnMessage('synchronous')
  synchronous(): unknown {
    // It ignores unsubscription.
    return new Observable((subscriber) => {
      for (let index = 0; index < 50_000; index++) subscriber.next('y'.repeat(1_000));
      tell('synchronous ended');
    });
  }

  @OnMessage('patient')
  async *patient(@AbortSignal() signal: AbortSignal): AsyncGenerator<string> {
    try {
      yield 'waiting';
      for await (const [command] of on(bus, 'command', { signal })) yield String(command);
    } finally {
      tell(`listeners ${bus.listenerCount('command')}`);
    }
  }

  @OnMessage('echo')
  echo(@Payload() payload: string): string {
    return payload;
  }

  @OnMessage()
  any(): void {
    // Let the observers run first.
  }

  @OnSocketError()
  error(@Payload() { deviceId, type, info }: SocketError): void {
    tell(`report ${deviceId} ${type} ${info}`);
  }
}

@Module({
  imports: [
    FedecksModule.forRoot({
      secrets: ['s'.repeat(32)],
      authenticator: { authenticate: () => true },
      drainMs: 0,
    }),
  ],
  providers: [Hostile],
})
class AppModule {}

const app = await NestFactory.create(AppModule, { logger: false });
await app.listen(0, '127.0.0.1');
const fedecks = app.get(Fedecks);
const brokenLater: () => unknown = async () => broken();
for (const observed$ of [
  fedecks.messages$,
  fedecks.connections$,
  fedecks.presence.changes$,
] as Observable<unknown>[]) {
  observed$.subscribe(broken);
  observed$.subscribe(brokenLater);
  observed$.pipe(map(broken)).subscribe();
}
timer(0).subscribe(fedecks.downstream as never);
throwError(() => new Error('gone')).subscribe(fedecks.downstream);
interval(50)
  .pipe(map(() => null as never))
  .subscribe(fedecks.downstream);
process.stdin.resume().on('data', (deviceId) => {
  fedecks.downstream.next({ deviceId: String(deviceId).trim(), message: 'pushed' });
});
tell(`port ${((app.getHttpServer() as Server).address() as AddressInfo).port}`);

/**
 * One node of a fleet as a separate process. It reads commands as lines of JSON from its standard input, and answers
 * in lines of JSON on its standard output: see `fleet.ts`, which is the other side.
 */
import { type AddressInfo, type Server } from 'node:net';
import { createInterface } from 'node:readline';
import { Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Fedecks, FedecksModule, type FedecksOptions, OnMessage, Payload } from '@fedecks/nest';
import { natsBackplane, type NatsBackplaneOptions } from '@fedecks/nest/nats';
import { type Term } from '@fedecks/nest/wire';
import { lastValueFrom, take, toArray } from 'rxjs';
import { setClock } from './stepped-clock.js';

const { nats, options, clockAheadMs } = JSON.parse(process.argv[2] ?? '{}') as {
  nats?: NatsBackplaneOptions;
  options: Partial<FedecksOptions>;
  clockAheadMs: number;
};
setClock(clockAheadMs);

@Injectable()
class Echo {
  @OnMessage()
  echo(@Payload() message: Term) {
    return message;
  }
}

@Module({
  imports: [
    FedecksModule.forRoot({
      secrets: ['s'.repeat(32)],
      authenticator: { authenticate: () => true },
      upgradesPerAddressPerMinute: 0,
      ...(nats && { backplane: natsBackplane(nats) }),
      ...options,
    }),
  ],
  providers: [Echo],
})
class AppModule {}

const app = await NestFactory.create(AppModule, { logger: false });
const fedecks = app.get(Fedecks);
await app.listen(0, '127.0.0.1');

/** The commands of a test, by name. */
const ACTIONS: Record<string, (...args: never[]) => unknown> = {
  push: (id: string, message: Term) => fedecks.push(id, message),
  request: (id: string, event: string, payload: Term, timeoutMs: number) =>
    fedecks.request(id, event, payload, { timeoutMs }),
  stream: (id: string, event: string, payload: Term, count: number) =>
    lastValueFrom(fedecks.stream(id, event, payload).pipe(take(count), toArray())),
  disconnect: (id: string) => fedecks.disconnect(id),
  revoke: (id: string) => fedecks.revoke(id),
  broadcast: (message: Term) => fedecks.broadcast(message),
  joinGroup: (id: string, name: string) => fedecks.joinGroup(id, name),
  pushToGroup: (name: string, message: Term) => fedecks.pushToGroup(name, message),
  presence: (id: string) => fedecks.presence.get(id),
  list: (cursor: string | null, limit: number) =>
    fedecks.presence.list({ cursor: cursor ?? undefined, limit }),
  devices: () => fedecks.devices().map(({ id }) => id),
  health: () => fedecks.health(),
  setClock: (aheadMs: number) => setClock(aheadMs),
  close: () => app.close(),
};

function tell(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

createInterface({ input: process.stdin }).on('line', (line) => {
  const { call, action, args } = JSON.parse(line) as { call: number; action: string; args: never[] };
  Promise.resolve()
    .then(() => ACTIONS[action]?.(...args))
    .then(
      (result) => tell({ call, result }),
      (error: unknown) => {
        const { name, code, message } = error as { name: string; code?: string; message: string };
        tell({ call, error: { name, code, message } });
      },
    );
});
tell({ port: ((app.getHttpServer() as Server).address() as AddressInfo).port });

// The cloud half with its default limits, for hostile.mjs: an echo, a slow handler and an endless stream.
import 'reflect-metadata';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FedecksModule, OnMessage, OnRawMessage, Payload } from '../libs/fedecks/dist/server/index.js';

class Handlers {
  echo(payload) {
    return payload;
  }

  async slow() {
    await sleep(60_000);
  }

  async *stream() {
    for (let index = 0; ; index++) yield 'x'.repeat(10_000) + index;
  }

  ignore() {}
}
for (const name of ['echo', 'slow', 'stream']) handle(OnMessage(name), name);
handle(OnMessage(), 'ignore');
handle(OnRawMessage(), 'ignore');
Payload()(Handlers.prototype, 'echo', 0);

function handle(decorator, name) {
  decorator(Handlers.prototype, name, Object.getOwnPropertyDescriptor(Handlers.prototype, name));
}

class App {}
Module({
  imports: [
    FedecksModule.forRoot({
      secrets: ['a secret of thirty-two bytes, or more'],
      authenticator: { authenticate: ({ password }) => password === 'x' },
    }),
  ],
  providers: [Handlers],
})(App);

const app = await NestFactory.create(App, { logger: false });
await app.listen(0, '127.0.0.1');
const delay = monitorEventLoopDelay({ resolution: 5 });
delay.enable();
process.on('message', (question) => {
  if (question === 'collect garbage') for (let times = 0; times < 3; times++) globalThis.gc();
  process.send({ stallMs: delay.max / 1e6, rss: process.memoryUsage().rss });
  if (question === 'reset') delay.reset();
});
process.send({ port: app.getHttpServer().address().port });

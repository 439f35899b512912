// The cloud half with its default limits, for hostile.mjs: an echo, a slow handler and an endless stream.
import 'reflect-metadata';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FedecksModule, OnMessage, OnRawMessage, Payload } from '../libs/fedecks/dist/server/index.js';

/** How often it is looked whether the event loop comes round. */
const RESOLUTION_MS = 5;

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
const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
delay.enable();

/**
 * The most CPU time that this process had while its event loop did not come round. A stall that is longer by the clock
 * is one in which the machine ran something else.
 */
let stallCpuMs = 0;
let cpuMs = cpuTimeMs();
setInterval(() => {
  const now = cpuTimeMs();
  stallCpuMs = Math.max(stallCpuMs, now - cpuMs);
  cpuMs = now;
}, RESOLUTION_MS);

function cpuTimeMs() {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
}

process.on('message', (question) => {
  if (question === 'collect garbage') for (let times = 0; times < 3; times++) globalThis.gc();
  process.send({ stallMs: delay.max / 1e6, stallCpuMs, rss: process.memoryUsage().rss });
  if (question !== 'reset') return;
  delay.reset();
  stallCpuMs = 0;
  cpuMs = cpuTimeMs();
});
process.send({ port: app.getHttpServer().address().port });

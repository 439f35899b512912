// The server with its default limits, for hostile.mjs: an echo, slow and asynchronous handlers, and an endless stream.
import { readFileSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { OnMessage, OnRawMessage, Payload } from '../libs/fedecks/dist/server/index.js';
import { createApp, decorate } from './app.mjs';

/** The interval of the event loop check. */
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

  /** Does its work after the first await. */
  async later() {
    await null;
    for (const end = performance.now() + 0.05; performance.now() < end;);
  }

  ignore() {}
}
for (const name of ['echo', 'slow', 'stream', 'later']) decorate(Handlers, name, OnMessage(name));
decorate(Handlers, 'ignore', OnMessage());
decorate(Handlers, 'ignore', OnRawMessage());
Payload()(Handlers.prototype, 'echo', 0);

const authenticator = { authenticate: ({ password }) => password === 'x' };
const app = await createApp({ authenticator }, { providers: [Handlers], logger: false });
await app.listen(0, '127.0.0.1');
const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
delay.enable();

/**
 * The maximum CPU time that this process, and its main thread alone, used during one stall of the event loop. In a
 * stall that was longer by the clock, the machine ran something else; if the main thread used only little of it,
 * V8's garbage collection threads used the core.
 */
const stallCpuMs = { process: 0, main: 0 };
let cpuMs = cpuTimesMs();
setInterval(() => {
  const now = cpuTimesMs();
  for (const whose of ['process', 'main'])
    stallCpuMs[whose] = Math.max(stallCpuMs[whose], now[whose] - cpuMs[whose]);
  cpuMs = now;
}, RESOLUTION_MS);

function cpuTimesMs() {
  const { user, system } = process.cpuUsage();
  return { process: (user + system) / 1_000, main: mainThreadMs() };
}

/** NaN if the system does not report it. */
function mainThreadMs() {
  try {
    return Number(readFileSync('/proc/self/schedstat', 'latin1').split(' ', 1)) / 1e6;
  } catch {
    return NaN;
  }
}

process.on('message', (question) => {
  if (question === 'collect garbage') for (let times = 0; times < 3; times++) globalThis.gc();
  process.send({ stallMs: delay.max / 1e6, stallCpuMs, rss: process.memoryUsage().rss });
  if (question !== 'reset') return;
  delay.reset();
  stallCpuMs.process = stallCpuMs.main = 0;
  cpuMs = cpuTimesMs();
});
process.send({ port: app.getHttpServer().address().port });

// Compares two nodes over NATS with a single node: see README.md and docs/scaling.md. Build first: npm run build.
import { fork } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { NatsProcess } from '../scripts/demo/nats-process.mjs';
import { decodeTerm } from '../libs/fedecks/dist/wire/index.js';
import { connectAll } from './load.mjs';

const DEVICES = Number(process.env.DEVICES ?? 5_000);
/** The number of pushes of each kind, for the percentiles. */
const PUSHES = 8_000;

async function start(...args) {
  const child = fork(fileURLToPath(new URL('server-cluster.mjs', import.meta.url)), args, {
    execArgv: ['--expose-gc'],
  });
  const next = () => new Promise((resolve) => child.once('message', ({ answer }) => resolve(answer)));
  const port = await next();
  const ask = (question, more) => {
    const answered = next();
    child.send({ ask: question, ...more });
    return answered;
  };
  return { port, ask, kill: () => child.kill('SIGKILL') };
}

function percentile(values, p) {
  return [...values].sort((a, b) => a - b)[Math.floor((values.length - 1) * p)];
}

function cpuMicros({ user, system }) {
  return user + system;
}

/** A process's CPU time in microseconds (in steps of 10 ms), and resident memory in bytes, from the kernel. */
function processOf(pid) {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
  const [, rss] = readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ');
  return { cpu: (Number(stat[11]) + Number(stat[12])) * 10_000, rss: Number(rss) * 4_096 };
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function until(look, fits, deadlineMs = 60_000) {
  const from = performance.now();
  for (;;) {
    if (fits(await look())) return performance.now() - from;
    if (performance.now() - from > deadlineMs) throw new Error('not within a minute');
    await sleep(50);
  }
}

const files = mkdtempSync(join(tmpdir(), 'fedecks-bench-'));
process.on('exit', () => rmSync(files, { recursive: true, force: true }));
const nats = await NatsProcess.start(files);
const varz = async () => (await fetch(`${nats.monitor}/varz`)).json();
const rows = [];
const row = (measure, value, unit) => rows.push({ measure, value: +value.toFixed(2), unit });

// A single node: the cost of a device without a backplane.
const alone = await start();
await connectAll(alone.port, 200, 'warm');
let [memory, cpu] = [await alone.ask('memory'), cpuMicros(await alone.ask('cpu'))];
const aloneDevices = await connectAll(alone.port, DEVICES);
row('alone: connect, CPU of the node', (cpuMicros(await alone.ask('cpu')) - cpu) / DEVICES, 'us/device');
row('alone: memory of the node', ((await alone.ask('memory')) - memory) / DEVICES / 1024, 'KiB/device');
for (const { socket } of aloneDevices) socket.destroy();
alone.kill();

// Two nodes: one holds the devices.
const [one, two] = [await start(nats.url), await start(nats.url)];
await connectAll(one.port, 200, 'warm');
await sleep(1_000);
[memory, cpu] = [await one.ask('memory'), cpuMicros(await one.ask('cpu'))];
let server = processOf(nats.pid);
let seen = await varz();
const devices = await connectAll(one.port, DEVICES);
await until(
  () => two.ask('census'),
  ({ online }) => online === DEVICES + 200,
);
let now = await varz();
row('on NATS: connect, CPU of the node', (cpuMicros(await one.ask('cpu')) - cpu) / DEVICES, 'us/device');
row('on NATS: connect, CPU of nats-server', (processOf(nats.pid).cpu - server.cpu) / DEVICES, 'us/device');
row('on NATS: memory of the node', ((await one.ask('memory')) - memory) / DEVICES / 1024, 'KiB/device');
row('on NATS: memory of nats-server', (processOf(nats.pid).rss - server.rss) / DEVICES / 1024, 'KiB/device');
row('on NATS: subscriptions', (now.subscriptions - seen.subscriptions) / DEVICES, 'per device');
row('connect: messages into NATS', (now.in_msgs - seen.in_msgs) / DEVICES, 'per device');
row('connect: bytes into NATS', (now.in_bytes - seen.in_bytes) / DEVICES, 'per device');
const jsz = await (await fetch(`${nats.monitor}/jsz`)).json();
row('kept on disk by JetStream', jsz.storage / (DEVICES + 200), 'bytes/device');

// Idle, except for heartbeats.
seen = await varz();
server = processOf(nats.pid);
cpu = cpuMicros(await one.ask('cpu'));
await sleep(15_000);
now = await varz();
row('idle: messages into NATS', (now.in_msgs - seen.in_msgs) / 15, 'per s, two nodes');
row('idle: bytes into NATS', (now.in_bytes - seen.in_bytes) / 15, 'per s, two nodes');
row('idle: CPU of the node', (cpuMicros(await one.ask('cpu')) - cpu) / 15 / 10_000, '% of a core');
row('idle: CPU of nats-server', (processOf(nats.pid).cpu - server.cpu) / 15 / 10_000, '% of a core');

// From push to arrival in this process, alternating between devices of the pushing node and of the other one.
const aimed = {
  local: await connectAll(two.port, 50, 'near'),
  cross: await connectAll(one.port, 50, 'far'),
};
const names = { local: 'near', cross: 'far' };
let arrived;
for (const { socket } of [...aimed.local, ...aimed.cross]) {
  // One push per device at a time, so that a read is one frame: two header bytes, and the term.
  socket.on('data', (frame) => {
    const now = Number(process.hrtime.bigint() / 1_000n);
    arrived?.push(now - decodeTerm(frame.subarray(2)).at);
  });
}
for (const [together, everyMs] of [
  [1, 1],
  [50, 10],
]) {
  const taken = { local: [], cross: [] };
  for (let round = 0; round <= 4; round++) {
    for (const [kind, prefix] of Object.entries(names)) {
      // The first round warms up.
      arrived = round > 0 ? taken[kind] : [];
      const ids = Array.from({ length: together }, (_, index) => `${prefix}-${index}`);
      await two.ask('timed', { ids, rounds: PUSHES / 4 / together, everyMs });
      await sleep(100);
    }
  }
  arrived = undefined;
  for (const [kind, micros] of Object.entries(taken)) {
    row(`${kind} push to arrival, ${together} at a time, p50`, percentile(micros, 0.5), 'us');
    row(`${kind} push to arrival, ${together} at a time, p99`, percentile(micros, 0.99), 'us');
  }
  row(
    `p99 of cross to local, ${together} at a time`,
    percentile(taken.cross, 0.99) / percentile(taken.local, 0.99),
    'x',
  );
}

// Concurrent pushes: the time includes the write for local devices, and the round trip for remote ones.
const here = (await connectAll(two.port, 50, 'here')).map((_, index) => `here-${index}`);
const there = Array.from({ length: 50 }, (_, index) => `device-${index}`);
const together = { local: here, cross: there };
for (const [kind, ids] of Object.entries(together)) {
  await two.ask('many', { ids, count: 5_000, inFlight: 100 });
  seen = await varz();
  server = processOf(nats.pid);
  const cpus = [cpuMicros(await one.ask('cpu')), cpuMicros(await two.ask('cpu'))];
  const from = performance.now();
  const pushed = await two.ask('many', { ids, count: 20_000, inFlight: 100 });
  const ms = performance.now() - from;
  now = await varz();
  row(`${kind} pushes, 100 under way`, pushed / ms, 'per ms');
  row(`${kind} push, CPU of the asking node`, (cpuMicros(await two.ask('cpu')) - cpus[1]) / pushed, 'us');
  if (kind === 'local') continue;
  row('cross push, CPU of the holding node', (cpuMicros(await one.ask('cpu')) - cpus[0]) / pushed, 'us');
  row('cross push, CPU of nats-server', (processOf(nats.pid).cpu - server.cpu) / pushed, 'us');
  row('cross push: bytes into NATS', (now.in_bytes - seen.in_bytes) / pushed, 'per push');
}

// The node with all devices is killed, and they all reconnect to the other one at once.
for (const { socket } of devices) socket.on('error', () => undefined);
one.kill();
cpu = cpuMicros(await two.ask('cpu'));
server = processOf(nats.pid);
let from = performance.now();
await connectAll(two.port, DEVICES);
row('storm: all devices back', performance.now() - from, 'ms');
await until(
  () => two.ask('census'),
  ({ online }) => online >= DEVICES + 100,
);
row('storm: and known to be', performance.now() - from, 'ms');
row('storm: CPU of the node', (cpuMicros(await two.ask('cpu')) - cpu) / DEVICES, 'us/device');
row('storm: CPU of nats-server', (processOf(nats.pid).cpu - server.cpu) / DEVICES, 'us/device');

console.table(rows);
two.kill();
await nats.stop();
process.exit(0);

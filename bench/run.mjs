// The cloud half beside a bare `ws` server that speaks the same terms: see README.md. Build first: npm run build.
import { fork, spawnSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { connectAll, echo } from './load.mjs';

const ROUNDS = 3;
const WARM_UP_MS = 1_500;
const MEASURE_MS = 2_500;
const IDLE_DEVICES = Number(process.env.IDLE_DEVICES ?? 5_000);

const small = { t: 'temperature', v: 21.5, at: 1700000000123, ok: true };
const large = {
  device: 'greenhouse-north',
  readings: Array.from({ length: 14 }, (_, i) => ({
    sensor: `sensor-${i}`,
    celsius: 20 + i / 4,
    at: 1700000000123 + i,
    ok: i % 5 > 0,
  })),
};

// The server has a core of its own where there are two, and the load the other.
const pin = availableParallelism() > 1 && spawnSync('taskset', ['--version']).status === 0;
if (pin) spawnSync('taskset', ['-cp', '1', String(process.pid)]);

async function start(name) {
  const child = fork(fileURLToPath(new URL(`server-${name}.mjs`, import.meta.url)), {
    execArgv: ['--expose-gc'],
  });
  if (pin) spawnSync('taskset', ['-acp', '0', String(child.pid)]);
  const answers = [];
  const waiting = [];
  child.on('message', (message) => (waiting.length > 0 ? waiting.shift()(message) : answers.push(message)));
  const next = () => (answers.length > 0 ? answers.shift() : new Promise((resolve) => waiting.push(resolve)));
  const { port } = await next();
  const ask = (question) => {
    child.send(question);
    return next();
  };
  return { port, ask, stop: () => child.kill('SIGKILL') };
}

function cpuMicros({ cpu }) {
  return cpu.user + cpu.system;
}

/** Server CPU in microseconds per message. */
async function echoCost(name, message, connections, inFlight) {
  const server = await start(name);
  const devices = await connectAll(server.port, connections);
  await echo(devices, message, inFlight, WARM_UP_MS);
  const before = cpuMicros(await server.ask('cpu'));
  const echoed = await echo(devices, message, inFlight, MEASURE_MS);
  const after = cpuMicros(await server.ask('cpu'));
  server.stop();
  for (const { socket } of devices) socket.destroy();
  return (after - before) / echoed;
}

/** Server CPU in microseconds per message to one device. @param way 'push', to each by its id, or 'broadcast' */
async function pushCost(name, way) {
  const server = await start(name);
  const devices = await connectAll(server.port, 1_000);
  const rounds = 100;
  for (let i = 0; i < rounds; i++) await server.ask(way);
  const before = cpuMicros(await server.ask('cpu'));
  for (let i = 0; i < rounds; i++) await server.ask(way);
  const after = cpuMicros(await server.ask('cpu'));
  server.stop();
  for (const { socket } of devices) socket.destroy();
  return (after - before) / (rounds * devices.length);
}

/** Server CPU in microseconds per connection that logs in and receives a token, after `before` others. */
async function connectCost(name, before) {
  const server = await start(name);
  const warm = await connectAll(server.port, before, 'warm');
  const from = cpuMicros(await server.ask('cpu'));
  const devices = await connectAll(server.port, 1_000);
  const to = cpuMicros(await server.ask('cpu'));
  server.stop();
  for (const { socket } of [...warm, ...devices]) socket.destroy();
  return (to - from) / devices.length;
}

/** Resident memory in KiB per idle device. */
async function memoryCost(name) {
  const server = await start(name);
  const warm = await connectAll(server.port, 200, 'warm');
  const { rss: before } = await server.ask('memory');
  const devices = await connectAll(server.port, IDLE_DEVICES);
  const { rss: after } = await server.ask('memory');
  server.stop();
  for (const { socket } of [...warm, ...devices]) socket.destroy();
  return (after - before) / IDLE_DEVICES / 1024;
}

function median(values) {
  return [...values].sort((a, b) => a - b)[values.length >> 1];
}

const MEASURES = {
  'echo of the small map, 100 connections (us)': (name) => echoCost(name, small, 100, 1),
  'the same, 1 connection, 64 in flight (us)': (name) => echoCost(name, small, 1, 64),
  'echo of 1 KiB, 14 readings, 100 connections (us)': (name) => echoCost(name, large, 100, 1),
  'connect, log in, receive a token, after 300 (us)': (name) => connectCost(name, 300),
  'the same, after 5,000 (us)': (name) => connectCost(name, 5_000),
  'push to 1,000 devices, one by one, per push (us)': (name) => pushCost(name, 'push'),
  'broadcast to 1,000 devices, per device (us)': (name) => pushCost(name, 'broadcast'),
  [`memory per idle device of ${IDLE_DEVICES} (KiB)`]: memoryCost,
};

const only = process.argv[2];
const rows = [];
for (const [measure, run] of Object.entries(MEASURES)) {
  if (only && !measure.includes(only)) continue;
  const costs = { fedecks: [], bare: [] };
  for (let round = 0; round < ROUNDS; round++) {
    for (const name of ['bare', 'fedecks']) costs[name].push(await run(name));
  }
  const [ours, bare] = [median(costs.fedecks), median(costs.bare)];
  rows.push({
    measure,
    fedecks: +ours.toFixed(1),
    'bare ws': +bare.toFixed(1),
    'cost ratio': +(ours / bare).toFixed(2),
    speed: `${(bare / ours).toFixed(2)}x`,
  });
}
console.table(rows);

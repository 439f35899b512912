// Compares the server with a bare `ws` server that handles the same terms: see README.md. Build first: npm run build.
import { fork, spawnSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { encodeTerm, tuple } from '../libs/fedecks/dist/wire/index.js';
import { connectAll, connectAllToDeliver, deliver, echo } from './load.mjs';

/** A smoke test: the figures of a quick run mean nothing. */
const quick = process.env.BENCH_QUICK !== undefined;
const ROUNDS = quick ? 1 : 3;
const WARM_UP_MS = quick ? 200 : 1_500;
const MEASURE_MS = quick ? 300 : 2_500;
/** The columns, and the commands of their servers. */
const SERVERS = {
  'bare ws, bytes': { file: 'server-bare.mjs', codec: 'bytes' },
  'bare ws': { file: 'server-bare.mjs', codec: 'terms' },
  fedecks: { file: 'server-fedecks.mjs', codec: 'terms' },
};

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
const text = 'a line of log, as they are \n'.repeat(2_341).slice(0, 65_536);

// With two cores, one is for the server and one for the load.
const pin = availableParallelism() > 1 && spawnSync('taskset', ['--version']).status === 0;
if (pin) spawnSync('taskset', ['-cp', '1', String(process.pid)]);

/** @param mode the server's handler: it answers `any` message with itself, or an event with its `data`, also `named`. */
async function start(column, mode = 'any') {
  const { file, codec } = SERVERS[column];
  const child = fork(fileURLToPath(new URL(file, import.meta.url)), [codec, mode], {
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
async function echoCost(column, message, connections, inFlight, mode = 'any') {
  const server = await start(column, mode);
  const devices = await connectAll(server.port, connections);
  const sent = encodeTerm(mode === 'any' ? message : tuple('echo', message));
  const reply = SERVERS[column].codec === 'bytes' ? sent : encodeTerm(message);
  await echo(devices, sent, reply, inFlight, WARM_UP_MS);
  const before = cpuMicros(await server.ask('cpu'));
  const answered = await echo(devices, sent, reply, inFlight, MEASURE_MS);
  const after = cpuMicros(await server.ask('cpu'));
  server.stop();
  for (const { socket } of devices) socket.destroy();
  return (after - before) / answered;
}

/** Server CPU in microseconds per request of an event. A bare server has no requests: it echoes the event. */
async function requestCost(column, message, connections, inFlight) {
  if (column !== 'fedecks') return echoCost(column, message, connections, inFlight, 'data');
  const server = await start(column, 'data');
  const devices = await connectAll(server.port, connections, 'device', 2);
  const charlist = (name) => [...Buffer.from(name)];
  const request = (n) => encodeTerm(tuple(charlist('request'), n + 1, 30_000, tuple('echo', message)));
  const reply = encodeTerm(tuple(charlist('reply'), 1, message));
  await echo(devices, request, reply, inFlight, WARM_UP_MS);
  const before = cpuMicros(await server.ask('cpu'));
  const answered = await echo(devices, request, reply, inFlight, MEASURE_MS);
  const after = cpuMicros(await server.ask('cpu'));
  server.stop();
  for (const { socket } of devices) socket.destroy();
  return (after - before) / answered;
}

/** Server CPU in microseconds per delivery of an event, with its ack. A bare server echoes the event. */
async function deliveryCost(column, message, connections, inFlight) {
  if (column !== 'fedecks') return echoCost(column, message, connections, inFlight, 'data');
  const server = await start(column, 'data');
  const devices = await connectAllToDeliver(server.port, connections);
  const event = encodeTerm(tuple('echo', message));
  await deliver(devices, event, inFlight, WARM_UP_MS);
  const before = cpuMicros(await server.ask('cpu'));
  const acked = await deliver(devices, event, inFlight, MEASURE_MS);
  const after = cpuMicros(await server.ask('cpu'));
  server.stop();
  for (const { socket } of devices) socket.destroy();
  return (after - before) / acked;
}

/** Server CPU in microseconds per message to one device. @param way 'push' to each id, or 'broadcast' */
async function pushCost(column, way) {
  const server = await start(column);
  const devices = await connectAll(server.port, 1_000);
  const rounds = quick ? 10 : 100;
  for (let i = 0; i < rounds; i++) await server.ask(way);
  const before = cpuMicros(await server.ask('cpu'));
  for (let i = 0; i < rounds; i++) await server.ask(way);
  const after = cpuMicros(await server.ask('cpu'));
  server.stop();
  for (const { socket } of devices) socket.destroy();
  return (after - before) / (rounds * devices.length);
}

/** Server CPU in microseconds per connection that logs in and receives a token, after `before` others. */
async function connectCost(column, before) {
  const server = await start(column);
  const warm = await connectAll(server.port, before, 'warm');
  const from = cpuMicros(await server.ask('cpu'));
  const devices = await connectAll(server.port, 1_000);
  const to = cpuMicros(await server.ask('cpu'));
  server.stop();
  for (const { socket } of [...warm, ...devices]) socket.destroy();
  return (to - from) / devices.length;
}

/** Resident memory in KiB per idle device. */
async function memoryCost(column, count) {
  const server = await start(column);
  const warm = await connectAll(server.port, 200, 'warm');
  const { rss: before } = await server.ask('memory');
  const devices = await connectAll(server.port, count);
  const { rss: after } = await server.ask('memory');
  server.stop();
  for (const { socket } of [...warm, ...devices]) socket.destroy();
  return (after - before) / count / 1024;
}

function median(values) {
  return [...values].sort((a, b) => a - b)[values.length >> 1];
}

/** Limits the devices to the allowed open files: each connection needs one in both processes. */
const openFiles = Number(spawnSync('sh', ['-c', 'ulimit -n']).stdout) || Infinity;
const many = Math.min(20_000, openFiles - 500);

const MEASURES = {
  'echo of the small map, 100 connections, window of 8 (us)': (column) => echoCost(column, small, 100, 8),
  'the same, one message in flight for each (us)': (column) => echoCost(column, small, 100, 1),
  'the same, 1 connection, 64 in flight (us)': (column) => echoCost(column, small, 1, 64),
  'echo of 1 KiB, 14 readings, 100 connections, window of 8 (us)': (column) =>
    echoCost(column, large, 100, 8),
  'echo of 64 KiB of text, 20 connections (us)': (column) => echoCost(column, text, 20, 1),
  'event with the small map, 100 connections, window of 8 (us)': (column) =>
    echoCost(column, small, 100, 8, 'data'),
  'the same bytes, by a route by name (us)': (column) => echoCost(column, small, 100, 8, 'named'),
  'the same event, as a request (us)': (column) => requestCost(column, small, 100, 8),
  'the same event, as a delivery (us)': (column) => deliveryCost(column, small, 100, 8),
  'connect, log in, receive a token, after 300 (us)': (column) => connectCost(column, 300),
  'the same, after 5,000 (us)': (column) => connectCost(column, 5_000),
  'push to 1,000 devices in one tick, one by one, per push (us)': (column) => pushCost(column, 'push'),
  'broadcast to 1,000 devices, per device (us)': (column) => pushCost(column, 'broadcast'),
  'memory per idle device of 5,000 (KiB)': (column) => memoryCost(column, 5_000),
  [`memory per idle device of ${many.toLocaleString('en')} (KiB)`]: (column) => memoryCost(column, many),
};

const only = process.argv[2];
const rows = [];
for (const [measure, run] of Object.entries(MEASURES)) {
  if (only && !measure.includes(only)) continue;
  const costs = Object.fromEntries(Object.keys(SERVERS).map((column) => [column, []]));
  for (let round = 0; round < ROUNDS; round++) {
    for (const column of Object.keys(SERVERS)) costs[column].push(await run(column));
  }
  const [bytes, bare, ours] = Object.values(costs).map(median);
  rows.push({
    measure,
    'bare ws, bytes': +bytes.toFixed(1),
    'bare ws': +bare.toFixed(1),
    fedecks: +ours.toFixed(1),
    'of bytes': +(ours / bytes).toFixed(2),
    'of bare ws': +(ours / bare).toFixed(2),
  });
}
console.table(rows);

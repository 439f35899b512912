// What apps/cloud-api spends on 1,000 devices that send telemetry once a second, beside the same handlers without a database.
//   npm run build && DATABASE_URL=postgres://postgres@127.0.0.1:5432/bench node bench/cloud-api-fleet.mjs
// The database must be empty, and its server on this machine: its CPU time is read from /proc. DEVICES, SECONDS and NUMBERS
// (the numbers in each message, which are rows) set other figures.
import { fork } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { API_KEY, databaseUrl, startCloudApi } from './cloud-api-process.mjs';
import { device, masked } from './load.mjs';
import { encodeTerm, tuple } from '../libs/fedecks/dist/wire/internal.js';

const [DEVICES, SECONDS, NUMBERS] = ['DEVICES', 'SECONDS', 'NUMBERS'].map((name, index) =>
  Number(process.env[name] ?? [1_000, 60, 3][index]),
);
const WARM_UP_SECONDS = 10;
const MAX_CLAIMS = 500;
const TICKS_PER_SECOND = 100;
/** The first of those that telemetry may have. */
const METRICS = [
  'temperatureCelsius',
  'uptimeS',
  'memoryFreeBytes',
  'memoryTotalBytes',
  'memoryAvailableBytes',
  'diskTotalBytes',
  'diskFreeBytes',
  'networkReceivedBytes',
  'networkSentBytes',
];

if (process.argv[2] === 'handlers') await serveHandlers();
else await measure();

async function measure() {
  const recorded = await measureRecorded();
  const bare = await measureHandlers();
  console.table({
    'cloud-api, with Postgres': recorded,
    'the same handlers, without a database': { 'CPU (% of a core)': bare },
  });
  console.log(`ratio: ${(recorded['CPU (% of a core)'] / bare).toFixed(1)}`);
  process.exit(0);
}

async function measureRecorded() {
  const { pid, origin } = await startCloudApi();
  const port = Number(new URL(origin).port);
  const sockets = await connectAll(port, await claims(origin));
  const database = new pg.Client({ connectionString: databaseUrl() });
  await database.connect();
  const server = (await database.query('SELECT pg_backend_pid() AS pid')).rows[0].pid;
  const stop = sendEach(sockets);
  await sleep(WARM_UP_SECONDS * 1_000);
  const before = {
    ...(await rows(database)),
    cpu: cpuSeconds(pid),
    databaseCpu: treeCpuSeconds(parentOf(server)),
  };
  const begin = performance.now();
  await sleep(SECONDS * 1_000);
  const seconds = (performance.now() - begin) / 1_000;
  const after = {
    ...(await rows(database)),
    cpu: cpuSeconds(pid),
    databaseCpu: treeCpuSeconds(parentOf(server)),
  };
  stop();
  const metrics = await (await fetch(`${origin}/metrics`, { headers: { 'x-api-key': API_KEY } })).text();
  await database.end();
  const perSecond = (name) => (after[name] - before[name]) / seconds;
  return {
    'CPU (% of a core)': round(100 * perSecond('cpu')),
    'CPU of Postgres (%)': round(100 * perSecond('databaseCpu')),
    'rows a second': Math.round(perSecond('messages') + perSecond('readings')),
    'rows dropped': dropped(metrics),
    'resident (MiB)': residentMebibytes(pid),
  };
}

async function measureHandlers() {
  const child = fork(fileURLToPath(import.meta.url), ['handlers'], { stdio: 'ignore' });
  const [port] = await new Promise((resolve) => child.once('message', (...message) => resolve(message)));
  const credentials = Array.from({ length: DEVICES }, (_, index) => [`device-${index}`, { password: 'x' }]);
  const stop = sendEach(await connectAll(port, credentials));
  await sleep(WARM_UP_SECONDS * 1_000);
  const before = cpuSeconds(child.pid);
  await sleep(SECONDS * 1_000);
  const spent = (100 * (cpuSeconds(child.pid) - before)) / SECONDS;
  stop();
  child.kill('SIGKILL');
  return round(spent);
}

/** The handlers of apps/cloud-api alone. */
async function serveHandlers() {
  const { createApp } = await import('./app.mjs');
  const { DeviceLog } = await import('../dist/cloud-api/apps/cloud-api/src/devices/device-log.js');
  const app = await createApp({}, { providers: [DeviceLog], logger: true });
  await app.listen(0, '127.0.0.1');
  process.send(app.getHttpServer().address().port);
}

/** A claim for each device. */
async function claims(origin) {
  const found = [];
  for (let from = 0; from < DEVICES; from += MAX_CLAIMS) {
    const count = Math.min(MAX_CLAIMS, DEVICES - from);
    const devices = Array.from({ length: count }, (_, index) => `device-${from + index}`);
    const response = await fetch(`${origin}/api/v1/claims`, {
      method: 'POST',
      headers: { 'x-api-key': API_KEY, 'content-type': 'application/json' },
      body: JSON.stringify({ devices }),
    });
    if (!response.ok) throw new Error(`claims: ${response.status} ${await response.text()}`);
    const { items } = await response.json();
    found.push(...items.map(({ deviceId, code }) => [deviceId, { claim: code }]));
  }
  return found;
}

async function connectAll(port, credentials) {
  const sockets = [];
  for (let from = 0; from < credentials.length; from += 10) {
    const batch = credentials.slice(from, from + 10).map(([id, each]) => connected(port, id, each));
    sockets.push(...(await Promise.all(batch)));
  }
  return sockets;
}

/** The app lets few log in at the same time, and tells the others to come back. */
async function connected(port, id, credentials) {
  for (;;) {
    try {
      return (await device(port, id, 1, credentials)).socket;
    } catch (error) {
      if (!error.message.includes(' 503 ')) throw error;
      await sleep(1_000);
    }
  }
}

/** Sends telemetry from each once a second, evenly over the second. Returns what ends it. */
function sendEach(sockets) {
  const begin = performance.now();
  let sent = 0;
  const timer = setInterval(() => {
    const due = Math.floor(((performance.now() - begin) / 1_000) * sockets.length);
    for (; sent < due; sent++) sockets[sent % sockets.length].write(message(sent));
  }, 10);
  return () => clearInterval(timer);
}

function message(number) {
  const reading = Object.fromEntries(
    METRICS.slice(0, NUMBERS).map((name, index) => [name, 20.5 + index + (number % 7)]),
  );
  return masked(encodeTerm(tuple('telemetry', reading)));
}

async function rows(database) {
  // The counters of the server lag behind: these tables are counted.
  const { rows: counts } = await database.query(
    'SELECT (SELECT count(*)::int FROM messages) AS messages, (SELECT count(*)::int FROM readings) AS readings',
  );
  return counts[0];
}

function dropped(metrics) {
  const lines = metrics.split('\n').filter((line) => /^cloud_\w*dropped\w*total/.test(line));
  return lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
}

function cpuSeconds(pid) {
  const [own, system] = statOf(pid).slice(11, 13);
  return (Number(own) + Number(system)) / TICKS_PER_SECOND;
}

/** Of a process and its children, also of those that have ended. */
function treeCpuSeconds(parent) {
  const [ended, endedSystem] = statOf(parent).slice(13, 15);
  const living = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && isChild(name, parent));
  const seconds = [parent, ...living].reduce((sum, pid) => sum + cpuSeconds(pid), 0);
  return seconds + (Number(ended) + Number(endedSystem)) / TICKS_PER_SECOND;
}

function parentOf(pid) {
  return Number(statOf(pid)[1]);
}

/** The fields of proc(5) from the state on, which is the third. */
function statOf(pid) {
  return readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
}

function isChild(pid, parent) {
  try {
    return parentOf(pid) === parent;
  } catch {
    // It has ended.
    return false;
  }
}

function residentMebibytes(pid) {
  const [, kibibytes] = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Math.round(Number(kibibytes) / 1_024);
}

function round(value) {
  return Number(value.toFixed(1));
}

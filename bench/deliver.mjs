// Measures what a device spends on `deliver` beside `send`: see README.md. Build first: npm run build.
import { fork } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { WebSocket } from 'ws';
import { FedecksClient, MemoryOutboxStore, MemoryTokenStore } from '../libs/fedecks/dist/client/index.js';
import { encodeTerm, tuple } from '../libs/fedecks/dist/wire/index.js';

const COUNT = Number(process.env.COUNT ?? 20_000);
/** The number of messages in one round. They are awaited together. */
const GROUP = 100;
const ROUNDS = Number(process.env.ROUNDS ?? 3);
const message = { t: 'temperature', v: 21.5, at: 1700000000123, ok: true };

const cloud = fork(fileURLToPath(new URL('server-fedecks.mjs', import.meta.url)), ['terms', 'data'], {
  execArgv: ['--expose-gc'],
});
const { port } = await new Promise((resolve) => cloud.once('message', resolve));
const url = `ws://127.0.0.1:${port}/fedecks/websocket`;

let devices = 0;
async function client(more) {
  const made = new FedecksClient({
    url,
    deviceId: `device-${++devices}`,
    tokenStore: new MemoryTokenStore(),
    ...more,
  });
  const connected = new Promise((resolve) => {
    made.events$.subscribe(({ type }) => type === 'connected' && resolve());
  });
  await made.login({ password: 'x' });
  await connected;
  return made;
}

/** Sends all messages in groups, and waits for what `put` returns of each, and in the end for the last answer. */
async function measure(put, settled) {
  for (let index = 0; index < 2_000; index += GROUP) await Promise.all(Array.from({ length: GROUP }, put));
  await settled();
  const cpu = process.cpuUsage();
  const from = performance.now();
  for (let index = 0; index < COUNT; index += GROUP) await Promise.all(Array.from({ length: GROUP }, put));
  const keptMs = performance.now() - from;
  await settled();
  const allMs = performance.now() - from;
  const { user, system } = process.cpuUsage(cpu);
  return { us: (user + system) / COUNT, kept: (COUNT / keptMs) * 1_000, answered: (COUNT / allMs) * 1_000 };
}

async function bare() {
  const auth = encodeTerm({ 'fedecks-device-id': 'bare', password: 'x' }).toString('base64');
  const ws = new WebSocket(url, { headers: { 'x-fedecks-auth': auth } });
  await new Promise((resolve) => ws.once('open', resolve));
  let open = 0;
  let onAll = () => undefined;
  ws.on('message', () => --open === 0 && onAll());
  const put = () => {
    open++;
    return new Promise((resolve) => ws.send(encodeTerm(tuple('echo', message)), resolve));
  };
  const figures = await measure(
    put,
    () => new Promise((resolve) => (open === 0 ? resolve() : (onAll = resolve))),
  );
  ws.close();
  return figures;
}

async function send() {
  const device = await client({});
  let open = 0;
  let onAll = () => undefined;
  device.messages$.subscribe(() => --open === 0 && onAll());
  const put = () => {
    open++;
    return device.send('echo', message);
  };
  const figures = await measure(
    put,
    () => new Promise((resolve) => (open === 0 ? resolve() : (onAll = resolve))),
  );
  await device.stop();
  return figures;
}

async function deliver(outbox, durable) {
  const device = await client({ outbox });
  let waiting = [];
  const put = async () => {
    const { done } = await device.deliver('echo', message, { durable });
    waiting.push(done);
  };
  const settled = async () => {
    const outcomes = await Promise.all(waiting);
    if (outcomes.some((outcome) => outcome !== 'handled')) throw new Error('not all were handled');
    waiting = [];
  };
  const figures = await measure(put, settled);
  await device.stop();
  return figures;
}

/** In a directory of its own. */
async function deliverFromFiles(durable) {
  const directory = mkdtempSync(join(tmpdir(), 'fedecks-deliver-'));
  const limits = { maxMessages: 2 * COUNT, maxBytes: 2 ** 30 };
  try {
    return await deliver({ directory, ...limits }, durable);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

const MEASURES = {
  'bare ws': bare,
  send,
  'deliver, MemoryOutboxStore': () =>
    deliver(new MemoryOutboxStore({ maxMessages: 2 * COUNT, maxBytes: 2 ** 30 })),
  'deliver, files, memory': () => deliverFromFiles('memory'),
  'deliver, files, disk': () => deliverFromFiles('disk'),
};
const rows = {};
let bareMicros;
for (const [measureName, run] of Object.entries(MEASURES)) {
  const figures = [];
  for (let round = 0; round < ROUNDS; round++) figures.push(await run());
  const median = (figure) => figures.map((each) => each[figure]).sort((a, b) => a - b)[ROUNDS >> 1];
  bareMicros ??= median('us');
  rows[measureName] = {
    'device CPU (us)': +median('us').toFixed(1),
    'of bare ws': +(median('us') / bareMicros).toFixed(2),
    'kept per second': Math.round(median('kept')),
    'answered per second': Math.round(median('answered')),
  };
}
console.table(rows);
cloud.kill('SIGKILL');
process.exit();

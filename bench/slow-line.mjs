// A device with a backlog of deliveries on a line of 9600 baud: how long requests and pings take. See README.md.
// Build first: npm run build.
import { fork } from 'node:child_process';
import { connect, createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { FedecksClient, MemoryOutboxStore, MemoryTokenStore } from '../libs/fedecks/dist/client/index.js';

/** 9600 baud, with a start and a stop bit for each byte. */
const BYTES_PER_SECOND = 960;
const SECONDS = Number(process.env.SECONDS ?? 60);
const EVERY_MS = 50;

const cloud = fork(fileURLToPath(new URL('server-fedecks.mjs', import.meta.url)), ['terms', 'data'], {
  execArgv: ['--expose-gc'],
});
const { port } = await new Promise((resolve) => cloud.once('message', resolve));

/** Passes bytes on at the rate of the line, and reads no more than it passes on. */
function pass(from, to) {
  const timer = setInterval(() => {
    const bytes = from.read(Math.min(from.readableLength, (BYTES_PER_SECOND * EVERY_MS) / 1_000));
    if (bytes) to.write(bytes);
  }, EVERY_MS);
  from.on('close', () => {
    clearInterval(timer);
    to.destroy();
  });
  from.on('error', () => undefined);
}

const line = createServer({ highWaterMark: 256 }, (device) => {
  const server = connect({ port, host: '127.0.0.1', highWaterMark: 256 });
  pass(device, server);
  pass(server, device);
});
await new Promise((resolve) => line.listen(0, '127.0.0.1', resolve));

async function measure(bytes) {
  const client = new FedecksClient({
    url: `ws://127.0.0.1:${line.address().port}/fedecks/websocket`,
    deviceId: `device-${bytes}`,
    tokenStore: new MemoryTokenStore(),
    outbox: new MemoryOutboxStore(),
  });
  let delivered = 0;
  let lost = 0;
  client.events$.subscribe(({ type }) => {
    if (type === 'delivered') delivered++;
    if (type === 'connection_lost') lost++;
  });
  for (let index = 0; index < 1_000; index++) await client.deliver('reading', 'x'.repeat(bytes));
  const connected = new Promise((resolve) => {
    client.events$.subscribe(({ type }) => type === 'connected' && resolve());
  });
  await client.login({ password: 'x' });
  await connected;
  const times = [];
  for (const until = performance.now() + SECONDS * 1_000; performance.now() < until;) {
    const from = performance.now();
    await client.request('echo', 1, { timeoutMs: 60_000 }).catch(() => undefined);
    times.push((performance.now() - from) / 1_000);
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
  await client.stop();
  const sorted = [...times].sort((a, b) => a - b);
  return {
    'first (s)': +times[0].toFixed(1),
    'median (s)': +sorted[times.length >> 1].toFixed(1),
    'longest (s)': +sorted.at(-1).toFixed(1),
    delivered,
    'connections lost': lost,
  };
}

const sizes = [100, 300, 2_000, 8_000];
const rows = await Promise.all(sizes.map(measure));
console.table(Object.fromEntries(sizes.map((bytes, index) => [`messages of ${bytes} bytes`, rows[index]])));
cloud.kill('SIGKILL');
process.exit();

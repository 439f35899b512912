// A fleet whose server is killed and started again: how many connection attempts a second reach the server, beside what
// full jitter predicts. See README.md. Build first: npm run build.
import 'reflect-metadata';
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const FLEET = Number(process.env.FLEET ?? 1_000);
/** From the kill of the server to its new start, in seconds. */
const DOWN_SECONDS = [0, 5, 20];
const SIMULATIONS = 500;
/** The defaults of FedecksClient, written down again: what is predicted must not be computed with what is measured. */
const BOUND_SECONDS = { first: 1, last: 60 };

const file = fileURLToPath(import.meta.url);
if (process.argv[2] === 'server') await serve(Number(process.argv[3]));
else await measure();

/** The cloud half with its defaults, which tells when it listens and, when asked, when connections have come. */
async function serve(port) {
  const { Module } = await import('@nestjs/common');
  const { NestFactory } = await import('@nestjs/core');
  const { FedecksModule } = await import('../libs/fedecks/dist/server/index.js');
  class App {}
  Module({
    imports: [
      FedecksModule.forRoot({
        secrets: ['a secret of thirty-two bytes, or more'],
        authenticator: { authenticate: () => true },
      }),
    ],
  })(App);
  const app = await NestFactory.create(App, { logger: ['error', 'warn'] });
  const arrivals = [];
  app.getHttpServer().on('connection', () => arrivals.push(Date.now()));
  await app.listen(port, '127.0.0.1');
  process.send({ port: app.getHttpServer().address().port, listeningAt: Date.now() });
  process.on('message', () => process.send({ arrivals }));
}

async function start(port = 0) {
  const child = fork(file, ['server', String(port)]);
  const next = () => new Promise((resolve) => child.once('message', resolve));
  const listening = await next();
  return {
    ...listening,
    arrivals: async () => {
      child.send('arrivals');
      return (await next()).arrivals;
    },
    kill: () =>
      new Promise((resolve) => {
        child.once('exit', resolve);
        child.kill('SIGKILL');
      }),
  };
}

async function measure() {
  const { FedecksClient, MemoryTokenStore } = await import('../libs/fedecks/dist/client/index.js');
  let server = await start();
  const url = `ws://127.0.0.1:${server.port}/fedecks/websocket`;
  const clients = Array.from(
    { length: FLEET },
    (_, i) =>
      new FedecksClient({
        url,
        deviceId: `device-${i}`,
        tokenStore: new MemoryTokenStore(),
        // All else is as it comes; nobody wants to wait a minute for a backoff to begin at its beginning.
        stableAfterMs: 1_000,
      }),
  );
  for (let from = 0; from < FLEET; from += 50) {
    await Promise.all(clients.slice(from, from + 50).map((client) => client.login({ password: 'x' })));
  }
  const rows = [];
  for (const downSeconds of DOWN_SECONDS) {
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    const killedAt = Date.now();
    await server.kill();
    await new Promise((resolve) => setTimeout(resolve, downSeconds * 1_000));
    server = await start(server.port);
    const down = (server.listeningAt - killedAt) / 1_000;
    while (clients.some(({ status }) => status !== 'connected')) {
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    const arrivals = (await server.arrivals()).map((at) => (at - server.listeningAt) / 1_000);
    const predicted = Array.from({ length: SIMULATIONS }, () => busiest(simulate(down))).sort(
      (a, b) => a - b,
    );
    rows.push({
      'down (s)': +down.toFixed(1),
      attempts: arrivals.length,
      'busiest second': busiest(arrivals),
      'predicted, median': predicted[SIMULATIONS >> 1],
      'predicted, 99th percentile': predicted[Math.floor(SIMULATIONS * 0.99)],
      'all back after (s)': +Math.max(...arrivals).toFixed(1),
    });
  }
  console.table(rows);
  await Promise.all(clients.map((client) => client.stop()));
  await server.kill();
}

/** When each of a fleet of full jitter arrives, in seconds after a server that was gone for `down` seconds is back. */
function simulate(down) {
  return Array.from({ length: FLEET }, () => {
    let at = 0;
    for (let failures = 0; ; failures++) {
      at += Math.random() * Math.min(BOUND_SECONDS.last, BOUND_SECONDS.first * 2 ** failures);
      if (at >= down) return at - down;
    }
  });
}

/** The most that came within any second. */
function busiest(times) {
  const sorted = [...times].sort((a, b) => a - b);
  let most = 0;
  for (let first = 0, last = 0; last < sorted.length; last++) {
    while (sorted[last] - sorted[first] >= 1) first++;
    most = Math.max(most, last - first + 1);
  }
  return most;
}

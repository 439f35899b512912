// Measures the connection attempts per second of a fleet whose server is killed, or drained, and restarted,
// and compares them with the prediction for full jitter. See README.md. Build first: npm run build.
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const FLEET = Number(process.env.FLEET ?? 1_000);
const SIGNALS = { killed: 'SIGKILL', drained: 'SIGTERM' };
/** The downtimes of the server, in seconds. */
const DOWN_SECONDS = [0, 5, 20];
const SIMULATIONS = 500;
/** The defaults of FedecksClient, repeated so that the prediction does not depend on the measured code. */
const BOUND_SECONDS = { first: 1, last: 60 };
/** The `Retry-After` in a 503 of a draining server. */
const RETRY_AFTER_SECONDS = 1;

const file = fileURLToPath(import.meta.url);
if (process.argv[2] === 'server') await serve(Number(process.argv[3]));
else await measure();

/** A server with defaults. It reports when it listens and, on request, when connections arrived. */
async function serve(port) {
  const { createApp } = await import('./app.mjs');
  const app = await createApp();
  app.enableShutdownHooks(['SIGTERM'], { useProcessExit: true });
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
    end: (signal) =>
      new Promise((resolve) => {
        child.once('exit', resolve);
        child.kill(signal);
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
        // Everything else has its default; a lower stableAfterMs avoids waiting a minute for the backoff to reset.
        stableAfterMs: 1_000,
      }),
  );
  for (let from = 0; from < FLEET; from += 50) {
    await Promise.all(clients.slice(from, from + 50).map((client) => client.login({ password: 'x' })));
  }
  let refused = 0;
  for (const { events$ } of clients) events$.subscribe(({ type }) => (refused += type === 'upgrade_failed'));
  const rows = [];
  for (const [how, signal] of Object.entries(SIGNALS)) {
    for (const downSeconds of DOWN_SECONDS) {
      await new Promise((resolve) => setTimeout(resolve, 2_000));
      refused = 0;
      const toldAt = Date.now();
      await server.end(signal);
      const ended = signal === 'SIGTERM' ? (Date.now() - toldAt) / 1_000 : 0;
      await new Promise((resolve) => setTimeout(resolve, downSeconds * 1_000));
      server = await start(server.port);
      const down = (server.listeningAt - toldAt) / 1_000;
      while (clients.some(({ status }) => status !== 'connected')) {
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      const arrivals = (await server.arrivals()).map((at) => (at - server.listeningAt) / 1_000);
      const predicted = Array.from({ length: SIMULATIONS }, () => busiest(simulate(ended, down))).sort(
        (a, b) => a - b,
      );
      rows.push({
        server: how,
        'back after (s)': +down.toFixed(1),
        'refused meanwhile': refused,
        attempts: arrivals.length,
        'busiest second': busiest(arrivals),
        'predicted, median': predicted[SIMULATIONS >> 1],
        'predicted, 99th percentile': predicted[Math.floor(SIMULATIONS * 0.99)],
        'all back after (s)': +Math.max(...arrivals).toFixed(1),
      });
    }
  }
  console.table(rows);
  await Promise.all(clients.map((client) => client.stop()));
  await server.end('SIGKILL');
}

/**
 * Simulates when the devices of a fleet with full jitter arrive, in seconds after the restart. The server was told to
 * stop, closed them evenly over `drained` seconds, and was back after `down` seconds.
 */
function simulate(drained, down) {
  return Array.from({ length: FLEET }, (_, device) => {
    let at = (device / FLEET) * drained;
    for (let failures = 0; ; failures++) {
      at += Math.random() * Math.min(BOUND_SECONDS.last, BOUND_SECONDS.first * 2 ** failures);
      if (at >= down) return at - down;
      if (at < drained) at += RETRY_AFTER_SECONDS;
    }
  });
}

/** The maximum within any second. */
function busiest(times) {
  const sorted = [...times].sort((a, b) => a - b);
  let most = 0;
  for (let first = 0, last = 0; last < sorted.length; last++) {
    while (sorted[last] - sorted[first] >= 1) first++;
    most = Math.max(most, last - first + 1);
  }
  return most;
}

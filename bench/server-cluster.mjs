// One node of a fleet: linked over NATS with a URL, single without. It executes the requests of cluster.mjs.
import { natsBackplane } from '../libs/fedecks/dist/nats/index.js';
import { Fedecks } from '../libs/fedecks/dist/server/index.js';
import { createApp } from './app.mjs';

const [servers] = process.argv.slice(2);

const app = await createApp({
  upgradesPerSecond: 0,
  upgradesPerAddressPerMinute: 0,
  idleTimeoutMs: 600_000,
  ...(servers && { backplane: natsBackplane({ servers }) }),
});
await app.listen(0, '127.0.0.1');
const fedecks = app.get(Fedecks);
const message = { led: true, at: 1700000000123 };

/** Pushes the current time of the machine's monotonic clock, several at a time, every `everyMs`. */
async function timed(ids, rounds, everyMs) {
  for (let round = 0; round < rounds; round++) {
    const results = await Promise.all(
      ids.map((id) => fedecks.push(id, { at: Number(process.hrtime.bigint() / 1_000n) })),
    );
    if (results.some((result) => result !== 'sent')) throw new Error('a push was not sent');
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
}

/** Runs concurrent pushes. */
async function many(ids, count, inFlight) {
  let next = 0;
  const worker = async () => {
    while (next < count) await fedecks.push(ids[next++ % ids.length], message);
  };
  await Promise.all(Array.from({ length: inFlight }, worker));
  return count;
}

async function census() {
  const counts = { online: 0, offline: 0 };
  let cursor;
  do {
    const page = await fedecks.presence.list({ cursor, limit: 1_000 });
    for (const { state } of page.entries) counts[state]++;
    ({ cursor } = page);
  } while (cursor !== undefined);
  return counts;
}

const ANSWERS = {
  timed: ({ ids, rounds, everyMs }) => timed(ids, rounds, everyMs),
  many: ({ ids, count, inFlight }) => many(ids, count, inFlight),
  cpu: () => process.cpuUsage(),
  census,
  memory: async () => {
    for (let i = 0; i < 3; i++) {
      globalThis.gc();
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    return process.memoryUsage().rss;
  },
};

process.on('message', async ({ ask, ...args }) => process.send({ answer: await ANSWERS[ask](args) }));
process.send({ answer: app.getHttpServer().address().port });

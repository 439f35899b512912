import { Logger } from '@nestjs/common';
import { sql } from 'kysely';
import { eventually } from '../../../../libs/fedecks/test/support/eventually.js';
import { TestDatabase } from '../../test/support/test-database.js';
import { type Database } from '../database/database.js';
import { openDatabase } from '../database/open-database.js';
import { removals } from './removals.js';
import { summarize } from './summaries.js';
import { Upkeep, type UpkeepJob } from './upkeep.js';

const LINK = { isReady: true };

/** How long, in milliseconds, the statements of a backlog may take: several times what a step takes. */
const STATEMENT_MS = 1_000;
const READINGS = 200_000;

let place: TestDatabase;
let database: Database;
beforeAll(async () => {
  Logger.overrideLogger(false);
  place = await TestDatabase.create({ kind: 'postgres' });
  database = openDatabase(place.config);
});
afterAll(async () => {
  await database.destroy();
  await place.close();
});

/** A job whose statements may take so many milliseconds. */
function within(ms: number, job: UpkeepJob): UpkeepJob {
  return {
    name: job.name,
    step: async (tx) => {
      await sql`SET LOCAL statement_timeout = ${sql.lit(ms)}`.execute(tx);
      return job.step(tx);
    },
  };
}

async function countOf(table: string): Promise<number> {
  const { rows } = await sql<{ count: number }>`SELECT count(*) FROM ${sql.ref(table)}`.execute(database);
  return rows[0]!.count;
}

it('goes on in short statements, however many readings a minute has', async () => {
  await sql`
    INSERT INTO readings (device_id, metric, at, value)
    SELECT n, 'celsius', date_trunc('minute', now() - interval '3 days') + n * interval '0.2 milliseconds', n
    FROM generate_series(1, ${READINGS}::integer) AS n`.execute(database);
  const jobs = [summarize(), ...removals()].map((job) => within(STATEMENT_MS, job));
  await eventually(
    async () => {
      await new Upkeep(database, LINK, jobs).run();
      return countOf('readings');
    },
    (count) => count === 0,
    60_000,
  );
  for (const table of ['readings_by_minute', 'readings_by_hour'])
    expect([table, await countOf(table)]).toEqual([table, READINGS]);
}, 90_000);

it('goes on with the other jobs when a statement of one takes too long', async () => {
  const done: string[] = [];
  const slow = within(1, {
    name: 'slow',
    step: async (tx) => (await sql`SELECT pg_sleep(10)`.execute(tx), false),
  });
  const other = { name: 'other', step: async () => done.push('step') === 0 };
  await new Upkeep(database, LINK, [slow, other]).run();
  expect(done).toEqual(['step']);
});

it('does a step on one node at a time', async () => {
  const another = openDatabase(place.config);
  let running = 0;
  let most = 0;
  let steps = 0;
  const job: UpkeepJob = {
    name: 'counts',
    async step(tx) {
      most = Math.max(most, ++running);
      await sql`SELECT pg_sleep(0.05)`.execute(tx);
      running--;
      return ++steps < 10;
    },
  };
  await Promise.all([database, another].map((each) => new Upkeep(each, LINK, [job]).run()));
  expect(most).toBe(1);
  await another.destroy();
});

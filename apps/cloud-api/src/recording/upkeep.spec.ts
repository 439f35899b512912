import { Logger } from '@nestjs/common';
import { sql } from 'kysely';
import { TestDatabase } from '../../test/support/test-database.js';
import { type Database } from '../database/database.js';
import { openDatabase } from '../database/open-database.js';
import { BatchStore } from './batch-store.js';
import { closeConnectionsOfDeadNodes, endDevicesOfDeadNodes } from './dead-nodes.js';
import { ExcessRemoval, removals } from './removals.js';
import { summarize, summarizeLate } from './summaries.js';
import { Upkeep, type UpkeepJob } from './upkeep.js';

const NODE = '00000000-0000-4000-8000-000000000001';
const OTHER = '00000000-0000-4000-8000-000000000002';
const LINK = { isReady: true };
const MINUTE = 60_000;
const DAY = 86_400_000;
const TABLES = [
  ...([
    'nodes',
    'devices',
    'connections',
    'messages',
    'readings',
    'readings_by_minute',
    'readings_by_hour',
  ] as const),
  ...(['late_readings', 'upkeep', 'audit'] as const),
];

describe.each(['postgres', 'pglite'] as const)('The upkeep on %s', (kind) => {
  let place: TestDatabase;
  let database: Database;
  let numbers = 0;
  beforeAll(async () => {
    Logger.overrideLogger(false);
    place = await TestDatabase.create({ kind });
    database = openDatabase(place.config);
  });
  beforeEach(async () => {
    for (const table of TABLES) await database.deleteFrom(table).execute();
  });
  afterAll(async () => {
    await database.destroy();
    await place.close();
  });

  /** The beginning of the hour of `agoMs` ago. */
  function hour(agoMs: number): number {
    const at = Date.now() - agoMs;
    return at - (at % (60 * MINUTE));
  }

  /** Writes readings as the app does. */
  async function read(values: readonly (readonly [at: number, value: number])[]): Promise<void> {
    const batch = values.map(([at, value]) => ({
      table: 'readings' as const,
      row: { deviceId: 'a', metric: 'celsius', at: new Date(at), value },
      bytes: 1,
      key: undefined,
    }));
    await new BatchStore(database, LINK, NODE).write(++numbers, batch);
  }

  const run = (...jobs: UpkeepJob[]): Promise<void> => new Upkeep(database, LINK, jobs).run();
  const summaries = async (table: 'readings_by_minute' | 'readings_by_hour') =>
    (await database.selectFrom(table).selectAll().orderBy('at').execute()).map(
      ({ at, min, max, sum, count }) => [at.getTime(), min, max, sum, count],
    );

  it('summarizes readings by the minute and the hour, once', async () => {
    const start = hour(60 * MINUTE);
    await read([
      [start, 1],
      [start + 59_999, 3],
      [start + MINUTE, 10],
    ]);
    for (let runs = 0; runs < 3; runs++) await run(summarize(), summarizeLate);
    expect(await summaries('readings_by_minute')).toEqual([
      [start, 1, 3, 4, 2],
      [start + MINUTE, 10, 10, 10, 1],
    ]);
    expect(await summaries('readings_by_hour')).toEqual([[start, 1, 10, 14, 3]]);
    expect(await database.selectFrom('late_readings').selectAll().execute()).toEqual([]);
  });

  it('summarizes again what readings come late for', async () => {
    const start = hour(3 * 60 * MINUTE);
    await read([[start, 1]]);
    await run(summarize(), summarizeLate);
    await read([
      [start + 1, 5],
      [start + 2 * MINUTE, 7],
    ]);
    await run(summarize(), summarizeLate);
    expect(await summaries('readings_by_minute')).toEqual([
      [start, 1, 5, 6, 2],
      [start + 2 * MINUTE, 7, 7, 7, 1],
    ]);
    expect(await summaries('readings_by_hour')).toEqual([[start, 1, 7, 13, 3]]);
  });

  it('adds readings of a device that was offline for days to the summaries', async () => {
    const start = hour(5 * DAY);
    await read([
      [start, 1],
      [start + 1, 2],
    ]);
    await read([[start + 2, 6]]);
    await run(summarize(), summarizeLate, ...removals());
    expect(await database.selectFrom('readings').selectAll().execute()).toEqual([]);
    expect(await summaries('readings_by_minute')).toEqual([[start, 1, 6, 9, 3]]);
    expect(await summaries('readings_by_hour')).toEqual([[start, 1, 6, 9, 3]]);
  });

  it('summarizes each reading once, however many a step takes', async () => {
    const start = hour(2 * 60 * MINUTE) + 58 * MINUTE;
    const same = start + MINUTE;
    // The last three are of one instant, and a minute and an hour end between them and those before.
    const device = (deviceId: string, at: number, value: number) => ({
      deviceId,
      metric: 'celsius',
      at: new Date(at),
      value,
    });
    const rows = [
      ...[0, 1, 2, 3, 4].map((second) => device('a', start + second * 1_000, second)),
      ...['a', 'b', 'c'].map((id) => device(id, same + MINUTE, 7)),
    ];
    const batch = rows.map((row) => ({ table: 'readings' as const, row, bytes: 1, key: undefined }));
    await new BatchStore(database, LINK, NODE).write(++numbers, batch);
    await database.deleteFrom('late_readings').execute();
    let steps = 0;
    const twice = summarize(2);
    await run({ name: 'counts', step: (tx) => (steps++, twice.step(tx)) });
    expect(steps).toBeGreaterThanOrEqual(4);
    expect(await summaries('readings_by_minute')).toEqual([
      [start, 0, 4, 10, 5],
      ...[1, 2, 3].map(() => [same + MINUTE, 7, 7, 7, 1]),
    ]);
    expect(await summaries('readings_by_hour')).toEqual([
      [start - 58 * MINUTE, 0, 4, 10, 5],
      ...[1, 2, 3].map(() => [same + MINUTE, 7, 7, 7, 1]),
    ]);
  });

  it('makes no late minute again before all of it is summarized', async () => {
    const start = hour(3 * 60 * MINUTE);
    await read([
      [start, 1],
      [start + 1, 2],
      [start + 2, 4],
    ]);
    // One step, in the middle of a minute that is noted as late, too.
    const once = summarize(2);
    await run({ name: 'once', step: async (tx) => (await once.step(tx), false) });
    await run(summarizeLate);
    await run(summarize(2), summarizeLate);
    expect(await summaries('readings_by_minute')).toEqual([[start, 1, 4, 7, 3]]);
    expect(await summaries('readings_by_hour')).toEqual([[start, 1, 4, 7, 3]]);
  });

  it('leaves a minute alone that is not over', async () => {
    await read([[Date.now(), 1]]);
    await run(summarize(), summarizeLate);
    expect(await summaries('readings_by_minute')).toEqual([]);
  });

  it('removes what is kept long enough, and nothing else', async () => {
    const ago = (days: number): Date => new Date(Date.now() - days * DAY);
    const of = (at: Date) => ({ device_id: 'a', metric: 'x', at });
    const summary = { min: 1, max: 1, sum: 1, count: 1 };
    await database
      .insertInto('readings')
      .values([1.9, 2.1].map((days) => ({ ...of(ago(days)), value: 1 })))
      .execute();
    await database
      .insertInto('readings_by_minute')
      .values([29, 31].map((days) => ({ ...of(ago(days)), ...summary })))
      .execute();
    await database
      .insertInto('readings_by_hour')
      .values([729, 731].map((days) => ({ ...of(ago(days)), ...summary })))
      .execute();
    await database
      .insertInto('messages')
      .values(
        [2.9, 3.1].map((days) => ({
          device_id: 'a',
          at: ago(days),
          direction: 'up' as const,
          event: null,
          body: '1',
        })),
      )
      .execute();
    await database
      .insertInto('connections')
      .values(
        [89, 91].flatMap((days) =>
          [null, ago(days)].map((went) => ({
            device_id: went ? 'a' : 'open',
            came_at: ago(days),
            went_at: went,
            node_id: NODE,
            address: '',
          })),
        ),
      )
      .execute();
    await database
      .insertInto('audit')
      .values(
        [364, 366].map((days) => ({
          at: ago(days),
          actor: 'x',
          actor_kind: 'x',
          address: '',
          action: 'x',
          status: 1,
        })),
      )
      .execute();
    await database
      .insertInto('nodes')
      .values([
        { id: NODE, host: 'has open connections', seen_at: ago(2) },
        { id: OTHER, host: 'has none', seen_at: ago(2) },
      ])
      .execute();
    await database.insertInto('upkeep').values({ job: 'summaries', done_until: new Date() }).execute();
    await run(...removals());
    const count = async (table: (typeof TABLES)[number]): Promise<number> =>
      (
        await database
          .selectFrom(table)
          .select(sql<number>`1`.as('one'))
          .execute()
      ).length;
    const left = Object.fromEntries(
      await Promise.all(TABLES.map(async (table) => [table, await count(table)] as const)),
    );
    expect(left).toMatchObject({
      readings: 1,
      readings_by_minute: 1,
      readings_by_hour: 1,
      messages: 1,
      connections: 3,
      audit: 1,
      nodes: 1,
    });
  });

  it('removes the oldest first', async () => {
    const rows = [4, 6, 5].map((days) => ({
      device_id: 'a',
      at: new Date(Date.now() - days * DAY),
      direction: 'up' as const,
      event: null,
      body: `${days}`,
    }));
    await database.insertInto('messages').values(rows).execute();
    const jobs = removals(1).map((job) => ({
      ...job,
      step: async (tx: Parameters<UpkeepJob['step']>[0]) => (await job.step(tx), false),
    }));
    await run(...jobs);
    const left = await database.selectFrom('messages').select('body').orderBy('body').execute();
    expect(left.map(({ body }) => body)).toEqual([4, 5]);
  });

  it('keeps readings that are not summarized yet', async () => {
    const at = new Date(Date.now() - 3 * DAY);
    await database.insertInto('readings').values({ device_id: 'a', metric: 'x', at, value: 1 }).execute();
    await database.insertInto('upkeep').values({ job: 'summaries', done_until: at }).execute();
    await run(...removals());
    expect(await database.selectFrom('readings').selectAll().execute()).toHaveLength(1);
  });

  it('removes the oldest of too many messages of a device', async () => {
    const ids = Array.from({ length: 150 }, (_, index) => `device-${String(index).padStart(3, '0')}`);
    await database
      .insertInto('devices')
      .values(ids.map((id) => ({ id })))
      .execute();
    const say = (device_id: string, count: number) =>
      database
        .insertInto('messages')
        .values(
          Array.from({ length: count }, (_, index) => ({
            device_id,
            at: new Date(),
            direction: 'up' as const,
            event: null,
            body: `${index}`,
          })),
        )
        .execute();
    await say('device-000', 8);
    await say('device-149', 6);
    await say('device-070', 5);
    await run(new ExcessRemoval('messages', 5));
    const rows = await database.selectFrom('messages').select(['device_id', 'body']).orderBy('id').execute();
    const bodies = (id: string): unknown[] =>
      rows.filter(({ device_id }) => device_id === id).map(({ body }) => body);
    expect(bodies('device-000')).toEqual([3, 4, 5, 6, 7]);
    expect(bodies('device-149')).toEqual([1, 2, 3, 4, 5]);
    expect(bodies('device-070')).toEqual([0, 1, 2, 3, 4]);
  });

  it('ends what dead nodes left open, and not what is online elsewhere', async () => {
    const seen = new Date(Date.now() - 2 * MINUTE);
    const came = new Date(Date.now() - 5 * MINUTE);
    await database
      .insertInto('nodes')
      .values([
        { id: NODE, host: 'lives' },
        { id: OTHER, host: 'dead', seen_at: seen },
      ])
      .execute();
    await database
      .insertInto('devices')
      .values([
        { id: 'moved', online: true, node_id: NODE, state_since: came },
        { id: 'lost', online: true, node_id: OTHER, state_since: came },
      ])
      .execute();
    await database
      .insertInto('connections')
      .values(['moved', 'lost'].map((id) => ({ device_id: id, came_at: came, node_id: OTHER, address: '' })))
      .execute();
    expect(await closeConnectionsOfDeadNodes(database, NODE, MINUTE)).toBe(2);
    expect(await endDevicesOfDeadNodes(database, NODE, MINUTE)).toBe(1);
    expect(await database.selectFrom('devices').selectAll().orderBy('id').execute()).toMatchObject([
      { id: 'lost', online: false, offline_cause: 'node_lost', state_since: seen },
      { id: 'moved', online: true },
    ]);
    for (const connection of await database.selectFrom('connections').selectAll().execute())
      expect(connection).toMatchObject({ went_at: seen, cause: 'node_lost' });
  });

  it('goes on with the other jobs when one fails', async () => {
    const done: string[] = [];
    const job = (name: string, step: () => boolean): UpkeepJob => ({ name, step: async () => step() });
    let steps = 0;
    await run(
      job('fails', () => {
        throw new Error('no');
      }),
      job('has three steps', () => done.push('step') > 0 && ++steps < 3),
    );
    expect(done).toEqual(['step', 'step', 'step']);
  });
});

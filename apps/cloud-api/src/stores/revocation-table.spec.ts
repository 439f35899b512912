import { sql } from 'kysely';
import { eventually } from '../../../../libs/fedecks/test/support/eventually.js';
import { deleteRows, TestDatabase } from '../../test/support/test-database.js';
import { type Database } from '../database/database.js';
import { openDatabase } from '../database/open-database.js';
import { type Revocation, RevocationTable, type WrittenRevocation } from './revocation-table.js';

const DAY_MS = 86_400_000;
/** The last time a `Date` can hold. */
const END_OF_TIME = 8.64e15;

describe.each(['pglite', 'postgres'] as const)('The table of revocations on %s', (kind) => {
  let place: TestDatabase;
  let database: Database;
  let table: RevocationTable;
  beforeAll(async () => {
    place = await TestDatabase.create({ kind });
    database = openDatabase(place.config);
    table = new RevocationTable(database);
  });
  beforeEach(() => deleteRows(database));
  afterAll(async () => {
    await database.destroy();
    await place.close();
  });

  const revocation = (deviceId: string, at = Date.now(), until = at + DAY_MS): Revocation => ({
    deviceId,
    at,
    until,
  });
  async function readAll(since = 0): Promise<readonly WrittenRevocation[]> {
    const all: WrittenRevocation[] = [];
    for await (const page of table.pagesSince(since)) all.push(...page);
    return all;
  }

  it('returns what was written, of whatever device', async () => {
    const ids = ['greenhouse-1', "'; DROP TABLE revocations; --", 'a\0b', '\ud800', '\ufffd', 'ключ'];
    await table.write(ids.map((id, index) => revocation(id, 1_000 + index, END_OF_TIME)));
    const all = await readAll();
    expect(Object.fromEntries(all.map(({ deviceId, at }) => [deviceId, at]))).toEqual(
      Object.fromEntries(ids.map((id, index) => [id, 1_000 + index])),
    );
    for (const { until } of all) expect(until).toBe(END_OF_TIME);
  });

  it('keeps the greatest of a device', async () => {
    const now = Date.now();
    for (const at of [now, now + 2, now + 1]) await table.write([revocation('a', at)]);
    expect(await readAll()).toMatchObject([{ deviceId: 'a', at: now + 2 }]);
  });

  it('keeps one whose clock was slow for as long as the others', async () => {
    const before = Date.now();
    await table.write([revocation('slow', 1_000, 1_000 + DAY_MS)]);
    const [slow] = await readAll();
    expect(slow?.at).toBe(1_000);
    // The clock of a server is not that of this process.
    expect(slow?.until).toBeGreaterThan(before + DAY_MS - 60_000);
  });

  it('returns all of more than a page, also where they were written at once', async () => {
    await database
      .insertInto('revocations')
      .values(
        Array.from({ length: 12_500 }, (_, index) => ({
          device_id: `device ${index}`,
          generation: index,
          until: END_OF_TIME,
          written_at: 5,
        })),
      )
      .execute();
    const all = await readAll();
    expect(new Set(all.map(({ deviceId }) => deviceId)).size).toBe(12_500);
    expect(all).toHaveLength(12_500);
  });

  it('returns only what was written since a time', async () => {
    await table.write([revocation('old')]);
    await database.updateTable('revocations').set({ written_at: 4_999 }).execute();
    await table.write([revocation('new')]);
    const since = await readAll(5_000);
    expect(since).toMatchObject([{ deviceId: 'new' }]);
    expect(await readAll(since[0]!.writtenAt)).toHaveLength(1);
    expect(await readAll(since[0]!.writtenAt + 1)).toHaveLength(0);
  });

  it('removes those that are over', async () => {
    await table.write([revocation('a'), revocation('b', 1, END_OF_TIME)]);
    await database
      .updateTable('revocations')
      .set({ until: Date.now() - DAY_MS })
      .where('device_id', '=', 'a')
      .execute();
    await table.removeOver();
    expect(await readAll()).toMatchObject([{ deviceId: 'b' }]);
  });

  // An embedded database does one thing after another.
  if (kind === 'pglite') return;

  it('keeps one that is revoked anew while those that are over are removed', async () => {
    await table.write([revocation('a')]);
    await database.updateTable('revocations').set({ until: 1 }).execute();
    let removing: Promise<void> | undefined;
    await database.transaction().execute(async (transaction) => {
      await transaction.updateTable('revocations').set({ until: END_OF_TIME }).execute();
      removing = table.removeOver();
      await eventually(
        () =>
          sql`
          SELECT pid FROM pg_locks JOIN pg_stat_activity USING (pid)
          WHERE NOT granted AND datname = current_database()`.execute(database),
        ({ rows }) => rows.length > 0,
      );
    });
    await removing;
    expect(await readAll()).toMatchObject([{ deviceId: 'a' }]);
  });
});

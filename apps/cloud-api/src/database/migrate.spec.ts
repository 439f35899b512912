import { deleteRows, TestDatabase } from '../../test/support/test-database.js';
import { sql } from 'kysely';
import { type Database } from './database.js';
import { migrate } from './migrate.js';
import { openDatabase } from './open-database.js';

describe.each(['pglite', 'postgres'] as const)('The migrations on %s', (kind) => {
  let place: TestDatabase;
  let database: Database;
  beforeAll(async () => {
    place = await TestDatabase.create({ kind });
    database = openDatabase(place.config);
  });
  beforeEach(() => deleteRows(database));
  afterAll(async () => {
    await database.destroy();
    await place.close();
  });

  it('make all tables', async () => {
    await sql`DROP SCHEMA public CASCADE`.execute(database);
    await sql`CREATE SCHEMA public`.execute(database);
    expect(await database.introspection.getTables()).toEqual([]);
    await migrate(database);
    const tables = await database.introspection.getTables();
    expect(tables.map(({ name }) => name)).toEqual(
      expect.arrayContaining([
        'audit',
        'claims',
        'connections',
        'devices',
        'messages',
        'operators',
        'readings',
      ]),
    );
  });

  it('leave what is there alone when they are done', async () => {
    await database.insertInto('devices').values({ id: 'greenhouse-1' }).execute();
    await migrate(database);
    expect(await database.selectFrom('devices').select('id').execute()).toEqual([{ id: 'greenhouse-1' }]);
  });

  it('give numbers, dates, lists, bytes and JSON as the tables say', async () => {
    const at = new Date('2026-01-31T12:00:00.123Z');
    await database
      .insertInto('devices')
      .values({ id: 'a', tags: ['x', 'y "z"'], state_since: at, hello: JSON.stringify(['1']) })
      .execute();
    const device = await database
      .selectFrom('devices')
      .select(['tags', 'state_since', 'hello', 'blocked'])
      .executeTakeFirstOrThrow();
    expect(device).toEqual({ tags: ['x', 'y "z"'], state_since: at, hello: ['1'], blocked: false });
    await database
      .insertInto('revocations')
      .values({ device_id: 'a', generation: 2 ** 52, until: 8.64e15, written_at: 0 })
      .execute();
    const { generation, until } = await database
      .selectFrom('revocations')
      .selectAll()
      .executeTakeFirstOrThrow();
    expect([generation, until]).toEqual([2 ** 52, 8.64e15]);
    const key = { endpoint: '/', device_id: 'a', name: 'm' };
    await database
      .insertInto('delivery_messages')
      .values({ ...key, body: new Uint8Array([0, 255, 39]) })
      .execute();
    const { body } = await database.selectFrom('delivery_messages').select('body').executeTakeFirstOrThrow();
    expect([...body]).toEqual([0, 255, 39]);
    const { numUpdatedRows } = await database
      .updateTable('devices')
      .set({ blocked: true })
      .executeTakeFirstOrThrow();
    expect(numUpdatedRows).toBe(1n);
  });

  it('roll back what fails in a transaction', async () => {
    const work = database.transaction().execute(async (tx) => {
      await tx.insertInto('devices').values({ id: 'a' }).execute();
      // The application swallows the error: the commit must fail all the same.
      await tx
        .insertInto('devices')
        .values({ id: 'a' })
        .execute()
        .catch(() => undefined);
    });
    await expect(work).rejects.toThrow();
    expect(await database.selectFrom('devices').selectAll().execute()).toEqual([]);
  });
});

describe('The migrations', () => {
  it('may be run by several processes at once', async () => {
    const place = await TestDatabase.create({ kind: 'postgres', tables: false });
    const databases = [openDatabase(place.config), openDatabase(place.config), openDatabase(place.config)];
    await Promise.all(databases.map(migrate));
    await Promise.all(databases.map((database) => database.destroy()));
    await place.close();
  });
});

import { Logger } from '@nestjs/common';
import { eventually } from '../../../../libs/fedecks/test/support/eventually.js';
import { TestDatabase } from '../../test/support/test-database.js';
import { type Database } from '../database/database.js';
import { openDatabase } from '../database/open-database.js';
import { CloudMetrics } from '../operations/cloud-metrics.js';
import { BatchStore } from './batch-store.js';
import { BatchWriter, type BatchWriterOptions } from './batch-writer.js';
import { type DeviceRow, mergeDevices, type MessageRow } from './recorded-rows.js';
import { RecordingMetrics } from './recording-metrics.js';
import { storedJson, storedText } from './stored-text.js';

const NODE = '00000000-0000-4000-8000-000000000001';
const OTHER = '00000000-0000-4000-8000-000000000002';
const NOON = new Date('2026-01-31T12:00:00Z');

function message(body: string): MessageRow {
  return { deviceId: 'a', at: new Date(), direction: 'up', event: 'hello', body };
}

function later(seconds: number): Date {
  return new Date(NOON.getTime() + seconds * 1_000);
}

function device(given: Partial<DeviceRow> = {}): DeviceRow {
  return {
    id: 'a',
    firstSeenAt: NOON,
    lastSeenAt: NOON,
    isOnline: true,
    since: NOON,
    cameAt: NOON,
    cause: null,
    address: '192.0.2.1',
    agentVersion: null,
    hello: null,
    ...given,
  };
}

describe.each(['postgres', 'pglite'] as const)('BatchWriter on %s', (kind) => {
  let place: TestDatabase;
  let database: Database;
  let metrics: CloudMetrics;
  let recordingMetrics: RecordingMetrics;
  let link: { readonly isReady: boolean };
  beforeAll(async () => {
    Logger.overrideLogger(false);
    place = await TestDatabase.create({ kind });
    database = openDatabase(place.config);
  });
  beforeEach(async () => {
    metrics = new CloudMetrics();
    recordingMetrics = new RecordingMetrics(metrics);
    link = { isReady: true };
    for (const table of ['nodes', 'devices', 'connections', 'messages', 'readings'] as const)
      await database.deleteFrom(table).execute();
  });
  afterAll(async () => {
    await database.destroy();
    await place.close();
  });

  function writer(options: Partial<BatchWriterOptions> = {}): BatchWriter {
    const store = new BatchStore(database, link, NODE);
    // A busy machine may take longer than the app waits at its end.
    return new BatchWriter(store, recordingMetrics, { everyMs: 10, endWithinMs: 60_000, ...options });
  }

  /** By table, where there is something. */
  async function counted(name: string): Promise<Record<string, number>> {
    const found = await metrics.registry.getSingleMetric(name)!.get();
    const counts = found.values.map(
      ({ labels, value }) => [String(Object.values(labels)[0]), value] as const,
    );
    return Object.fromEntries(counts.filter(([, value]) => value > 0));
  }

  async function bodies(): Promise<unknown[]> {
    return (await database.selectFrom('messages').select('body').orderBy('id').execute()).map(
      ({ body }) => body,
    );
  }

  it('writes rows of all tables in one batch, and counts them', async () => {
    const writing = writer();
    const hello = storedJson({ version: '1' }, 100);
    writing.putKeyed('devices', 'a', device({ hello, agentVersion: '1' }), 1, mergeDevices);
    const went = { wentAt: NOON, cause: 'replaced', code: 4152 };
    writing.put('connections', { deviceId: 'a', cameAt: NOON, address: '::1', ...went }, 1);
    writing.put('messages', message('["x"]'), 1);
    const at = new Date(Math.floor(Date.now()));
    for (const metric of ['celsius', 'celsius', 'load1'])
      writing.put('readings', { deviceId: 'a', metric, at, value: 21.5 }, 1);
    await writing.end();
    expect(await database.selectFrom('devices').selectAll().execute()).toMatchObject([
      {
        id: 'a',
        first_seen_at: NOON,
        last_seen_at: NOON,
        online: true,
        state_since: NOON,
        offline_cause: null,
        node_id: NODE,
        address: '192.0.2.1',
        agent_version: '1',
        hello: { version: '1' },
      },
    ]);
    expect(await database.selectFrom('connections').selectAll().execute()).toMatchObject([
      {
        device_id: 'a',
        came_at: NOON,
        address: '::1',
        went_at: NOON,
        cause: 'replaced',
        code: 4152,
        node_id: NODE,
      },
    ]);
    expect(await database.selectFrom('messages').selectAll().execute()).toMatchObject([
      { device_id: 'a', direction: 'up', event: 'hello', body: ['x'] },
    ]);
    expect(await database.selectFrom('readings').selectAll().orderBy('metric').execute()).toEqual([
      { device_id: 'a', metric: 'celsius', at, value: 21.5 },
      { device_id: 'a', metric: 'load1', at, value: 21.5 },
    ]);
    expect(await counted('cloud_database_rows_total')).toEqual({
      devices: 1,
      connections: 1,
      messages: 1,
      readings: 3,
    });
    expect(await counted('cloud_database_batches_total')).toEqual({ written: 1 });
    expect(await counted('cloud_database_dropped_rows_total')).toEqual({});
  });

  it('makes one row of those with the same key that wait', async () => {
    const writing = writer();
    const put = (row: DeviceRow): void => writing.putKeyed('devices', 'a', row, 1, mergeDevices);
    put(device({ hello: '{}', agentVersion: '1' }));
    put(device({ firstSeenAt: later(1), lastSeenAt: later(1) }));
    put(
      device({
        firstSeenAt: later(2),
        lastSeenAt: later(2),
        isOnline: false,
        since: later(2),
        cause: 'stopped',
      }),
    );
    expect(writing.waiting).toBe(1);
    await writing.end();
    expect(await database.selectFrom('devices').selectAll().execute()).toMatchObject([
      {
        first_seen_at: NOON,
        last_seen_at: later(2),
        online: false,
        state_since: later(2),
        offline_cause: 'stopped',
        agent_version: '1',
        hello: {},
      },
    ]);
  });

  it('keeps a device online that has come to another node before its end here is known', async () => {
    const write = (node: string, number: number, row: DeviceRow): Promise<void> =>
      new BatchStore(database, link, node).write(number, [
        { table: 'devices', row, bytes: 1, key: undefined },
      ]);
    const state = () =>
      database.selectFrom('devices').select(['online', 'node_id', 'state_since', 'offline_cause']).execute();
    await write(NODE, 1, device());
    await write(OTHER, 1, device({ cameAt: later(10), since: later(10) }));
    await write(NODE, 2, device({ isOnline: false, since: later(11), cause: 'replaced' }));
    const online = { online: true, node_id: OTHER, state_since: later(10), offline_cause: null };
    expect(await state()).toEqual([online]);
    // What the older connection says at last does not count either.
    await write(NODE, 3, device());
    expect(await state()).toEqual([online]);
    const end = device({ isOnline: false, cameAt: later(10), since: later(20), cause: 'stopped' });
    await write(OTHER, 2, end);
    const offline = { online: false, node_id: OTHER, state_since: later(20), offline_cause: 'stopped' };
    expect(await state()).toEqual([offline]);
  });

  it('writes no batch twice, whatever became of the answer', async () => {
    const store = new BatchStore(database, link, NODE);
    const batch = [{ table: 'messages' as const, row: message('1'), bytes: 1, key: undefined }];
    await store.write(7, batch);
    await store.write(7, batch);
    expect(await bodies()).toEqual([1]);
    await store.write(8, batch);
    expect(await bodies()).toEqual([1, 1]);
  });

  it('loses one bad row, and no other', async () => {
    const writing = writer();
    for (let each = 0; each < 20; each++)
      writing.put('messages', message(each === 13 ? 'no JSON' : `${each}`), 1);
    await writing.end();
    expect(await bodies()).toEqual([...Array(20).keys()].filter((each) => each !== 13));
    expect(await counted('cloud_database_rows_total')).toEqual({ messages: 19 });
    expect(await counted('cloud_database_dropped_rows_total')).toEqual({ messages: 1 });
  });

  it('writes what Postgres would refuse of texts', async () => {
    const writing = writer();
    const bad = 'a\0b\ud800c😀"\\u0000';
    const row = message(storedJson({ [bad]: [bad, '\\\0', '\\ud800'] }, 4_096));
    writing.put('messages', { ...row, deviceId: storedText(bad), event: storedText(bad) }, 1);
    await writing.end();
    const good = 'a\ufffdb\ufffdc😀"\\u0000';
    expect(await database.selectFrom('messages').selectAll().execute()).toMatchObject([
      { device_id: good, event: good, body: { [good]: [good, '\\\ufffd', '\\ud800'] } },
    ]);
  });

  it('takes JSON as deep and as long as it can be', async () => {
    const writing = writer();
    const deep = (depth: number): unknown => JSON.parse('['.repeat(depth) + ']'.repeat(depth));
    for (const term of [deep(1_000), deep(30_000), '\u0001'.repeat(100_000), '€'.repeat(100_000)])
      writing.put('messages', message(storedJson(term as never, 4_096)), 1);
    await writing.end();
    expect(await counted('cloud_database_rows_total')).toEqual({ messages: 4 });
    for (const body of await bodies())
      expect(Buffer.byteLength(JSON.stringify(body))).toBeLessThanOrEqual(4_096);
  });

  it('keeps rows while the database cannot be reached, and writes them when it is back', async () => {
    let looks = 0;
    link = {
      get isReady() {
        return ++looks > 2;
      },
    };
    const writing = writer();
    const recovered = new Promise<void>((resolve) => writing.recovered$.subscribe(resolve));
    for (let each = 0; each < 5; each++) writing.put('messages', message(`${each}`), 1);
    await recovered;
    await eventually(
      () => writing.waiting,
      (waiting) => waiting === 0,
    );
    expect(await bodies()).toEqual([0, 1, 2, 3, 4]);
  });

  it('drops and counts what does not fit: rows, or bytes', async () => {
    link = { isReady: false };
    const rows = writer({ queue: { rows: 3, bytes: 1_000 }, endWithinMs: 10 });
    for (let each = 0; each < 5; each++) rows.put('messages', message('1'), 1);
    expect(await counted('cloud_database_dropped_rows_total')).toEqual({ messages: 2 });
    const bytes = writer({ queue: { rows: 100, bytes: 1_000 }, endWithinMs: 10 });
    for (let each = 0; each < 5; each++) bytes.put('messages', message('1'), 400);
    expect(await counted('cloud_database_dropped_rows_total')).toEqual({ messages: 5 });
    // What is left at the end is counted, too.
    await rows.end();
    await bytes.end();
    expect(await counted('cloud_database_dropped_rows_total')).toEqual({ messages: 10 });
    expect(await bodies()).toEqual([]);
  });

  it('writes at once what somebody waits for, and not what comes later', async () => {
    const writing = writer({ everyMs: 1_000_000 });
    await writing.flush();
    for (let each = 0; each < 3; each++) writing.put('messages', message(`${each}`), 1);
    const flushed = writing.flush();
    await Promise.all([flushed, writing.flush()]);
    expect(await bodies()).toEqual([0, 1, 2]);
    writing.put('messages', message('3'), 1);
    await new Promise((resolve) => setImmediate(resolve));
    expect(writing.waiting).toBe(1);
    await writing.end();
    await writing.flush();
    expect(await bodies()).toEqual([0, 1, 2, 3]);
  });

  it('lets nobody wait for a row that is refused, or dropped at the end', async () => {
    const refused = writer();
    refused.put('messages', message('no JSON'), 1);
    await refused.flush();
    link = { isReady: false };
    const ended = writer({ endWithinMs: 10 });
    ended.put('messages', message('1'), 1);
    const flushed = ended.flush();
    await ended.end();
    await flushed;
    expect(await bodies()).toEqual([]);
  });

  it('writes more than a batch one after another', async () => {
    const writing = writer({ batch: { rows: 4, bytes: 1_000 } });
    for (let each = 0; each < 10; each++) writing.put('messages', message(`${each}`), each < 4 ? 600 : 1);
    await writing.end();
    expect(await bodies()).toEqual([...Array(10).keys()]);
    expect(await counted('cloud_database_batches_total')).toEqual({ written: 5 });
  });
});

import { hostname } from 'node:os';
import { type Insertable, sql } from 'kysely';
import { filter, firstValueFrom } from 'rxjs';
import { eventually } from '../../../libs/fedecks/test/support/eventually.js';
import { Database } from '../src/database/database.js';
import { type DevicesTable } from '../src/database/tables.js';
import { BatchWriter } from '../src/recording/batch-writer.js';
import { Node } from '../src/recording/node.js';
import { CloudApi } from './support/cloud-api.js';

interface Listed {
  readonly items: readonly { readonly id: string }[];
  readonly next: string | null;
}

let cloud: CloudApi;
let database: Database;
beforeAll(async () => {
  cloud = await CloudApi.start();
  database = cloud.get(Database);
}, 60_000);
beforeEach(() => database.deleteFrom('devices').execute());
afterAll(() => cloud.close());

const NODE = '4c9f0f2e-9f0e-4b43-8c55-0e0f6c5a8f0e';
const at = (minute: number): Date => new Date(Date.UTC(2026, 0, 1, 0, minute));

async function insert(...devices: Insertable<DevicesTable>[]): Promise<void> {
  await database.insertInto('devices').values(devices).execute();
}

/** So many connections a minute ago. */
async function connect(deviceId: string, times: number, minutesAgo = 1): Promise<void> {
  const came = Date.now() - minutesAgo * 60_000;
  const row = { device_id: deviceId, node_id: NODE, address: '192.0.2.1' };
  const rows = Array.from({ length: times }, (_, index) => ({ ...row, came_at: new Date(came + index) }));
  await database.insertInto('connections').values(rows).execute();
}

async function list(query: string): Promise<Listed> {
  const { status, body } = await cloud.http('GET', `/api/v1/devices?${query}`);
  expect([status, body]).toMatchObject([200, { items: expect.any(Array) as unknown[] }]);
  return body as Listed;
}

async function ids(query = ''): Promise<string[]> {
  return (await list(query)).items.map(({ id }) => id);
}

function send(method: 'POST' | 'PATCH', path: string, body: object) {
  return cloud.http(method, `/api/v1/devices${path}`, { body: JSON.stringify(body) });
}

describe('GET /api/v1/devices', () => {
  it('shows all that is known of a device', async () => {
    await insert({
      id: 'a',
      name: 'Gate',
      tags: ['north'],
      notes: 'by the road',
      first_seen_at: at(0),
      last_seen_at: at(2),
      state_since: at(2),
      offline_cause: 'connection_lost',
      node_id: NODE,
      address: '192.0.2.7',
      agent_version: '1.2.3',
      blocked: true,
    });
    expect((await list('')).items).toEqual([
      {
        id: 'a',
        name: 'Gate',
        tags: ['north'],
        notes: 'by the road',
        state: 'offline',
        stateSince: '2026-01-01T00:02:00.000Z',
        offlineCause: 'connection_lost',
        flapping: false,
        firstSeen: '2026-01-01T00:00:00.000Z',
        lastSeen: '2026-01-01T00:02:00.000Z',
        address: '192.0.2.7',
        agentVersion: '1.2.3',
        nodeId: NODE,
        blocked: true,
      },
    ]);
  });

  it('searches in id, name and notes, whatever the case, and takes no character for a pattern', async () => {
    await insert(
      { id: 'green-1', name: '100% Haus' },
      { id: 'b', name: 'GREEN house' },
      { id: 'c', notes: 'was evergreen_' },
      { id: 'd', name: 'red' },
    );
    expect(await ids('search=Green')).toEqual(['b', 'c', 'green-1']);
    expect(await ids('search=0%25')).toEqual(['green-1']);
    expect(await ids('search=n_')).toEqual(['c']);
    expect(await ids('search=%25')).toEqual(['green-1']);
    expect(await ids(`search=${encodeURIComponent("' OR 1=1 --")}`)).toEqual([]);
  });

  it('finds devices that have all tags', async () => {
    await insert({ id: 'a', tags: ['x', 'y'] }, { id: 'b', tags: ['x'] }, { id: 'c', tags: ['y', 'x', 'z'] });
    expect(await ids('tag=x')).toEqual(['a', 'b', 'c']);
    expect(await ids('tag=x&tag=y')).toEqual(['a', 'c']);
    expect(await ids('tag=z&tag=q')).toEqual([]);
  });

  it('finds devices by state', async () => {
    await insert(
      { id: 'on', online: true, first_seen_at: at(0) },
      { id: 'off', first_seen_at: at(0) },
      { id: 'new' },
      { id: 'bad', blocked: true, first_seen_at: at(0) },
    );
    await connect('on', 5);
    await connect('off', 4);
    await connect('off', 4, 11);
    expect(await ids('state=online')).toEqual(['on']);
    expect(await ids('state=offline')).toEqual(['bad', 'off']);
    expect(await ids('state=never_seen')).toEqual(['new']);
    expect(await ids('state=blocked')).toEqual(['bad']);
    expect(await ids('state=flapping')).toEqual(['on']);
    const { items } = await list('');
    expect(items.filter((device) => (device as { flapping?: boolean }).flapping)).toMatchObject([
      { id: 'on' },
    ]);
  });

  it('finds devices by version, and by when they were last seen', async () => {
    await insert(
      { id: 'a', agent_version: '1.0.0', last_seen_at: at(1) },
      { id: 'b', agent_version: '1.0.1', last_seen_at: at(2) },
      { id: 'c' },
    );
    expect(await ids('version=1.0.0')).toEqual(['a']);
    expect(await ids('lastSeenBefore=2026-01-01T00:02:00Z')).toEqual(['a']);
    expect(await ids('lastSeenAfter=2026-01-01T01:01:00%2B01:00')).toEqual(['b']);
  });

  it.each([
    ['id', ['a', 'b', 'c', 'd', 'e']],
    ['name', ['b', 'd', 'e', 'a', 'c']],
    ['lastSeen', ['b', 'd', 'a', 'c', 'e']],
    ['-lastSeen', ['e', 'c', 'a', 'd', 'b']],
    ['stateSince', ['a', 'c', 'e', 'd', 'b']],
    ['-stateSince', ['b', 'd', 'e', 'c', 'a']],
  ])('sorts by %s, and has each device once in pages of any size', async (sort, sorted) => {
    await insert(
      { id: 'a', name: 'Zoo', last_seen_at: at(1) },
      { id: 'b', name: 'ABC', state_since: at(9) },
      { id: 'c', name: 'zoo', last_seen_at: at(1) },
      { id: 'd', state_since: at(8) },
      { id: 'e', last_seen_at: at(2) },
    );
    // Times that differ by less than a Date knows.
    await database
      .updateTable('devices')
      .set({ last_seen_at: sql<Date>`'2026-01-01T00:01:00.000001Z'` })
      .where('id', '=', 'c')
      .execute();
    for (const limit of [1, 2, 4, 5]) {
      const seen: string[] = [];
      let cursor = '';
      for (;;) {
        const { items, next } = await list(`sort=${encodeURIComponent(sort)}&limit=${limit}${cursor}`);
        expect(items.length).toBeLessThanOrEqual(limit);
        seen.push(...items.map(({ id }) => id));
        if (next === null) break;
        cursor = `&cursor=${encodeURIComponent(next)}`;
      }
      expect([limit, seen]).toEqual([limit, sorted]);
    }
  });

  it('counts all that match, on whichever page, when it is asked to', async () => {
    await insert(...['a', 'b', 'c', 'd'].map((id) => ({ id, blocked: id !== 'd' })));
    const first = await list('state=blocked&limit=2&total=true');
    expect(first).toMatchObject({ items: [{ id: 'a' }, { id: 'b' }], total: 3 });
    const next = await list(`state=blocked&limit=2&total=true&cursor=${first.next!}`);
    expect(next).toMatchObject({ items: [{ id: 'c' }], total: 3 });
    expect(await list('limit=1')).not.toHaveProperty('total');
  });

  it('answers 400 to a cursor of another order', async () => {
    await insert({ id: 'a' }, { id: 'b' });
    const { next } = await list('limit=1');
    const answer = await cloud.http('GET', `/api/v1/devices?sort=name&cursor=${next}`);
    expect(answer).toMatchObject({ status: 400, body: { message: [expect.stringMatching(/^cursor/)] } });
  });

  it.each([
    ['state=gone', 'state'],
    ['sort=address', 'sort'],
    ['search=', 'search'],
    ['lastSeenBefore=yesterday', 'lastSeenBefore'],
    ['lastSeenAfter=-000001-01-01T00:00:00Z', 'lastSeenAfter'],
    ['tag=', 'tag'],
    ['limit=0', 'limit'],
    ['offset=3', 'offset'],
    ['search=%00', 'search'],
    ['state=online&state=offline', 'state'],
  ])('answers 400 to %s, and names the field', async (query, field) => {
    const answer = await cloud.http('GET', `/api/v1/devices?${query}`);
    expect([answer.status, JSON.stringify(answer.body)]).toEqual([400, expect.stringContaining(field)]);
  });
});

describe('a device', () => {
  it('is added, shown, changed and deleted', async () => {
    const added = await send('POST', '', { id: 'a/b ü', name: 'Gate', tags: ['x'], notes: 'n' });
    expect(added).toMatchObject({ status: 201, body: { id: 'a/b ü', name: 'Gate', state: 'never_seen' } });
    const path = `/${encodeURIComponent('a/b ü')}`;
    expect(await send('PATCH', path, { name: null, tags: ['y', 'z'] })).toMatchObject({
      status: 200,
      body: { name: null, tags: ['y', 'z'], notes: 'n' },
    });
    expect(await send('PATCH', path, {})).toMatchObject({ status: 200, body: { tags: ['y', 'z'] } });
    expect(await cloud.http('GET', `/api/v1/devices${path}`)).toMatchObject({
      status: 200,
      body: { id: 'a/b ü', hello: null, settings: null, node: null },
    });
    expect(await cloud.http('DELETE', `/api/v1/devices${path}`)).toMatchObject({ status: 204 });
    for (const method of ['GET', 'DELETE'] as const)
      expect(await cloud.http(method, `/api/v1/devices${path}`)).toMatchObject({ status: 404 });
    expect(await send('PATCH', path, { name: 'x' })).toMatchObject({ status: 404 });
  });

  it('is not added twice', async () => {
    await insert({ id: 'a', notes: 'first' });
    expect(await send('POST', '', { id: 'a', notes: 'second' })).toMatchObject({ status: 409 });
    expect((await list('')).items).toMatchObject([{ notes: 'first' }]);
  });

  it('is shown with what it reported, and its node', async () => {
    // Where the database is embedded, each other node counts as dead.
    const node = { id: cloud.get(Node).id, host: hostname() };
    // The app writes at its start that it lives.
    await eventually(
      () => database.selectFrom('nodes').select('id').where('id', '=', node.id).execute(),
      (rows) => rows.length === 1,
    );
    const hello = { version: '1.2.3', settings: { logLevel: 'warn' } };
    await insert({ id: 'a', online: true, node_id: node.id, hello: JSON.stringify(hello) });
    expect(await cloud.http('GET', '/api/v1/devices/a')).toMatchObject({
      body: { state: 'online', hello, settings: { logLevel: 'warn' }, node },
    });
  });

  it.each([
    ['no id', {}, 'id'],
    ['an id that is too long', { id: 'ä'.repeat(63) }, 'id'],
    ['an id that is a number', { id: 1 }, 'id'],
    ['tags that are no list', { id: 'a', tags: 'x' }, 'tags'],
    ['tags that are null', { id: 'a', tags: null }, 'tags'],
    ['a tag with a comma', { id: 'a', tags: ['x', 'y,z'] }, 'tags'],
    ['a tag with a space at its end', { id: 'a', tags: ['x '] }, 'tags'],
    ['a tag of two lines', { id: 'a', tags: ['x\ny'] }, 'tags'],
    ['the same tag twice', { id: 'a', tags: ['x', 'x'] }, 'tags'],
    ['too many tags', { id: 'a', tags: Array.from({ length: 51 }, String) }, 'tags'],
    ['notes that are null', { id: 'a', notes: null }, 'notes'],
    ['a field that does not exist', { id: 'a', blocked: true }, 'blocked'],
  ])('is not added with %s', async (_what, body, field) => {
    const answer = await send('POST', '', body);
    expect([answer.status, JSON.stringify(answer.body)]).toEqual([400, expect.stringContaining(field)]);
    expect(await ids()).toEqual([]);
  });

  it('does not come back when it is deleted while it is connected', async () => {
    await cloud.connect('greenhouse-2');
    await eventually(
      () => ids(),
      (found) => found.includes('greenhouse-2'),
    );
    expect(await cloud.http('DELETE', '/api/v1/devices/greenhouse-2')).toMatchObject({ status: 204 });
    const writer = cloud.get(BatchWriter);
    await eventually(
      () => writer.waiting,
      (rows) => rows === 0,
    );
    expect(await ids()).toEqual([]);
  });

  it('loses its token, its connection and all its data when it is deleted, and nobody else does', async () => {
    await cloud.connect('greenhouse-1');
    await database
      .insertInto('devices')
      .values([{ id: 'greenhouse-1' }, { id: 'other' }])
      .onConflict((conflict) => conflict.doNothing())
      .execute();
    for (const id of ['greenhouse-1', 'other']) {
      await connect(id, 2);
      const value = { device_id: id, metric: 'm', at: at(0) };
      const summary = { ...value, min: 1, max: 1, sum: 1, count: 1 };
      await database
        .insertInto('readings')
        .values({ ...value, value: 1 })
        .execute();
      await database.insertInto('readings_by_minute').values(summary).execute();
      await database.insertInto('readings_by_hour').values(summary).execute();
      const message = { device_id: id, at: at(0), direction: 'up' as const, body: '{}' };
      await database.insertInto('messages').values(message).execute();
    }
    await cloud.fedecks.deliver('other', 'keep', null);
    const waiting = await cloud.fedecks.deliver('greenhouse-1', 'drop', null, { lane: 'b' });
    const ended = firstValueFrom(
      cloud.fedecks.connections$.pipe(filter(({ type }) => type === 'disconnected')),
    );
    expect(await cloud.http('DELETE', '/api/v1/devices/greenhouse-1')).toMatchObject({ status: 204 });
    expect(await ended).toMatchObject({ device: { id: 'greenhouse-1' }, cause: { code: 4150 } });
    const tables = ['connections', 'messages', 'readings', 'readings_by_minute', 'readings_by_hour'] as const;
    for (const table of tables) {
      const rows = await database.selectFrom(table).select('device_id').distinct().execute();
      expect([table, rows.filter(({ device_id }) => ['greenhouse-1', 'other'].includes(device_id))]).toEqual([
        table,
        [{ device_id: 'other' }],
      ]);
    }
    expect(['cancelled', 'done', 'rejected']).toContain(
      (await cloud.fedecks.deliveries.get(waiting.id))!.state,
    );
    expect((await cloud.fedecks.deliveries.of('other')).map(({ state }) => state)).toEqual(['queued']);
    expect(await cloud.http('GET', '/api/v1/devices/other')).toMatchObject({ status: 200 });
  });
});

import { connect, type Socket } from 'node:net';
import { once } from 'node:events';
import { sql } from 'kysely';
import { eventually } from '../../../libs/fedecks/test/support/eventually.js';
import { Database } from '../src/database/database.js';
import { ApiKeys } from '../src/access/api-keys.js';
import { ExportPages } from '../src/api/export/export-pages.js';
import { API_KEY, CloudApi } from './support/cloud-api.js';

const START = Date.UTC(2026, 0, 1);

let cloud: CloudApi;
let database: Database;
beforeAll(async () => {
  cloud = await CloudApi.start();
  database = cloud.get(Database);
}, 60_000);
beforeEach(async () => {
  await database.deleteFrom('devices').execute();
  await database.deleteFrom('readings').execute();
});
afterAll(() => cloud.close());

function request(path: string, key = API_KEY): Promise<Response> {
  return fetch(`http://127.0.0.1:${cloud.port}/api/v1/export/${path}`, { headers: { 'x-api-key': key } });
}

async function get(path: string): Promise<{ status: number; type: string | null; text: string }> {
  const response = await request(path);
  return { status: response.status, type: response.headers.get('content-type'), text: await response.text() };
}

/** So many readings, a second apart. */
async function insertReadings(device: string, metric: string, count: number): Promise<void> {
  for (let first = 0; first < count; first += 5_000) {
    const rows = Array.from({ length: Math.min(5_000, count - first) }, (_, index) => {
      return {
        device_id: device,
        metric,
        at: new Date(START + (first + index) * 1_000),
        value: first + index,
      };
    });
    await database.insertInto('readings').values(rows).execute();
  }
}

/** The pages that are read meanwhile, from the database. */
function watchPages(): { count: number; ended: Promise<void> } {
  const pages = cloud.get(ExportPages);
  const readings = pages.readings.bind(pages);
  let resolve = (): void => undefined;
  const watched = { count: 0, ended: new Promise<void>((done) => (resolve = done)) };
  pages.readings = async function* (query) {
    try {
      for await (const page of readings(query)) {
        watched.count++;
        yield page;
      }
    } finally {
      resolve();
      pages.readings = readings;
    }
  };
  return watched;
}

/** Asks for an export, and reads nothing of it yet. */
async function ask(path: string, key = API_KEY): Promise<Socket> {
  const socket = connect(cloud.port, '127.0.0.1');
  socket.pause();
  await once(socket, 'connect');
  socket.write(`GET /api/v1/export/${path} HTTP/1.1\r\nHost: x\r\nX-Api-Key: ${key}\r\n\r\n`);
  return socket;
}

/** A socket that was sent something, and has read nothing. */
async function sent(socket: Socket): Promise<void> {
  socket.once('readable', () => undefined);
  await once(socket, 'readable');
}

it('exports all devices as CSV, in which a spreadsheet computes nothing', async () => {
  await database
    .insertInto('devices')
    .values([
      { id: '=cmd', name: '@x', notes: 'a "quoted"\nline', tags: ['a', 'b'] },
      { id: 'b', name: '-1', first_seen_at: new Date(START), online: true },
    ])
    .execute();
  const { status, type, text } = await get('devices');
  expect([status, type]).toEqual([200, 'text/csv; charset=utf-8; header=present']);
  expect(text.split('\n')).toEqual([
    'id,name,tags,notes,state,stateSince,offlineCause,flapping,firstSeen,lastSeen,address,agentVersion,nodeId,blocked',
    `'=cmd,'@x,a;b,"a ""quoted""`,
    'line",never_seen,,,false,,,,,,false',
    `b,'-1,,,online,,,false,2026-01-01T00:00:00.000Z,,,,,false`,
    '',
  ]);
});

it('exports devices with the filters of the list, and more than a page of them', async () => {
  const many = Array.from({ length: 1_001 }, (_, index) => ({
    id: String(index).padStart(4, '0'),
    tags: ['x'],
  }));
  await database
    .insertInto('devices')
    .values([...many, { id: 'z' }])
    .execute();
  const { type, text } = await get('devices?format=ndjson&tag=x');
  expect(type).toBe('application/x-ndjson; charset=utf-8');
  const ids = text
    .trimEnd()
    .split('\n')
    .map((line) => (JSON.parse(line) as { id: string }).id);
  expect(ids).toEqual(many.map(({ id }) => id));
});

it('exports readings by device, metric and time, and more than a page of them', async () => {
  await database
    .insertInto('devices')
    .values([{ id: 'a', tags: ['x'] }, { id: 'b', tags: ['x'] }, { id: 'c' }])
    .execute();
  await insertReadings('a', 'heat', 5_001);
  await insertReadings('a', 'damp', 2);
  await insertReadings('b', 'heat', 1);
  await insertReadings('c', 'heat', 1);
  const range = 'from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z';
  const whole = (await get(`readings?tag=x&${range}`)).text.trimEnd().split('\n');
  expect(whole).toHaveLength(1 + 5_001 + 2 + 1);
  expect(whole.slice(0, 4)).toEqual([
    'device,metric,at,value',
    'a,damp,2026-01-01T00:00:00.000Z,0',
    'a,damp,2026-01-01T00:00:01.000Z,1',
    'a,heat,2026-01-01T00:00:00.000Z,0',
  ]);
  expect(new Set(whole).size).toBe(whole.length);
  expect(whole.at(-1)).toBe('b,heat,2026-01-01T00:00:00.000Z,0');
  const part = `readings?device=a&metric=heat&format=ndjson&from=2026-01-01T00:00:01Z&to=2026-01-01T00:00:03Z`;
  expect((await get(part)).text).toBe(
    '{"device":"a","metric":"heat","at":"2026-01-01T00:00:01.000Z","value":1}\n' +
      '{"device":"a","metric":"heat","at":"2026-01-01T00:00:02.000Z","value":2}\n',
  );
});

it('exports negative numbers as numbers', async () => {
  await database.insertInto('devices').values({ id: 'a' }).execute();
  const row = { device_id: 'a', metric: 'heat', at: new Date(START), value: -5.5 };
  await database.insertInto('readings').values(row).execute();
  const { text } = await get('readings?device=a&from=2026-01-01&to=2026-01-02');
  expect(text).toBe('device,metric,at,value\na,heat,2026-01-01T00:00:00.000Z,-5.5\n');
});

it('exports a header when there is nothing else', async () => {
  expect((await get('readings')).text).toBe('device,metric,at,value\n');
  expect((await get('readings?format=ndjson')).text).toBe('');
});

it.each([
  ['readings?device=nobody', 404, 'nobody'],
  ['readings?from=2026-01-02&to=2026-01-01', 400, 'from'],
  ['readings?format=xml', 400, 'format'],
  ['devices?state=gone', 400, 'state'],
])('answers %s with %i', async (path, status, text) => {
  const answer = await get(path);
  expect(answer).toMatchObject({ status, text: expect.stringContaining(text) as string });
});

it('stops reading the database while the reader does not read, and ends when it goes away', async () => {
  await database.insertInto('devices').values({ id: 'a' }).execute();
  // 1.3 MB for each metric: more than the sockets hold.
  for (let metric = 0; metric < 8; metric++) await insertReadings('a', `${'m'.repeat(200)}${metric}`, 5_000);
  const watched = watchPages();
  const socket = await ask('readings?device=a&from=2026-01-01&to=2026-01-02');
  await sent(socket);
  // Whatever is asked of the app meanwhile, the export does not go on.
  for (let times = 0; times < 20; times++) await cloud.http('GET', '/api/v1/devices');
  expect(watched.count).toBeLessThan(8);
  socket.destroy();
  await watched.ended;
  expect(watched.count).toBeLessThan(8);
});

/** The answer to a short export: its status, `retry-after` and text. */
async function attempt(
  key: string,
  path = 'devices?state=blocked',
): Promise<[number, string | null, string]> {
  const response = await request(path, key);
  return [response.status, response.headers.get('retry-after'), await response.text()];
}

it('counts no export that has failed', async () => {
  for (let times = 0; times < 3; times++)
    expect((await attempt(API_KEY, 'readings?device=nobody'))[0]).toBe(404);
});

it('runs two exports of one key, eight in all, and as many again when their readers go away in the middle', async () => {
  // Two pages of 6 MB: more than the sockets hold.
  await sql`
    INSERT INTO devices (id, notes) SELECT n, repeat('x', 12000) FROM generate_series(1, 1000) AS n`.execute(
    database,
  );
  const keyOf = async (name: string): Promise<string> =>
    (await cloud.get(ApiKeys).add({ name, role: 'viewer', expiresAt: null }, 'test')).key;
  const keys = [API_KEY, ...(await Promise.all(['a', 'b', 'c', 'd'].map(keyOf)))];
  const [last] = keys.splice(4);
  const begin = async (key: string): Promise<Socket> => {
    const socket = await ask('devices', key);
    await sent(socket);
    return socket;
  };
  const begun: Socket[] = [];
  for (const key of keys) begun.push(await begin(key), await begin(key));
  expect(await attempt(API_KEY)).toEqual([429, '10', expect.stringContaining('wait until one has ended')]);
  expect(await attempt(last!)).toEqual([503, '10', expect.stringContaining('try again later')]);
  for (const [socket, key] of [
    [begun.pop(), last!],
    [begun.shift(), API_KEY],
  ] as const) {
    socket?.destroy();
    await eventually(
      () => attempt(key),
      ([status]) => status === 200,
    );
  }
  for (const socket of begun) socket.destroy();
});

it('breaks the connection when it fails in the middle', async () => {
  await database.insertInto('devices').values({ id: 'a' }).execute();
  await insertReadings('a', 'heat', 5_001);
  const pages = cloud.get(ExportPages);
  const readings = pages.readings.bind(pages);
  pages.readings = async function* (query) {
    for await (const page of readings(query)) {
      yield page;
      throw new Error('the database is gone');
    }
  };
  try {
    await expect(get('readings?device=a&from=2026-01-01&to=2026-01-02')).rejects.toThrow('terminated');
  } finally {
    pages.readings = readings;
  }
  expect(await cloud.http('GET', '/api/v1/devices')).toMatchObject({ status: 200 });
});

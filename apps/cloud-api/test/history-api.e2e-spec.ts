import { Database } from '../src/database/database.js';
import { CloudApi } from './support/cloud-api.js';

const NODE = '4c9f0f2e-9f0e-4b43-8c55-0e0f6c5a8f0e';
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

let cloud: CloudApi;
let database: Database;
beforeAll(async () => {
  cloud = await CloudApi.start();
  database = cloud.get(Database);
  await database
    .insertInto('devices')
    .values([{ id: 'a' }, { id: 'b' }, { id: 'empty' }])
    .execute();
}, 60_000);
afterAll(() => cloud.close());

async function get(path: string): Promise<unknown> {
  const { status, body } = await cloud.http('GET', `/api/v1/devices/${path}`);
  expect([path, status, body]).toEqual([path, 200, expect.any(Object)]);
  return body;
}

/** The items of all pages. */
async function all(path: string): Promise<unknown[]> {
  const items: unknown[] = [];
  let next: string | null = '';
  while (next !== null) {
    const page = (await get(`${path}${next === '' ? '' : `&cursor=${next}`}`)) as {
      items: unknown[];
      next: string | null;
    };
    items.push(...page.items);
    next = page.next;
  }
  return items;
}

it.each(['connections', 'messages', 'metrics', 'readings?metric=m'])(
  'answers 404 to %s of a device that does not exist',
  async (path) => {
    expect(await cloud.http('GET', `/api/v1/devices/nobody/${path}`)).toMatchObject({ status: 404 });
  },
);

describe('connections', () => {
  it('says when a device came and went and why, the newest first, in pages', async () => {
    const row = { device_id: 'a', node_id: NODE, address: '192.0.2.1' };
    const times = [3, 1, 2, 2, 2].map((minute) => new Date(minute * MINUTE));
    // A device may come to several nodes at once.
    const nodes = times.map((_, index) => (index === 0 ? NODE : crypto.randomUUID()));
    await database
      .insertInto('connections')
      .values(
        times.map((came_at, index) => ({
          ...row,
          node_id: nodes[index]!,
          came_at,
          cause: `${index}`,
          code: index,
        })),
      )
      .execute();
    await database
      .insertInto('connections')
      .values({ ...row, device_id: 'b', came_at: new Date(0) })
      .execute();
    const items = await all('a/connections?limit=2');
    expect(items.map((item) => (item as { cause: string }).cause)).toEqual(['0', '4', '3', '2', '1']);
    expect(items[0]).toEqual({
      cameAt: '1970-01-01T00:03:00.000Z',
      wentAt: null,
      cause: '0',
      code: 0,
      address: '192.0.2.1',
      nodeId: NODE,
    });
    expect(await get('empty/connections')).toEqual({ items: [], next: null });
  });
});

describe('messages', () => {
  it('are filtered by direction and event, the newest first, in pages', async () => {
    const at = new Date(0);
    const rows = (['up', 'down', 'up', 'up'] as const).map((direction, index) => {
      return {
        device_id: 'a',
        at,
        direction,
        event: index === 3 ? null : `e${index % 2}`,
        body: `[${index}]`,
      };
    });
    await database.insertInto('messages').values(rows).execute();
    const bodies = async (query: string): Promise<unknown[]> =>
      (await all(`a/messages?limit=1${query}`)).map((item) => (item as { body: unknown }).body);
    expect(await bodies('')).toEqual([[3], [2], [1], [0]]);
    expect(await bodies('&direction=up')).toEqual([[3], [2], [0]]);
    expect(await bodies('&event=e0')).toEqual([[2], [0]]);
    expect(await bodies('&event=e1&direction=up')).toEqual([]);
    expect((await all('a/messages?limit=500'))[0]).toEqual({
      at: at.toISOString(),
      direction: 'up',
      event: null,
      body: [3],
    });
  });
});

describe('readings', () => {
  const start = Date.UTC(2026, 0, 1);
  const time = (ms: number): string => new Date(start + ms).toISOString();

  beforeAll(async () => {
    const values = [0, 4_999, 5_000, 60_000].map((ms, index) => {
      return { device_id: 'a', metric: 'heat', at: new Date(start + ms), value: index };
    });
    await database.insertInto('readings').values(values).execute();
    await database
      .insertInto('readings')
      .values([
        { device_id: 'a', metric: 'damp', at: new Date(start), value: 0.5 },
        { device_id: 'b', metric: 'heat', at: new Date(start), value: 99 },
      ])
      .execute();
    const summaries = [0, 1, 2].map((minute) => {
      const at = new Date(start + minute * MINUTE);
      return {
        device_id: 'a',
        metric: 'heat',
        at,
        min: minute,
        max: 10 + minute,
        sum: 10,
        count: minute + 1,
      };
    });
    await database.insertInto('readings_by_minute').values(summaries).execute();
    const hour = { device_id: 'a', at: new Date(start), min: 1, max: 3, sum: 8, count: 4 };
    await database
      .insertInto('readings_by_hour')
      .values([
        { ...hour, metric: 'heat' },
        { ...hour, metric: 'old' },
      ])
      .execute();
  });

  it('have min, avg, max and count of each step', async () => {
    const range = `from=${time(0)}&to=${time(MINUTE)}`;
    expect(await get(`a/readings?metric=heat&step=5000&${range}`)).toEqual({
      metric: 'heat',
      from: time(0),
      to: time(MINUTE),
      step: 5_000,
      source: 'readings',
      points: [
        { at: time(0), min: 0, avg: 0.5, max: 1, count: 2 },
        { at: time(5_000), min: 2, avg: 2, max: 2, count: 1 },
      ],
    });
  });

  it('of minutes and hours are those of the summaries', async () => {
    const range = `from=${time(30_000)}&to=${time(3 * MINUTE)}`;
    expect(await get(`a/readings?metric=heat&step=120000&${range}`)).toMatchObject({
      from: time(0),
      source: 'minutes',
      points: [
        { at: time(0), min: 0, avg: 20 / 3, max: 11, count: 3 },
        { at: time(2 * MINUTE), min: 2, avg: 10 / 3, max: 12, count: 3 },
      ],
    });
    expect(
      await get(`a/readings?metric=heat&step=${HOUR}&from=${time(0)}&to=${time(24 * HOUR)}`),
    ).toMatchObject({ source: 'hours', points: [{ at: time(0), min: 1, avg: 2, max: 3, count: 4 }] });
  });

  it('are those of the last day by default, in some hundred points', async () => {
    const now = new Date();
    await database
      .insertInto('readings_by_minute')
      .values({
        device_id: 'b',
        metric: 'now',
        at: new Date(now.getTime() - HOUR),
        min: 1,
        max: 1,
        sum: 1,
        count: 1,
      })
      .execute();
    const { from, to, step, points } = (await get('b/readings?metric=now')) as {
      from: string;
      to: string;
      step: number;
      points: unknown[];
    };
    expect(step).toBe(5 * MINUTE);
    expect(Date.parse(to)).toBeGreaterThanOrEqual(now.getTime());
    expect(Date.parse(to) - Date.parse(from)).toBeGreaterThanOrEqual(24 * HOUR);
    expect(Date.parse(to) - Date.parse(from)).toBeLessThan(24 * HOUR + step);
    expect(points).toMatchObject([{ min: 1, avg: 1, max: 1, count: 1 }]);
  });

  it.each([
    ['a/readings', 'metric'],
    [`a/readings?metric=heat&from=${time(1)}&to=${time(1)}`, 'from'],
    [`a/readings?metric=heat&step=1000&from=${time(0)}&to=${time(2_000_001)}`, 'step'],
    ['a/readings?metric=heat&step=999', 'step'],
    ['a/readings?metric=heat&step=0', 'step'],
    ['a/readings?metric=heat&step=1e300', 'step'],
    ['a/readings?metric=heat&from=-271821-04-20T00:00:00Z', 'from'],
    ['a/readings?metric=heat&to=9999-12-31T23:59:59Z', 'to'],
  ])('answers 400 to %s, and names the field', async (path, field) => {
    const { status, body } = await cloud.http('GET', `/api/v1/devices/${path}`);
    expect([status, JSON.stringify(body)]).toEqual([400, expect.stringContaining(field)]);
  });

  it('take 2,000 points', async () => {
    const range = `from=${time(0)}&to=${time(2_000_000)}`;
    expect(await get(`a/readings?metric=heat&step=1000&${range}`)).toMatchObject({ step: 1_000 });
  });

  it('have names, each with its last value; the mean of the last hour when there is no other', async () => {
    expect(await get('a/metrics')).toEqual({
      items: [
        { metric: 'damp', at: time(0), value: 0.5 },
        { metric: 'heat', at: time(60_000), value: 3 },
        { metric: 'old', at: time(0), value: 2 },
      ],
    });
    expect(await get('empty/metrics')).toEqual({ items: [] });
  });
});

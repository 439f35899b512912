import { randomUUID } from 'node:crypto';
import { tuple } from '@fedecks/nest/wire';
import { ServiceUnavailableException } from '@nestjs/common';
import { jest } from '@jest/globals';
import { DeviceBlocks } from '../src/enrolment/device-blocks.js';
import { eventually } from '../../../libs/fedecks/test/support/eventually.js';
import { SentMessages } from '../src/recording/sent-messages.js';
import { Database } from '../src/database/database.js';
import { API_KEY, CloudApi } from './support/cloud-api.js';

const HEADERS = { authorization: `Bearer ${API_KEY}` };

let cloud: CloudApi;
let database: Database;

async function start(): Promise<void> {
  cloud = await CloudApi.start();
  database = cloud.get(Database);
}

/** One app for all tests of a block. @param tidy takes away what a test has left. */
function shareApp(tidy: (cloud: CloudApi) => Promise<void>): void {
  beforeAll(start);
  afterEach(() => tidy(cloud));
  afterAll(() => cloud.close());
}

async function insert(...devices: { id: string; tags?: string[]; online?: boolean; blocked?: boolean }[]) {
  await database
    .insertInto('devices')
    .values(devices)
    .onConflict((conflict) =>
      conflict.column('id').doUpdateSet((row) => ({ tags: row.ref('excluded.tags') })),
    )
    .execute();
}

function post(path: string, body: object) {
  return cloud.http('POST', `/api/v1/${path}`, { headers: HEADERS, body: JSON.stringify(body) });
}

function bulk(select: object, action: object, more: object = {}) {
  return post('bulk', { select, action, ...more });
}

/** What observers of sent messages see from now on. */
function recordSent(): unknown[] {
  const sent: unknown[] = [];
  cloud.get(SentMessages).sent$.subscribe((message) => sent.push(message));
  return sent;
}

async function tagsOf(): Promise<Record<string, string[]>> {
  const rows = await database.selectFrom('devices').select(['id', 'tags']).orderBy('id').execute();
  return Object.fromEntries(rows.map(({ id, tags }) => [id, tags]));
}

describe('GET /api/v1/overview', () => {
  beforeEach(start);
  afterEach(() => cloud.close());

  it('counts devices by state, closes by cause, and shows nodes and what flaps', async () => {
    const [alive, dead] = [randomUUID(), randomUUID()];
    const ago = (minutes: number): Date => new Date(Date.now() - minutes * 60_000);
    // The app writes at its start that it lives.
    const nodesThere = () => database.selectFrom('nodes').select('id').execute();
    await eventually(nodesThere, (rows) => rows.length === 1);
    await database.deleteFrom('nodes').execute();
    await database
      .insertInto('nodes')
      .values([
        { id: alive, host: 'cloud-1', started_at: ago(1) },
        { id: dead, host: 'cloud-2', started_at: ago(9), seen_at: ago(1), backplane_up: false },
      ])
      .execute();
    await database
      .insertInto('devices')
      .values([
        { id: 'a', online: true, node_id: alive, first_seen_at: ago(9) },
        { id: 'b', node_id: alive, first_seen_at: ago(9), blocked: true },
        { id: 'c' },
      ])
      .execute();
    const row = { node_id: alive, address: '192.0.2.1' };
    await database
      .insertInto('connections')
      .values([
        ...Array.from({ length: 6 }, (_, index) => ({
          ...row,
          device_id: 'a',
          came_at: ago(1 + index / 10),
        })),
        { ...row, device_id: 'b', came_at: ago(50), went_at: ago(40), cause: 'connection_lost' },
        { ...row, device_id: 'b', came_at: ago(90), went_at: ago(80), cause: 'kicked' },
        { ...row, device_id: 'b', came_at: ago(95), went_at: ago(20), cause: 'connection_lost' },
      ])
      .execute();
    const { status, body } = await cloud.http('GET', '/api/v1/overview');
    expect([status, body]).toMatchObject([
      200,
      {
        devices: { all: 3, online: 1, offline: 1, neverSeen: 1, flapping: 1, blocked: 1 },
        nodes: [
          { id: alive, host: 'cloud-1', alive: true, backplaneUp: true, devices: 1 },
          { id: dead, host: 'cloud-2', alive: false, backplaneUp: false, devices: 0 },
        ],
        lastHour: { connects: 7, closes: { connection_lost: 2 } },
        flapping: [{ id: 'a', connects: 6 }],
      },
    ]);
    const nodes = await cloud.http('GET', '/api/v1/nodes');
    expect(nodes.body).toEqual({ items: (body as { nodes: unknown }).nodes });
  });

  it('shows the 50 newest events, whoever came and went', async () => {
    const row = { node_id: randomUUID(), address: '192.0.2.1' };
    const second = (count: number): Date => new Date(Date.UTC(2026, 0, 1, 12, 0, count));
    const came = Array.from({ length: 60 }, (_, index) => ({
      ...row,
      device_id: `d-${index}`,
      came_at: second(index),
    }));
    await database
      .insertInto('connections')
      .values([
        ...came,
        { ...row, device_id: 'early', came_at: second(0), went_at: second(58), cause: 'connection_lost' },
      ])
      .execute();
    const { body } = await cloud.http('GET', '/api/v1/overview');
    const { events } = body as { events: unknown[] };
    expect(events).toHaveLength(50);
    expect(events[0]).toEqual({
      at: second(59).toISOString(),
      deviceId: 'd-59',
      type: 'connected',
      cause: null,
    });
    expect(events).toContainEqual({
      at: second(58).toISOString(),
      deviceId: 'early',
      type: 'disconnected',
      cause: 'connection_lost',
    });
    expect(events.at(-1)).toMatchObject({ deviceId: 'd-11' });
  });
});

describe('POST /api/v1/broadcast', () => {
  shareApp((app) => app.empty());

  it('pushes to the devices with all tags that are connected, and tells how many are not', async () => {
    const sent = recordSent();
    const first = await cloud.connect('greenhouse-1');
    const second = await cloud.connect('greenhouse-2');
    await insert(
      { id: 'greenhouse-1', tags: ['x', 'y'] },
      { id: 'greenhouse-2', tags: ['x'] },
      { id: 'away', tags: ['y', 'x'] },
    );
    const message = { event: 'lamp', data: { on: true } };
    expect(await post('broadcast', { tags: ['x', 'y'], message })).toEqual({
      status: 200,
      body: { sent: 1, offline: 1, failed: 0 },
    });
    expect(await first.received.next()).toEqual(message);
    await cloud.fedecks.push('greenhouse-2', tuple('marker', null));
    expect(await second.received.next()).toEqual(['marker', null]);
    expect(sent).toEqual([{ deviceId: 'greenhouse-1', event: 'lamp', payload: { on: true } }]);
  });

  it.each([
    ['no tags', { message: [1] }, 'tags'],
    ['no tag', { tags: [], message: [1] }, 'tags'],
    ['no message', { tags: ['x'] }, 'message'],
    ['a message that cannot be sent', '{"tags":["x"],"message":{"litres":1e400}}', 'litres'],
  ])('answers 400 to %s', async (_what, body, field) => {
    await insert({ id: 'a', tags: ['x'] });
    const text = typeof body === 'string' ? body : JSON.stringify(body);
    const answer = await cloud.http('POST', '/api/v1/broadcast', { body: text });
    expect([answer.status, JSON.stringify(answer.body)]).toEqual([400, expect.stringContaining(field)]);
  });
});

describe('POST /api/v1/bulk', () => {
  shareApp((app) => app.empty());
  afterEach(() => jest.restoreAllMocks());

  it('tells how many devices are hit, and does nothing, in a dry run', async () => {
    await insert({ id: 'a', tags: ['x'] }, { id: 'b', tags: ['x'] }, { id: 'c' });
    expect(await bulk({ tags: ['x'] }, { type: 'delete' }, { dryRun: true })).toEqual({
      status: 200,
      body: { bulk: expect.any(String) as string, selected: 2, dryRun: true, outcomes: {}, failures: [] },
    });
    expect(await bulk({ all: true }, { type: 'block' }, { dryRun: true })).toMatchObject({
      body: { selected: 3 },
    });
    expect(Object.keys(await tagsOf())).toEqual(['a', 'b', 'c']);
  });

  it('delivers a payload as it is to all with a tag, also to those that are offline', async () => {
    const sent = recordSent();
    await insert({ id: 'a', tags: ['x'] }, { id: 'b', tags: ['x'] }, { id: 'c' });
    const payload = { constructor: 'Bob', deep: [[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]] };
    const action = { type: 'deliver', event: 'settings', payload, ttlMs: 60_000, key: 'k' };
    expect(await bulk({ tags: ['x'] }, action)).toMatchObject({
      status: 200,
      body: { selected: 2, outcomes: { delivered: 2 }, failures: [] },
    });
    // At the same time, in whichever order.
    expect(sent).toHaveLength(2);
    for (const deviceId of ['a', 'b']) expect(sent).toContainEqual({ deviceId, event: 'settings', payload });
    const [delivery] = await cloud.fedecks.deliveries.of('a');
    expect(delivery).toMatchObject({ event: 'settings', key: 'k', state: 'queued' });
    expect(await cloud.fedecks.deliveries.of('c')).toEqual([]);
  });

  it('tags and untags, and tells what was so before, and which ids are unknown', async () => {
    await insert({ id: 'a', tags: ['x'] }, { id: 'b' }, { id: 'c', tags: ['x', 'y'] });
    expect(await bulk({ ids: ['a', 'b', 'nobody'] }, { type: 'tag', tag: 'x' })).toMatchObject({
      body: {
        selected: 2,
        outcomes: { tagged: 1, unchanged: 1, unknown: 1 },
        failures: [{ id: 'nobody', message: expect.any(String) as string }],
      },
    });
    expect(await bulk({ all: true }, { type: 'untag', tag: 'y' })).toMatchObject({
      body: { outcomes: { untagged: 1, unchanged: 2 } },
    });
    expect(await tagsOf()).toEqual({ a: ['x'], b: ['x'], c: ['x'] });
  });

  it('acts on the devices that a filter finds', async () => {
    await insert(
      { id: 'a-1', tags: ['x'] },
      { id: 'a-2', tags: ['x'], blocked: true },
      { id: 'b-1', tags: ['x'] },
    );
    const filter = { search: 'A-', tag: ['x'], state: 'never_seen' };
    expect(await bulk({ filter }, { type: 'tag', tag: 'y' }, { dryRun: true })).toMatchObject({
      body: { selected: 2 },
    });
    expect(await bulk({ filter }, { type: 'tag', tag: 'y' })).toMatchObject({
      body: { outcomes: { tagged: 2 } },
    });
    expect(await bulk({ filter: { state: 'blocked' } }, { type: 'untag', tag: 'x' })).toMatchObject({
      body: { outcomes: { untagged: 1 } },
    });
    expect(await tagsOf()).toEqual({ 'a-1': ['x', 'y'], 'a-2': ['y'], 'b-1': ['x'] });
    const lastSeenBefore = '2026-01-01T00:00:00Z';
    expect(await bulk({ filter: { lastSeenBefore } }, { type: 'block' })).toMatchObject({
      body: { selected: 0 },
    });
  });

  it('keeps in the audit of each device what was done to it, and which bulk action it was', async () => {
    await insert({ id: 'a', tags: ['x'] }, { id: 'b' }, { id: 'c' });
    const entriesOf = async (query: string): Promise<unknown[]> => {
      const { body } = await cloud.http('GET', `/api/v1/audit?${query}`, { headers: HEADERS });
      return (body as { items: object[] }).items;
    };
    const bulkOf = async (select: object, action: object, more?: object): Promise<string> =>
      ((await bulk(select, action, more)).body as { bulk: string }).bulk;
    const ids = ['a', 'b', 'nobody'];
    await bulk({ ids }, { type: 'block' }, { dryRun: true });
    const tagging = await bulkOf({ ids }, { type: 'tag', tag: 'x' });
    await bulk({ ids }, { type: 'disconnect' });
    const delivering = await bulkOf({ ids }, { type: 'deliver', event: 'vent', payload: 'secret', key: 'k' });
    const blocking = await bulkOf({ ids }, { type: 'block', tag: 'not checked' });
    const entry = (action: string, details: object, target: string) =>
      expect.objectContaining({
        actor: 'API_KEY',
        actorKind: 'environment',
        address: '127.0.0.1',
        action,
        target,
        details,
        status: 200,
      }) as unknown;
    const blockAndDeliver = (target: string) => [
      entry('device.block', { bulk: blocking }, target),
      entry('device.deliver', { bulk: delivering, event: 'vent', key: 'k' }, target),
    ];
    // It had the tag before, and was not connected.
    expect(await entriesOf('target=a')).toEqual(blockAndDeliver('a'));
    expect(await entriesOf('target=b')).toEqual([
      ...blockAndDeliver('b'),
      entry('device.tag', { bulk: tagging, tag: 'x' }, 'b'),
    ]);
    for (const target of ['c', 'nobody']) expect(await entriesOf(`target=${target}`)).toEqual([]);
    const all = await entriesOf('action=fleet.bulk');
    expect(all).toHaveLength(5);
    expect(JSON.stringify(all)).not.toContain('secret');
    expect(all[0]).toMatchObject({
      details: {
        select: { ids },
        'action.type': 'block',
        bulk: blocking,
        selected: 2,
        outcomes: { blocked: 2, unknown: 1 },
      },
    });
  });

  it('keeps in the audit of a device what failed, and nothing of what was not tried', async () => {
    await insert(...Array.from({ length: 100 }, (_, index) => ({ id: `d-${index}` })));
    const refused = new ServiceUnavailableException('another node does not answer');
    const unblock = jest.spyOn(cloud.get(DeviceBlocks), 'unblock').mockRejectedValue(refused);
    await bulk({ all: true }, { type: 'unblock' });
    const entries = await database
      .selectFrom('audit')
      .select('status')
      .where('action', '=', 'device.unblock')
      .execute();
    expect(entries).toHaveLength(unblock.mock.calls.length);
    expect(entries).toContainEqual({ status: 503 });
  });

  it('gives no device more than 50 tags', async () => {
    await insert({ id: 'a', tags: Array.from({ length: 50 }, String) });
    expect(await bulk({ all: true }, { type: 'tag', tag: 'x' })).toMatchObject({
      body: { outcomes: { unchanged: 1 } },
    });
  });

  it('disconnects, revokes, blocks, unblocks and deletes', async () => {
    const { device } = await cloud.connect('greenhouse-1');
    await insert({ id: 'greenhouse-1' }, { id: 'away' });
    const select = { ids: ['greenhouse-1', 'away'] };
    expect(await bulk(select, { type: 'disconnect' })).toMatchObject({
      body: { outcomes: { disconnected: 1, offline: 1 } },
    });
    expect(await bulk(select, { type: 'revoke' })).toMatchObject({ body: { outcomes: { revoked: 2 } } });
    await device.stop();
    const blocked = async (): Promise<boolean[]> =>
      (await database.selectFrom('devices').select('blocked').execute()).map((row) => row.blocked);
    expect(await bulk(select, { type: 'block' })).toMatchObject({ body: { outcomes: { blocked: 2 } } });
    expect(await blocked()).toEqual([true, true]);
    expect(await bulk(select, { type: 'unblock' })).toMatchObject({ body: { outcomes: { unblocked: 2 } } });
    expect(await blocked()).toEqual([false, false]);
    expect(await bulk(select, { type: 'delete' })).toMatchObject({ body: { outcomes: { deleted: 2 } } });
    expect(await tagsOf()).toEqual({});
  });

  it('tries no more devices when the database does not answer', async () => {
    await insert(...Array.from({ length: 100 }, (_, index) => ({ id: `d-${index}` })));
    const refused = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });
    const unblock = jest.spyOn(cloud.get(DeviceBlocks), 'unblock').mockRejectedValue(refused);
    const { body } = await bulk({ all: true }, { type: 'unblock' });
    expect(body).toMatchObject({ selected: 100, outcomes: { failed: 100 } });
    expect(JSON.stringify(body)).toContain('Not tried');
    expect(unblock.mock.calls.length).toBeLessThan(50);
  });

  it('shows the first 100 failures, and counts all', async () => {
    const ids = Array.from({ length: 150 }, (_, index) => `nobody-${index}`);
    const { body } = await bulk({ ids }, { type: 'revoke' });
    expect(body).toMatchObject({ selected: 0, outcomes: { unknown: 150 } });
    expect((body as { failures: unknown[] }).failures).toHaveLength(100);
  });

  it.each([
    ['nothing that selects', {}, { type: 'block' }, 'select'],
    ['two ways to select', { all: true, tags: ['x'] }, { type: 'block' }, 'select'],
    ['all that is not true', { all: false }, { type: 'block' }, 'all'],
    ['an empty list', { ids: [] }, { type: 'block' }, 'ids'],
    ['an empty filter', { filter: {} }, { type: 'block' }, 'filter'],
    ['an unknown field of a filter', { filter: { sate: 'offline' } }, { type: 'block' }, 'sate'],
    [
      'a wrong field of a filter',
      { filter: { lastSeenBefore: 'then' } },
      { type: 'block' },
      'lastSeenBefore',
    ],
    ['an unknown action', { all: true }, { type: 'explode' }, 'type'],
    ['no tag', { all: true }, { type: 'tag' }, 'tag'],
    ['a tag with a comma', { all: true }, { type: 'tag', tag: 'x,y' }, 'tag'],
    ['no event', { all: true }, { type: 'deliver' }, 'event'],
    ['a list as the action', { all: true }, [], 'action'],
  ])('answers 400 to %s', async (_what, select, action, field) => {
    const { status, body } = await bulk(select, action);
    expect([status, JSON.stringify(body)]).toEqual([400, expect.stringContaining(field)]);
  });

  it('answers 400 to more than 10,000 devices, and does nothing', async () => {
    await insert(...Array.from({ length: 10_001 }, (_, index) => ({ id: `d-${index}` })));
    const { status, body } = await bulk({ all: true }, { type: 'tag', tag: 'x' });
    expect([status, JSON.stringify(body)]).toEqual([400, expect.stringContaining('10000')]);
    await database.deleteFrom('devices').where('id', '=', 'd-1').execute();
    expect(await bulk({ all: true }, { type: 'tag', tag: 'x' })).toMatchObject({
      body: { outcomes: { tagged: 10_000 } },
    });
  });
});

describe('the agent of a device', () => {
  shareApp((app) => app.disconnectAll());

  it('shows its log, and asks for no more than it was asked', async () => {
    const { device } = await cloud.connect('greenhouse-1');
    device.onRequest('logs', async function* (query) {
      yield JSON.stringify(query);
      for (let line = 0; ; line++) yield `line ${line} ${'x'.repeat(5_000)}`;
    });
    const { status, body } = await cloud.http('GET', '/api/v1/devices/greenhouse-1/log?lines=2');
    expect(status).toBe(200);
    const { lines } = body as { lines: string[] };
    expect(JSON.parse(lines[0]!)).toEqual({ lines: 2, follow: false });
    expect(lines).toHaveLength(3);
    expect(lines[2]).toHaveLength(4_096 + 3);
  });

  it('answers 502 when a line of its log is no text', async () => {
    const { device } = await cloud.connect('greenhouse-1');
    device.onRequest('logs', async function* () {
      yield { a: 1 };
    });
    expect(await cloud.http('GET', '/api/v1/devices/greenhouse-1/log')).toMatchObject({ status: 502 });
  });

  it('restarts, or says why not', async () => {
    const { device } = await cloud.connect('greenhouse-1');
    const path = '/api/v1/devices/greenhouse-1/restart';
    expect(await cloud.http('POST', path)).toMatchObject({ status: 502, body: { code: 'no_handler' } });
    device.onRequest('restart', () => undefined);
    expect(await cloud.http('POST', path)).toEqual({ status: 204, body: undefined, location: undefined });
    await device.stop();
    expect(await cloud.http('POST', path)).toMatchObject({ status: 409, body: { code: 'offline' } });
    expect(await cloud.http('GET', '/api/v1/devices/greenhouse-1/log')).toMatchObject({ status: 409 });
  });

  it('gets new settings when it is back', async () => {
    const body = '{"telemetryIntervalMs":60000,"logLevel":null}';
    const answer = await cloud.http('PUT', '/api/v1/devices/greenhouse-1/settings', { body });
    expect(answer).toMatchObject({ status: 202, body: { event: 'settings', state: 'queued' } });
    const device = await cloud.fakeDevice('greenhouse-1');
    const delivery = await device.nextDelivery();
    expect(delivery).toMatchObject({ event: 'settings', payload: JSON.parse(body) as object });
    delivery.handled();
    // The store is a database: the cloud writes there that it is done after it has heard of it.
    await eventually(
      () => cloud.http('GET', answer.location!),
      ({ body: shown }) => (shown as { state: string }).state === 'done',
    );
    await device.disconnect();
  });

  it.each([
    ['no field', '{}'],
    ['a list', '[]'],
    ['an object in a field', '{"a":{}}'],
    ['a list in a field', '{"a":[1]}'],
    ['a name that is too long', `{"${'x'.repeat(65)}":1}`],
    ['text that is too long', `{"a":"${'x'.repeat(1_025)}"}`],
  ])('gets no settings with %s', async (_what, body) => {
    const path = '/api/v1/devices/greenhouse-2/settings';
    expect(await cloud.http('PUT', path, { body })).toMatchObject({ status: 400 });
    expect(await cloud.fedecks.deliveries.of('greenhouse-2')).toEqual([]);
  });
});

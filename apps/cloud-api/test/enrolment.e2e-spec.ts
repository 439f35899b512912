import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FedecksClient, MemoryTokenStore } from '@fedecks/nest/client';
import { jest } from '@jest/globals';
import pg from 'pg';
import { eventually } from '../../../libs/fedecks/test/support/eventually.js';
import { freePort } from '../../../libs/fedecks/test/support/free-port.js';
import { Database } from '../src/database/database.js';
import { DeviceAccounts } from '../src/enrolment/device-accounts.js';
import { DeviceBlocks } from '../src/enrolment/device-blocks.js';
import { API_KEY, CloudApi, CREDENTIALS } from './support/cloud-api.js';
import { PostgresServer } from './support/postgres-server.js';
import { hasPrograms, ShBlocks } from './support/sh-blocks.js';
import { TestDatabase } from './support/test-database.js';
import { filter, firstValueFrom } from 'rxjs';

interface NewClaim {
  readonly id: string;
  readonly code: string;
  readonly deviceId: string | null;
  readonly expiresAt: string;
}

const PASSWORD = 'correct horse battery';
const CLAIMS = '/api/v1/claims';

let cloud: CloudApi;
// The first database of a run is made slowly, and copied from then on.
beforeAll(async () => (await TestDatabase.create()).close(), 120_000);
beforeEach(async () => (cloud = await CloudApi.start()));
afterEach(() => cloud.close());

async function createClaims(order: object): Promise<readonly NewClaim[]> {
  const { status, body } = await cloud.http('POST', CLAIMS, { body: JSON.stringify(order) });
  expect([status, body]).toMatchObject([201, { items: expect.any(Array) as unknown }]);
  return (body as { items: NewClaim[] }).items;
}

async function createClaim(order: object = { count: 1 }): Promise<string> {
  const [claim] = await createClaims(order);
  return claim!.code;
}

function statusOfClaim(deviceId: string, claim: string, localAddress = '127.0.0.1'): Promise<number> {
  return cloud.statusOfLogin(deviceId, { credentials: { claim }, localAddress });
}

const setPassword = (id: string, password: string | null) =>
  cloud.http('PUT', `/api/v1/devices/${encodeURIComponent(id)}/password`, {
    body: JSON.stringify({ password }),
  });

/** When the only device connected. */
function connectedSince(): number {
  return cloud.fedecks.devices()[0]?.since ?? NaN;
}

/** Resolves when the only device has connected again. */
async function cameBack(since: number): Promise<void> {
  await eventually(connectedSince, (again) => again > since);
}

const act = (id: string, action: string) =>
  cloud.http('POST', `/api/v1/devices/${encodeURIComponent(id)}/${action}`);

describe('claims', () => {
  it('are made for devices, which are known from then on, and are listed without codes', async () => {
    const before = Date.now();
    const made = await createClaims({
      devices: ['greenhouse-1', 'ä/b c'],
      tags: ['north'],
      expiresInMs: 60_000,
    });
    expect(made.map(({ deviceId }) => deviceId)).toEqual(['greenhouse-1', 'ä/b c']);
    for (const { code, expiresAt } of made) {
      expect(code).toMatch(/^([0-9A-HJKMNP-TV-Z]{4}-){3}[0-9A-HJKMNP-TV-Z]{4}$/);
      expect(Date.parse(expiresAt) - before).toBeGreaterThanOrEqual(60_000);
      expect(Date.parse(expiresAt) - Date.now()).toBeLessThanOrEqual(60_000);
    }
    const devices = await cloud
      .get(Database)
      .selectFrom('devices')
      .select(['id', 'tags', 'first_seen_at'])
      .execute();
    expect(devices).toHaveLength(2);
    expect(devices).toContainEqual({ id: 'ä/b c', tags: ['north'], first_seen_at: null });

    const { status, body } = await cloud.http('GET', CLAIMS);
    expect(status).toBe(200);
    const { items, next } = body as { items: (NewClaim & { state: string })[]; next: string | null };
    expect(next).toBeNull();
    expect(items.map(({ id }) => id).sort()).toEqual(made.map(({ id }) => id).sort());
    const keys = [
      'id',
      'state',
      'deviceId',
      'tags',
      'createdBy',
      'createdAt',
      'expiresAt',
      'usedAt',
      'usedBy',
    ];
    for (const item of items) expect(Object.keys(item)).toEqual(keys);
    for (const { code } of made) expect(JSON.stringify(body)).not.toContain(code);
  });

  it('are listed in pages, by state', async () => {
    const made = await createClaims({ count: 7 });
    const listed: string[] = [];
    for (let cursor = ''; ;) {
      const { body } = await cloud.http('GET', `${CLAIMS}?limit=3${cursor}`);
      const { items, next } = body as { items: { id: string }[]; next: string | null };
      listed.push(...items.map(({ id }) => id));
      expect(items.length).toBeLessThanOrEqual(3);
      if (next === null) break;
      cursor = `&cursor=${encodeURIComponent(next)}`;
    }
    expect(listed).toHaveLength(7);
    expect(listed.toSorted()).toEqual(made.map(({ id }) => id).sort());

    expect(await statusOfClaim('a', made[0]!.code)).toBe(101);
    const past = new Date(Date.now() - 1);
    await cloud
      .get(Database)
      .updateTable('claims')
      .set({ expires_at: past })
      .where('id', '=', made[1]!.id)
      .execute();
    const idsIn = async (state: string): Promise<string[]> => {
      const { body } = await cloud.http('GET', `${CLAIMS}?state=${state}`);
      const { items } = body as { items: { id: string; state: string }[] };
      for (const item of items) expect(item.state).toBe(state);
      return items.map(({ id }) => id);
    };
    expect(await idsIn('used')).toEqual([made[0]!.id]);
    expect(await idsIn('expired')).toEqual([made[1]!.id]);
    expect(await idsIn('open')).toHaveLength(5);
  });

  it('are refused with 400, which names the field, when the order is wrong', async () => {
    const cases: [string, unknown, string][] = [
      ['nothing', {}, 'devices'],
      ['devices and count', { devices: ['a'], count: 1 }, 'count'],
      ['no devices', { devices: [] }, 'devices'],
      ['501 devices', { devices: Array.from({ length: 501 }, String) }, 'devices'],
      ['a device twice', { devices: ['a', 'a'] }, 'devices'],
      ['an id that is too long', { devices: ['ä'.repeat(63)] }, 'devices'],
      ['an empty id', { devices: [''] }, 'devices'],
      ['an id that is no text', { devices: [7] }, 'devices'],
      ['an id with NUL', { devices: ['a\0'] }, 'devices'],
      ['501 claims', { count: 501 }, 'count'],
      ['half a claim', { count: 0.5 }, 'count'],
      ['a count in text', { count: '1' }, 'count'],
      ['a tag that is too long', { count: 1, tags: ['x'.repeat(65)] }, 'tags'],
      ['33 tags', { count: 1, tags: Array.from({ length: 33 }, String) }, 'tags'],
      ['a tag that is no text', { count: 1, tags: [{}] }, 'tags'],
      ['an expiry after 91 days', { count: 1, expiresInMs: 91 * 86_400_000 }, 'expiresInMs'],
      ['an expiry within a second', { count: 1, expiresInMs: 1_000 }, 'expiresInMs'],
      ['a field that does not exist', { count: 1, role: 'admin' }, 'role'],
      ['an array', [], 'object'],
    ];
    for (const [what, order, field] of cases) {
      const { status, body } = await cloud.http('POST', CLAIMS, { body: JSON.stringify(order) });
      expect([what, status, JSON.stringify(body)]).toEqual([what, 400, expect.stringContaining(field)]);
    }
    expect((await cloud.http('GET', CLAIMS)).body).toEqual({ items: [], next: null });
  });

  it('are not listed when the query is wrong: 400 names the parameter', async () => {
    for (const query of ['limit=0', 'limit=501', 'state=lost', 'cursor=x', 'cursor=', 'unknown=1']) {
      const { status, body } = await cloud.http('GET', `${CLAIMS}?${query}`);
      expect([status, JSON.stringify(body)]).toEqual([400, expect.stringContaining(query.split('=')[0]!)]);
    }
  });

  it('are of no use when they are deleted', async () => {
    const [claim] = await createClaims({ count: 1 });
    expect(await cloud.http('DELETE', `${CLAIMS}/${claim!.id}`)).toMatchObject({ status: 200 });
    expect(await cloud.http('DELETE', `${CLAIMS}/${claim!.id}`)).toMatchObject({ status: 404 });
    expect(await cloud.http('DELETE', `${CLAIMS}/1`)).toMatchObject({ status: 400 });
    expect(await statusOfClaim('a', claim!.code)).toBe(403);
  });

  it('need a key', async () => {
    const headers = { 'x-api-key': 'wrong' };
    expect(await cloud.http('POST', CLAIMS, { headers, body: '{"count":1}' })).toMatchObject({ status: 401 });
    expect(await cloud.http('GET', CLAIMS, { headers })).toMatchObject({ status: 401 });
  });

  it('are in the audit, without codes and passwords', async () => {
    const log = cloud.recordLog();
    const [claim] = await createClaims({ count: 1, tags: ['north'] });
    await statusOfClaim('a', claim!.code);
    await statusOfClaim('b', claim!.code);
    await setPassword('a', PASSWORD);
    await cloud.http('DELETE', `${CLAIMS}/${claim!.id}`);
    const ids = Array.from({ length: 500 }, (_, index) => `greenhouse-${index}`);
    await createClaims({ devices: ids });
    const audit = await cloud
      .get(Database)
      .selectFrom('audit')
      .select(['action', 'target', 'details', 'status', 'actor'])
      .orderBy('id')
      .execute();
    const actor = 'API_KEY';
    expect(audit).toEqual([
      { action: 'claim.create', target: null, details: { count: 1, tags: ['north'] }, status: 201, actor },
      { action: 'device.password', target: 'a', details: null, status: 200, actor },
      { action: 'claim.delete', target: claim!.id, details: null, status: 200, actor },
      {
        action: 'claim.create',
        target: null,
        details: { devices: [...ids.slice(0, 20), '... 500 in all'] },
        status: 201,
        actor,
      },
    ]);
    for (const secret of [claim!.code, PASSWORD])
      expect(`${JSON.stringify(audit)} ${log.join()}`).not.toContain(secret);
  });
});

describe('a device with a claim', () => {
  it('logs in, however the code is typed, and has its token from then on', async () => {
    const code = await createClaim({ devices: ['greenhouse-1'] });
    const device = cloud.device('greenhouse-1');
    await device.login({ claim: ` ${code.toLowerCase().replaceAll('-', '').replaceAll('0', 'o')} ` });
    expect(device.details).toMatchObject({ state: 'connected', tokenHeld: true });
    const since = connectedSince();
    await cloud.fedecks.disconnect('greenhouse-1');
    await cameBack(since);
    await eventually(
      () => device.details.state,
      (state) => state === 'connected',
    );
  });

  it('revokes no token of the device', async () => {
    const { device } = await cloud.connect('greenhouse-1');
    const second = new FedecksClient({
      url: `ws://127.0.0.1:${cloud.port}/fedecks/websocket`,
      deviceId: 'greenhouse-1',
      tokenStore: new MemoryTokenStore(),
    });
    await second.login({ claim: await createClaim({ devices: ['greenhouse-1'] }) });
    await second.stop();
    await eventually(
      () => device.details,
      ({ state, tokenHeld }) => state === 'connected' && tokenHeld,
    );
  });

  it('shares no code with another: of two at once, one logs in', async () => {
    const code = await createClaim();
    const [one, other] = [cloud.device('a'), cloud.device('b')];
    const results = await Promise.allSettled([one.login({ claim: code }), other.login({ claim: code })]);
    expect(results.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    expect(results.find(({ status }) => status === 'rejected')).toMatchObject({ reason: { status: 403 } });
    expect(cloud.fedecks.devices()).toHaveLength(1);
  });

  it('uses its code again when its connection was lost before it had its token, and not after', async () => {
    const code = await createClaim();
    expect(await statusOfClaim('a', code)).toBe(101);
    expect(await statusOfClaim('b', code)).toBe(403);
    const device = cloud.device('a');
    await device.login({ claim: code });
    const since = connectedSince();
    await cloud.fedecks.disconnect('a');
    await cameBack(since);
    await eventually(
      () => cloud.get(Database).selectFrom('claims').select('confirmed_at').executeTakeFirst(),
      (claim) => claim?.confirmed_at instanceof Date,
    );
    expect(await statusOfClaim('a', code)).toBe(403);
  });

  it('is refused with a wrong code, with that of another device, and with one that has expired', async () => {
    const bound = await createClaim({ devices: ['greenhouse-1'] });
    expect(await statusOfClaim('greenhouse-2', bound)).toBe(403);
    for (const wrong of ['', 'x', '0000-0000-0000-0000', bound.slice(1), "' OR 1=1 --", '\0'])
      expect([wrong, await statusOfClaim(`other-${wrong}`, wrong)]).toEqual([wrong, 403]);
    await cloud.get(Database).updateTable('claims').set({ expires_at: new Date() }).execute();
    expect(await statusOfClaim('greenhouse-1', bound)).toBe(403);
  });

  it('is not one that was here before, without a claim of its own', async () => {
    const code = await createClaim();
    await cloud.get(Database).insertInto('devices').values({ id: 'a', first_seen_at: new Date() }).execute();
    expect(await statusOfClaim('a', code)).toBe(403);
    expect(await statusOfClaim('a', await createClaim({ devices: ['a'] }))).toBe(101);
  });

  it('is refused when its id cannot be kept', async () => {
    expect(await statusOfClaim('a\0b', await createClaim())).toBe(403);
  });

  it('waits after 5 wrong codes for its id, or 60 from its address for whatever ids', async () => {
    const code = await createClaim();
    const wrong = '0000-0000-0000-0000';
    for (let time = 0; time < 5; time++) expect(await statusOfClaim('a', wrong)).toBe(403);
    expect(await statusOfClaim('a', code)).toBe(503);
    const statuses = [];
    for (let id = 0; id < 60; id++) statuses.push(await statusOfClaim(`guess-${id}`, wrong));
    expect(statuses.filter((status) => status === 403)).toHaveLength(55);
    expect(statuses.slice(55)).toEqual(Array(5).fill(503));
    expect(await statusOfClaim('b', code)).toBe(503);
    expect(await statusOfClaim('b', code, '127.0.0.2')).toBe(101);
  });
});

describe('a device with a password', () => {
  const statusOf = (id: string, credentials: Record<string, string>): Promise<number> =>
    cloud.statusOfLogin(id, { credentials });

  it('logs in with it, with or without its id as the user name', async () => {
    expect(await setPassword('ä/b c', PASSWORD)).toEqual({
      status: 200,
      body: { id: 'ä/b c', hasPassword: true },
    });
    const { password_hash } = await cloud
      .get(Database)
      .selectFrom('devices')
      .select('password_hash')
      .executeTakeFirstOrThrow();
    expect(password_hash).toMatch(/^\$argon2id\$/);
    expect(await statusOf('ä/b c', { password: PASSWORD })).toBe(101);
    expect(await statusOf('ä/b c', { username: 'ä/b c', password: PASSWORD })).toBe(101);
    expect(await statusOf('ä/b c', { password: `${PASSWORD}!` })).toBe(403);
    expect(await statusOf('ä/b c', { username: CREDENTIALS.username, password: PASSWORD })).toBe(403);
    expect(await statusOf('other', { username: 'ä/b c', password: PASSWORD })).toBe(403);
    expect(await statusOf('other', { password: PASSWORD })).toBe(403);
    expect(await statusOf('other', { password: '' })).toBe(403);
    expect(await statusOf('ä/b c', { username: 'nobody', password: PASSWORD })).toBe(403);
  });

  it('does not log in with one that was changed or removed', async () => {
    await setPassword('a', 'the first password');
    await setPassword('a', PASSWORD);
    expect(await statusOf('a', { password: 'the first password' })).toBe(403);
    expect(await setPassword('a', null)).toEqual({ status: 200, body: { id: 'a', hasPassword: false } });
    expect(await statusOf('a', { password: PASSWORD })).toBe(403);
    expect(await setPassword('unknown', null)).toMatchObject({ status: 404 });
  });

  it('cannot have one that the logins file hides', async () => {
    expect(await setPassword(CREDENTIALS.username, PASSWORD)).toMatchObject({ status: 409 });
  });

  it('cannot have a password that is short, long, or no text', async () => {
    const wrong = [
      undefined,
      '',
      'eleven char',
      'x'.repeat(129),
      123456789012,
      {},
      ['correct horse battery'],
    ];
    for (const password of wrong) {
      const { status, body } = await cloud.http('PUT', '/api/v1/devices/a/password', {
        body: JSON.stringify({ password }),
      });
      expect([password, status, JSON.stringify(body)]).toEqual([
        password,
        400,
        expect.stringContaining('password'),
      ]);
    }
  });
});

describe('a blocked device', () => {
  it('is disconnected, and stays out with its token, its password and a claim, until it is unblocked', async () => {
    await setPassword('a', PASSWORD);
    const device = cloud.device('a');
    const refused = new Promise((resolve) =>
      device.events$.subscribe(({ type }) => type === 'token_refused' && resolve(type)),
    );
    await device.login({ password: PASSWORD });
    expect(await act('a', 'block')).toEqual({ status: 200, body: { id: 'a', blocked: true } });
    expect(cloud.fedecks.devices()).toEqual([]);
    await refused;
    const code = await createClaim({ devices: ['a'] });
    expect(await cloud.statusOfLogin('a', { credentials: { password: PASSWORD } })).toBe(403);
    expect(await statusOfClaim('a', code)).toBe(403);
    // By the logins file.
    await cloud.writeLogins({ devices: ['*'] });
    expect(await cloud.statusOfLogin('a')).toBe(403);

    expect(await act('a', 'unblock')).toEqual({ status: 200, body: { id: 'a', blocked: false } });
    expect(await statusOfClaim('a', code)).toBe(101);
    expect(device.details.tokenHeld).toBe(true);
  });

  it('stays out when the app starts again', async () => {
    const database = await TestDatabase.create();
    const first = await CloudApi.start({ database: database.config });
    const tokenStore = new MemoryTokenStore();
    const client = ({ port }: CloudApi): FedecksClient =>
      new FedecksClient({
        url: `ws://127.0.0.1:${port}/fedecks/websocket`,
        deviceId: 'greenhouse-1',
        tokenStore,
        startDelayMs: 0,
      });
    const device = client(first);
    await device.login(CREDENTIALS);
    await device.stop();
    const body = JSON.stringify({ devices: ['greenhouse-1'] });
    expect(await first.http('POST', CLAIMS, { body })).toMatchObject({ status: 201 });
    expect(await first.http('POST', '/api/v1/devices/greenhouse-1/block')).toMatchObject({ status: 200 });
    await first.close();

    const second = await CloudApi.start({ database: database.config });
    expect(await second.statusOfLogin('greenhouse-1')).toBe(403);
    const restarted = client(second);
    const refused = firstValueFrom(restarted.events$.pipe(filter(({ type }) => type === 'upgrade_failed')));
    void restarted.start();
    expect(await refused).toMatchObject({ status: 403 });
    expect(second.fedecks.devices()).toEqual([]);
    await restarted.stop();
    await second.close();
    await database.close();
  });

  it('is blocked when its tokens could not be revoked, and may be blocked again', async () => {
    await setPassword('a', PASSWORD);
    const revoke = jest.spyOn(cloud.fedecks, 'revoke').mockRejectedValueOnce(new Error('the store is away'));
    const { status, body } = await act('a', 'block');
    expect([status, JSON.stringify(body)]).toEqual([503, expect.stringContaining('repeat')]);
    expect(JSON.stringify(body)).not.toContain('store');
    expect(await cloud.statusOfLogin('a', { credentials: { password: PASSWORD } })).toBe(403);
    expect(await act('a', 'block')).toMatchObject({ status: 200 });
    expect(revoke).toHaveBeenCalledTimes(2);
  });

  describe('that only the database says is blocked', () => {
    let blocks: DeviceBlocks;
    beforeEach(async () => {
      // It looks every 10 s.
      cloud.get(DeviceBlocks).onApplicationShutdown();
      // As a request leaves it that ends before it revokes.
      await cloud.get(Database).insertInto('devices').values({ id: 'greenhouse-1', blocked: true }).execute();
    });
    afterEach(() => blocks.onApplicationShutdown());

    function watch(everyMs: number): void {
      blocks = new DeviceBlocks(cloud.get(DeviceAccounts), cloud.fedecks, everyMs);
      blocks.onApplicationBootstrap();
    }

    it('is disconnected when that is seen, and its token is revoked', async () => {
      const device = await cloud.fakeDeviceWithToken('greenhouse-1');
      watch(20);
      expect(await device.closed).toMatchObject({ code: 4150 });
      await expect(cloud.fakeDeviceWithToken('greenhouse-1')).rejects.toMatchObject({ status: 403 });
    });

    it('is disconnected when it comes', async () => {
      watch(1_000_000);
      await eventually(
        () => blocks.wasBlocked('greenhouse-1'),
        (isBlocked) => isBlocked,
      );
      const device = await cloud.fakeDeviceWithToken('greenhouse-1');
      expect(await device.closed).toMatchObject({ code: 4150 });
    });
  });

  it('must be known, or online', async () => {
    for (const action of ['block', 'unblock', 'revoke'])
      expect([action, await act('nobody', action)]).toMatchObject([action, { status: 404 }]);
    for (const action of ['block', 'unblock', 'revoke', 'disconnect'])
      for (const id of ['x'.repeat(126), 'a\0'])
        expect([action, id, await act(id, action)]).toMatchObject([action, id, { status: 400 }]);
    await cloud.connect('greenhouse-1');
    expect(await act('greenhouse-1', 'block')).toMatchObject({ status: 200 });
    expect(await cloud.statusOfLogin('greenhouse-1')).toBe(403);
  });
});

it('revokes the tokens of a device, which logs in again', async () => {
  const { device } = await cloud.connect('greenhouse-1');
  const refused = new Promise((resolve) =>
    device.events$.subscribe(({ type }) => type === 'token_refused' && resolve(type)),
  );
  expect(await act('greenhouse-1', 'revoke')).toEqual({ status: 200, body: { result: 'revoked' } });
  await refused;
  await device.login(CREDENTIALS);
});

it('disconnects a device, which comes back, and says so when it is offline', async () => {
  await cloud.connect('greenhouse-1');
  const since = connectedSince();
  expect(await act('greenhouse-1', 'disconnect')).toEqual({ status: 200, body: { result: 'disconnected' } });
  await cameBack(since);
  expect(await act('greenhouse-2', 'disconnect')).toEqual({ status: 409, body: { result: 'offline' } });
});

(hasPrograms('curl', 'jq') ? describe : describe.skip)('docs/enrolment.md', () => {
  it('enrols 50 devices with the commands that it shows', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'cloud-api-enrolment-'));
    const env = { API_KEY, CLOUD: `http://127.0.0.1:${cloud.port}` };
    const blocks = new ShBlocks(new URL('../docs/enrolment.md', import.meta.url), directory, env);
    await blocks.run('> claims.json');
    const lines = (await readFile(join(directory, 'codes.tsv'), 'utf8')).trim().split('\n');
    const codes = lines.map((line) => line.split('\t') as [id: string, code: string]);
    expect(codes.map(([id]) => id)).toEqual(
      Array.from({ length: 50 }, (_, index) => `greenhouse-${index + 1}`),
    );
    const [[last, code]] = codes.splice(49) as [[string, string]];
    for (const [id, claim] of codes) expect([id, await statusOfClaim(id, claim)]).toEqual([id, 101]);
    expect(await blocks.run('state=open')).toBe(`${last}\n`);
    expect(await statusOfClaim(last, code)).toBe(101);
    await blocks.run('/password');
    expect(await cloud.statusOfLogin('greenhouse-51', { credentials: { password: PASSWORD } })).toBe(101);
    expect(blocks.rest).toEqual([]);
    await rm(directory, { recursive: true });
  });
});

// Always a server: the embedded database is a part of the app.
describe('without its database, cloud-api', () => {
  let server: PostgresServer;
  let api: CloudApi;
  let claim: string;
  let lock: pg.Client;

  beforeAll(async () => (server = await PostgresServer.start(await freePort())));
  beforeEach(async () => {
    const url = await server.createDatabase();
    lock = new pg.Client({ connectionString: url });
    lock.on('error', () => undefined);
    await lock.connect();
    api = await CloudApi.start({ database: { url, directory: '' } });
    const body = JSON.stringify({ devices: ['a'] });
    const made = await api.http('POST', CLAIMS, { body });
    claim = (made.body as { items: NewClaim[] }).items[0]!.code;
    await api.http('PUT', '/api/v1/devices/b/password', { body: JSON.stringify({ password: PASSWORD }) });
  });
  afterEach(async () => {
    await lock.end();
    await api.close();
  });
  afterAll(() => server.close());

  const withClaim = () => api.statusOfLogin('a', { credentials: { claim } });
  const withPassword = () => api.statusOfLogin('b', { credentials: { password: PASSWORD } });

  it.each<[string, () => Promise<unknown>, () => Promise<unknown>]>([
    ['is killed', () => server.kill(), () => server.restart()],
    ['does not answer', () => lock.query('BEGIN; LOCK TABLE devices, claims'), () => lock.query('ROLLBACK')],
  ])(
    'lets devices of the logins file in, and asks the others to wait, when it %s',
    async (_what, stop, start) => {
      await stop();
      // As often as one likes: a login that was not looked at has not failed.
      for (let time = 0; time < 7; time++) {
        expect(await withClaim()).toBe(503);
        expect(await withPassword()).toBe(503);
      }
      for (const kind of ['claim', 'password']) {
        const labels = { kind, outcome: 'unavailable' };
        expect([kind, await api.metric('cloud_device_logins_total', labels)]).toEqual([kind, 7]);
      }
      expect(await api.statusOfLogin('greenhouse-1')).toBe(101);
      expect(await api.statusOfLogin('greenhouse-1', { password: 'wrong' })).toBe(403);
      await start();
      await eventually(withPassword, (status) => status === 101, 20_000);
      await eventually(withClaim, (status) => status === 101, 20_000);
    },
  );

  it('keeps out those that were blocked when it was asked last', async () => {
    expect(await api.http('POST', '/api/v1/devices/a/block')).toMatchObject({ status: 200 });
    await api.writeLogins({ devices: ['*'] });
    await server.kill();
    expect(await api.statusOfLogin('a')).toBe(403);
    expect(await api.statusOfLogin('greenhouse-1')).toBe(101);
    expect(await api.http('POST', '/api/v1/devices/greenhouse-1/block')).toMatchObject({ status: 503 });
  });
});

/** Who may use the app: the first start, operators, sessions, API keys, and the audit. */
import { jest } from '@jest/globals';
import { ActorCache } from '../src/access/actor-cache.js';
import { ApiKeys } from '../src/access/api-keys.js';
import { Sessions } from '../src/access/sessions.js';
import { SetupLinks } from '../src/access/setup-links.js';
import { type Role } from '../src/access/actor.js';
import { Database } from '../src/database/database.js';
import { eventually } from '../../../libs/fedecks/test/support/eventually.js';
import { API_KEY, CloudApi, quickHash } from './support/cloud-api.js';
import { TestDatabase } from './support/test-database.js';
import { Visitor } from './support/visitor.js';

// On the embedded database a start takes seconds, and some tests have three.
jest.setTimeout(120_000);

const PASSWORD = 'correct horse battery';
const OTHER = 'a quite different one';
const HASH = quickHash(PASSWORD);

let cloud: CloudApi;

/** One app for all tests of a block. */
function shareApp(): void {
  beforeAll(async () => (cloud = await CloudApi.start()));
  afterEach(() => cloud.empty());
  afterAll(() => cloud.close());
}

async function addOperator(name: string, role: Role): Promise<void> {
  const operator = { id: crypto.randomUUID(), name, role, password_hash: await HASH };
  await cloud.get(Database).insertInto('operators').values(operator).execute();
}

/** An operator of this role who is logged in. */
async function operator(role: Role, name: string = role): Promise<Visitor> {
  await addOperator(name, role);
  return new Visitor(cloud).logIn(name, PASSWORD);
}

function withKey(key = API_KEY): Visitor {
  return new Visitor(cloud, key);
}

async function newKey(role: Role): Promise<string> {
  return (await cloud.get(ApiKeys).add({ name: `key-${role}`, role, expiresAt: null }, 'test')).key;
}

/** What was audited, the oldest first, as `actor action target status`. */
async function audited(): Promise<string[]> {
  const { body } = await withKey().send('GET', '/api/v1/audit');
  const { items } = body as { items: Record<string, string | number | null>[] };
  return items.reverse().map(({ actor, action, target, status }) => `${actor} ${action} ${target} ${status}`);
}

/** The status of a request with these headers only. */
function withoutOrigin(
  method: string,
  path: string,
  body: unknown,
  headers: Record<string, string>,
): Promise<number> {
  return new Visitor(cloud, 'none').status(method, path, body, { authorization: '', ...headers });
}

// Each with an app of its own.
describe('The first start', () => {
  afterEach(() => cloud.close());

  /** The code of the set-up link in the log. */
  async function codeIn(lines: readonly string[]): Promise<string> {
    const [code] = await eventually(
      () => lines.flatMap((line) => /http:\/\/127\.0\.0\.1:\d+\/setup#(\S{43})$/.exec(line)?.[1] ?? []),
      (codes) => codes.length > 0,
    );
    return code!;
  }
  async function startAtFirst(): Promise<string> {
    const lines: string[] = [];
    cloud = await CloudApi.start({}, lines);
    return codeIn(lines);
  }

  it('logs a link that makes the first admin, once', async () => {
    const code = await startAtFirst();
    const admin = new Visitor(cloud);
    const setup = { code, name: 'Ada', password: PASSWORD };
    const { status, body } = await admin.send('POST', '/api/v1/setup', setup);
    expect([status, body]).toEqual([201, { kind: 'operator', name: 'ada', role: 'admin' }]);
    expect(await admin.status('GET', '/api/v1/operators')).toBe(200);
    expect(await new Visitor(cloud).status('POST', '/api/v1/setup', { ...setup, name: 'eve' })).toBe(403);
    expect(await cloud.get(Database).selectFrom('setup_links').selectAll().execute()).toEqual([]);
    expect(await audited()).toEqual(['ada setup ada 201', 'nobody setup eve 403']);
  });

  it('has one winner of several that use it at once', async () => {
    const code = await startAtFirst();
    const statuses = await Promise.all(
      ['a', 'b', 'c'].map((name) =>
        new Visitor(cloud).status('POST', '/api/v1/setup', { code, name, password: PASSWORD }),
      ),
    );
    expect(statuses.sort()).toEqual([201, 403, 403]);
    expect(await cloud.get(Database).selectFrom('operators').selectAll().execute()).toHaveLength(1);
  });

  it('refuses a wrong code, an expired one, and any once there is an operator', async () => {
    const code = await startAtFirst();
    const setUp = (given: string): Promise<number> =>
      new Visitor(cloud).status('POST', '/api/v1/setup', { code: given, name: 'ada', password: PASSWORD });
    expect(await setUp('x')).toBe(403);
    expect(await setUp('x'.repeat(43))).toBe(403);
    const links = cloud.get(Database).updateTable('setup_links');
    await links.set({ expires_at: new Date(Date.now() - 1) }).execute();
    expect(await setUp(code)).toBe(403);
    await links.set({ expires_at: new Date(Date.now() + 60_000) }).execute();
    await addOperator('ada', 'viewer');
    expect(await setUp(code)).toBe(403);
    expect(await use(code)).toContain('Forbidden');
  });

  it('makes no admin of a link that expires while the password is hashed', async () => {
    const code = await startAtFirst();
    await cloud.get(Database).updateTable('setup_links').set({ expires_at: new Date() }).execute();
    expect(await use(code)).toContain('Forbidden');
  });

  /** What comes of a code that was right a moment ago. */
  async function use(code: string): Promise<unknown> {
    return cloud
      .get(SetupLinks)
      .use(code, 'eve', await HASH)
      .catch(String);
  }

  it('keeps only a hash of the code, and says which request to make at the page of the link', async () => {
    const code = await startAtFirst();
    const rows = await cloud.get(Database).selectFrom('setup_links').selectAll().execute();
    expect(rows).toHaveLength(1);
    expect(Buffer.from(rows[0]!.code_hash).toString('latin1')).not.toContain(code);
    const { status, body, headers } = await new Visitor(cloud).send('GET', '/setup');
    expect([status, headers.get('content-type')]).toEqual([200, 'text/plain; charset=utf-8']);
    expect(body).toContain(`curl http://127.0.0.1:${cloud.port}/api/v1/setup`);
  });

  it('logs no link where there is an operator, and a new one at each start until then', async () => {
    const place = await TestDatabase.create();
    const codes: string[] = [];
    for (let start = 0; start < 2; start++) {
      const lines: string[] = [];
      cloud = await CloudApi.start({ database: place.config }, lines);
      codes.push(await codeIn(lines));
      if (start === 1) await addOperator('ada', 'admin');
      await cloud.close();
    }
    expect(new Set(codes).size).toBe(2);
    const lines: string[] = [];
    cloud = await CloudApi.start({ database: place.config }, lines);
    await cloud.end();
    expect(lines.filter((line) => line.includes('/setup#'))).toEqual([]);
    await cloud.close();
    await place.close();
  });
});

// Each with an app of its own.
describe('A login', () => {
  afterEach(() => cloud.close());

  it('sets a cookie that scripts and other sites cannot use, for 12 hours', async () => {
    cloud = await CloudApi.start();
    await addOperator('ada', 'operator');
    const visitor = new Visitor(cloud);
    const before = Date.now();
    const { status, body, headers } = await visitor.send('POST', '/api/v1/login', {
      name: 'ADA',
      password: PASSWORD,
    });
    expect([status, body]).toEqual([200, { kind: 'operator', name: 'ada', role: 'operator' }]);
    const [pair, ...attributes] = headers.getSetCookie()[0]!.split('; ');
    expect(pair).toMatch(/^fedecks-session=[\w-]{43}$/);
    expect(attributes.sort()).toEqual(['HttpOnly', 'Max-Age=43200', 'Path=/', 'SameSite=Strict']);
    expect(await visitor.send('GET', '/api/v1/me')).toMatchObject({ status: 200, body: { name: 'ada' } });
    const [row] = await cloud.get(Database).selectFrom('sessions').selectAll().execute();
    expect(Buffer.from(row!.token_hash).toString('latin1')).not.toContain(pair!.split('=')[1]);
    const begun = row!.expires_at.getTime() - 12 * 3_600_000;
    expect(begun).toBeGreaterThanOrEqual(before);
    expect(begun).toBeLessThanOrEqual(Date.now());
  });

  it('by HTTPS at a trusted proxy sets a cookie for HTTPS and this host only', async () => {
    cloud = await CloudApi.start({ trustedProxies: ['loopback'] });
    await addOperator('ada', 'viewer');
    const https = { 'x-forwarded-proto': 'https' };
    const login = { name: 'ada', password: PASSWORD };
    const { headers } = await new Visitor(cloud).send('POST', '/api/v1/login', login, https);
    expect(headers.getSetCookie()[0]).toMatch(
      /^__Host-fedecks-session=[\w-]{43}; .*Path=\/; HttpOnly; Secure/,
    );
    const cookie = headers.getSetCookie()[0]!.split(';')[0]!;
    expect(await new Visitor(cloud).status('GET', '/api/v1/me', undefined, { cookie })).toBe(200);
  });

  it('is refused with the same answer for a wrong password and a wrong name, and audited with the name', async () => {
    cloud = await CloudApi.start();
    await addOperator('ada', 'admin');
    const attempt = (name: string, password: string): ReturnType<Visitor['send']> =>
      new Visitor(cloud).send('POST', '/api/v1/login', { name, password });
    const wrong = await attempt('ada', OTHER);
    const unknown = await attempt('EVE', PASSWORD);
    expect([wrong.status, unknown.status]).toEqual([401, 401]);
    expect(unknown.body).toEqual(wrong.body);
    expect(wrong.headers.getSetCookie()).toEqual([]);
    expect(await audited()).toEqual(['nobody login ada 401', 'nobody login eve 401']);
    const rows = await cloud.get(Database).selectFrom('audit').selectAll().execute();
    expect(JSON.stringify(rows)).not.toMatch(/horse|different/);
  });

  it('is refused with 429 after 5 wrong passwords for the name from the address, right or not', async () => {
    cloud = await CloudApi.start({ trustedProxies: ['loopback'] });
    await addOperator('ada', 'admin');
    const attempt = (name: string, password: string, from = '192.0.2.1'): Promise<number> =>
      new Visitor(cloud).status('POST', '/api/v1/login', { name, password }, { 'x-forwarded-for': from });
    const statuses: number[] = [];
    for (let tried = 0; tried < 6; tried++) statuses.push(await attempt('ada', OTHER));
    expect(statuses).toEqual([401, 401, 401, 401, 401, 429]);
    expect(await attempt('ada', PASSWORD)).toBe(429);
    expect(await attempt('ada', PASSWORD, '192.0.2.2')).toBe(200);
    for (const [outcome, count] of [
      ['rejected', 5],
      ['limited', 2],
      ['accepted', 1],
    ] as const)
      expect([outcome, await cloud.metric('cloud_operator_logins_total', { outcome })]).toEqual([
        outcome,
        count,
      ]);
  });

  it('keeps at most 10 failed logins of an address in the audit in 10 s', async () => {
    cloud = await CloudApi.start();
    const attempts = Array.from({ length: 15 }, (_, index) =>
      new Visitor(cloud).status('POST', '/api/v1/login', { name: `eve-${index}`, password: OTHER }),
    );
    await Promise.all(attempts);
    expect(await audited()).toHaveLength(10);
  });
});

describe('A login', () => {
  shareApp();

  it.each([
    ['no body', undefined, 'name'],
    ['a name of another type', { name: { $gt: '' }, password: PASSWORD }, 'name'],
    ['a name with NUL', { name: 'a\0', password: PASSWORD }, 'name'],
    ['a password that is too long', { name: 'ada', password: 'x'.repeat(201) }, 'password'],
    ['an unknown field', { name: 'ada', password: PASSWORD, role: 'admin' }, 'role'],
  ])('with %s is 400, and the answer names the field', async (_what, body, field) => {
    const answer = await new Visitor(cloud).send('POST', '/api/v1/login', body);
    expect([answer.status, JSON.stringify(answer.body)]).toEqual([400, expect.stringContaining(field)]);
    expect(JSON.stringify(answer.body)).not.toContain(PASSWORD);
  });
});

describe('A session', () => {
  shareApp();

  it('ends by logging out, and only that one', async () => {
    const first = await operator('viewer');
    const second = await new Visitor(cloud).logIn('viewer', PASSWORD);
    const { cookie } = first;
    const answer = await first.send('POST', '/api/v1/logout');
    expect(answer.status).toBe(204);
    expect(answer.headers.getSetCookie()[0]).toMatch(/^fedecks-session=; Max-Age=0; /);
    first.cookie = cookie;
    expect(await first.status('GET', '/api/v1/me')).toBe(401);
    expect(await second.status('GET', '/api/v1/me')).toBe(200);
  });

  it('expires', async () => {
    const visitor = await operator('viewer');
    await cloud.get(Database).updateTable('sessions').set({ expires_at: new Date() }).execute();
    cloud.get(ActorCache).clear();
    expect(await visitor.status('GET', '/api/v1/me')).toBe(401);
  });

  it('is the oldest to end when an operator begins the 21st', async () => {
    const first = await operator('viewer');
    const second = await new Visitor(cloud).logIn('viewer', PASSWORD);
    for (let begun = 2; begun < 21; begun++) await new Visitor(cloud).logIn('viewer', PASSWORD);
    expect(await first.status('GET', '/api/v1/me')).toBe(401);
    expect(await second.status('GET', '/api/v1/me')).toBe(200);
    expect(await cloud.get(Database).selectFrom('sessions').selectAll().execute()).toHaveLength(20);
  });

  it('changes nothing for a page of another host, nor without an origin', async () => {
    const admin = await operator('admin');
    const { cookie = '' } = admin;
    const add = async (headers: Record<string, string>): Promise<number> =>
      withoutOrigin(
        'POST',
        '/api/v1/api-keys',
        { name: crypto.randomUUID(), role: 'viewer' },
        { cookie, ...headers },
      );
    expect(await add({})).toBe(403);
    expect(await add({ origin: 'https://evil.example' })).toBe(403);
    expect(await add({ origin: 'null' })).toBe(403);
    expect(await add({ 'sec-fetch-site': 'same-site' })).toBe(403);
    expect(await add({ 'sec-fetch-site': 'cross-site', origin: `http://127.0.0.1:${cloud.port}` })).toBe(403);
    expect(await cloud.get(Database).selectFrom('api_keys').selectAll().execute()).toEqual([]);
    expect(await add({ 'sec-fetch-site': 'same-origin' })).toBe(201);
    expect(await add({ origin: `http://127.0.0.1:${cloud.port}` })).toBe(201);
    expect(await withoutOrigin('GET', '/api/v1/me', undefined, { cookie })).toBe(200);
    const login = { name: 'admin', password: PASSWORD };
    expect(await withoutOrigin('POST', '/api/v1/login', login, { origin: 'https://evil.example' })).toBe(403);
    expect(await withoutOrigin('POST', '/api/v1/login', login, {})).toBe(200);
  });

  it.each<[string, (admin: Visitor) => Promise<number>, number]>([
    [
      'the password is set',
      (admin) => admin.status('PUT', '/api/v1/operators/viewer/password', { password: OTHER }),
      204,
    ],
    [
      'the role changes',
      (admin) => admin.status('PUT', '/api/v1/operators/viewer/role', { role: 'operator' }),
      204,
    ],
    ['the operator is deleted', (admin) => admin.status('DELETE', '/api/v1/operators/viewer'), 204],
  ])('ends at once when %s', async (_what, change, expected) => {
    const visitor = await operator('viewer');
    expect(await visitor.status('GET', '/api/v1/me')).toBe(200);
    expect(await change(withKey())).toBe(expected);
    expect(await visitor.status('GET', '/api/v1/me')).toBe(401);
  });

  it('ends when the operator changes the password in another one, which goes on', async () => {
    const [one, other] = [await operator('viewer'), await new Visitor(cloud).logIn('viewer', PASSWORD)];
    const change = (oldPassword: string, newPassword: string): Promise<number> =>
      one.status('PUT', '/api/v1/me/password', { oldPassword, newPassword });
    expect(await change(OTHER, OTHER)).toBe(401);
    expect(await change(PASSWORD, 'short')).toBe(400);
    expect(await change(PASSWORD, OTHER)).toBe(204);
    expect(await other.status('GET', '/api/v1/me')).toBe(401);
    expect(await one.status('GET', '/api/v1/me')).toBe(200);
    await new Visitor(cloud).logIn('viewer', OTHER);
    expect(
      await new Visitor(cloud).status('POST', '/api/v1/login', { name: 'viewer', password: PASSWORD }),
    ).toBe(401);
  });

  it('does not begin when the password has changed since it was checked', async () => {
    await addOperator('ada', 'viewer');
    const { id } = await cloud.get(Database).selectFrom('operators').select('id').executeTakeFirstOrThrow();
    await expect(cloud.get(Sessions).begin(id, 'the hash of before')).rejects.toThrow('log in again');
    expect(await cloud.get(Database).selectFrom('sessions').selectAll().execute()).toEqual([]);
  });

  it('changes the password once when two change it at once', async () => {
    const visitors = [await operator('viewer'), await new Visitor(cloud).logIn('viewer', PASSWORD)];
    const changes = visitors.map((visitor, index) => {
      const change = { oldPassword: PASSWORD, newPassword: `${OTHER} ${index}` };
      return visitor.status('PUT', '/api/v1/me/password', change);
    });
    const statuses = await Promise.all(changes);
    expect(statuses.filter((status) => status === 204)).toHaveLength(1);
    const winner = statuses.indexOf(204);
    await new Visitor(cloud).logIn('viewer', `${OTHER} ${winner}`);
  });
});

// Each with an app of its own.
describe('A session', () => {
  afterEach(() => cloud.close());

  it('counts by the host that a trusted proxy names', async () => {
    cloud = await CloudApi.start({ trustedProxies: ['loopback'] });
    const { cookie = '' } = await operator('viewer');
    const logOut = (host: string): Promise<number> =>
      withoutOrigin('POST', '/api/v1/logout', undefined, {
        cookie,
        origin: 'https://fleet.example',
        'x-forwarded-host': host,
      });
    expect(await logOut('other.example')).toBe(403);
    expect(await logOut('fleet.example')).toBe(204);
  });

  it('outlives a restart, as do keys and operators', async () => {
    const place = await TestDatabase.create();
    cloud = await CloudApi.start({ database: place.config });
    const { cookie } = await operator('viewer');
    const key = await newKey('operator');
    await cloud.close();
    cloud = await CloudApi.start({ database: place.config });
    const visitor = new Visitor(cloud);
    visitor.cookie = cookie;
    expect(await visitor.status('GET', '/api/v1/me')).toBe(200);
    expect(await withKey(key).status('GET', '/api/v1/me')).toBe(200);
    await new Visitor(cloud).logIn('viewer', PASSWORD);
    await cloud.close();
    await place.close();
  });
});

describe('Operators', () => {
  shareApp();

  it('are added, listed by name in pages, and log in', async () => {
    for (const name of ['bob', 'ada', 'cy']) {
      const answer = await withKey().send('POST', '/api/v1/operators', {
        name,
        role: 'viewer',
        password: PASSWORD,
      });
      expect([answer.status, answer.body]).toEqual([
        201,
        { name, role: 'viewer', createdAt: expect.any(String) as string },
      ]);
    }
    const first = (await withKey().send('GET', '/api/v1/operators?limit=2')).body as { next: string };
    expect(first).toMatchObject({
      items: [{ name: 'ada' }, { name: 'bob' }],
      next: expect.any(String) as string,
    });
    const { body } = await withKey().send('GET', `/api/v1/operators?limit=2&cursor=${first.next}`);
    expect(body).toMatchObject({ items: [{ name: 'cy' }], next: null });
    await new Visitor(cloud).logIn('cy', PASSWORD);
    const again = { name: 'CY', role: 'admin', password: PASSWORD };
    expect(await withKey().status('POST', '/api/v1/operators', again)).toBe(409);
  });

  it('keep one admin, and nobody deletes themselves', async () => {
    const admin = await operator('admin');
    expect(await admin.status('DELETE', '/api/v1/operators/admin')).toBe(409);
    expect(await withKey().status('DELETE', '/api/v1/operators/admin')).toBe(409);
    expect(await admin.status('PUT', '/api/v1/operators/admin/role', { role: 'viewer' })).toBe(409);
    expect(await admin.status('PUT', '/api/v1/operators/admin/password', { password: OTHER })).toBe(409);
    expect(await admin.status('GET', '/api/v1/me')).toBe(200);
    await addOperator('second', 'admin');
    expect(await admin.status('DELETE', '/api/v1/operators/second')).toBe(204);
    expect(await admin.status('DELETE', '/api/v1/operators/second')).toBe(404);
  });

  it('keep one admin when two delete each other at the same time', async () => {
    const [one, two] = [await operator('admin', 'one'), await operator('admin', 'two')];
    const statuses = await Promise.all([
      one.status('DELETE', '/api/v1/operators/two'),
      two.status('DELETE', '/api/v1/operators/one'),
    ]);
    expect(statuses).toContain(204);
    const left = await cloud.get(Database).selectFrom('operators').select('role').execute();
    expect(left).toEqual([{ role: 'admin' }]);
  });

  it.each([
    ['a short password', { password: 'short pass' }, 'password must have at least 12 characters'],
    [
      'the name as password',
      { name: 'some-long-name', password: 'Some-Long-Name' },
      'password must not be the name',
    ],
    ['one character over and over', { password: 'x'.repeat(20) }, 'password must not be one character'],
    ['a name with spaces', { name: 'a b' }, 'name must be 1 to 64'],
    ['an unknown role', { role: 'root' }, 'role must be one of'],
  ])('are not added with %s', async (_what, given, problem) => {
    const operatorDto = { name: 'ada', role: 'viewer', password: PASSWORD, ...given };
    const { status, body } = await withKey().send('POST', '/api/v1/operators', operatorDto);
    expect([status, JSON.stringify(body)]).toEqual([400, expect.stringContaining(problem)]);
  });

  it.each(['%00', '%ED%A0%80', "'%20OR%201=1--", 'x'.repeat(2_000)])(
    'answer 400 at the name %s',
    async (name) => {
      expect(await withKey().status('DELETE', `/api/v1/operators/${name}`)).toBe(400);
    },
  );

  it.each(['limit=0', 'limit=501', 'limit=x', 'cursor=%00', 'cursor=IA', 'page=1', 'limit=1&limit=2'])(
    'answer 400 at the query %s',
    async (query) => {
      for (const path of ['operators', 'api-keys', 'audit'])
        expect(await withKey().status('GET', `/api/v1/${path}?${query}`)).toBe(400);
    },
  );
});

describe('An API key', () => {
  shareApp();
  afterEach(() => jest.restoreAllMocks());

  it('is shown once, works in both headers, and is deleted', async () => {
    const { status, body } = await withKey().send('POST', '/api/v1/api-keys', { name: 'ci', role: 'viewer' });
    const { key } = body as { key: string };
    expect([status, key]).toEqual([201, expect.stringMatching(/^fdk_[\w-]{43}$/)]);
    expect(await withKey(key).send('GET', '/api/v1/me')).toMatchObject({
      body: { kind: 'api_key', name: 'ci', role: 'viewer' },
    });
    const { body: by } = await new Visitor(cloud).send('GET', '/api/v1/me', undefined, { 'x-api-key': key });
    expect(by).toMatchObject({ name: 'ci' });
    const list = await withKey().send('GET', '/api/v1/api-keys');
    expect(list.body).toMatchObject({
      items: [
        { name: 'ci', createdBy: 'API_KEY', expiresAt: null, lastUsedAt: expect.any(String) as string },
      ],
    });
    expect(JSON.stringify(list.body)).not.toContain(key);
    expect(await withKey().status('POST', '/api/v1/api-keys', { name: 'ci', role: 'admin' })).toBe(409);
    expect(await withKey().status('DELETE', '/api/v1/api-keys/ci')).toBe(204);
    expect(await withKey(key).status('GET', '/api/v1/me')).toBe(401);
    expect(await withKey().status('DELETE', '/api/v1/api-keys/ci')).toBe(404);
    expect(await audited()).toEqual([
      'API_KEY api_key.add ci 201',
      'API_KEY api_key.add ci 409',
      'API_KEY api_key.delete ci 204',
      'API_KEY api_key.delete ci 404',
    ]);
  });

  it('has the time when it was used, which is written at most once a minute', async () => {
    const key = await newKey('viewer');
    const keys = cloud.get(Database);
    const use = async (): Promise<number> => {
      cloud.get(ActorCache).clear();
      expect(await withKey(key).status('GET', '/api/v1/me')).toBe(200);
      const row = await keys.selectFrom('api_keys').select('last_used_at').executeTakeFirstOrThrow();
      return row.last_used_at?.getTime() ?? NaN;
    };
    const first = await use();
    expect(await use()).toBe(first);
    await keys
      .updateTable('api_keys')
      .set({ last_used_at: new Date(first - 61_000) })
      .execute();
    expect(await use()).toBeGreaterThanOrEqual(first);
  });

  it('expires to the moment, although it is cached', async () => {
    const expiresAt = Date.now() + 3_600_000;
    const add = { name: 'ci', role: 'viewer', expiresAt: new Date(expiresAt).toISOString() };
    const { key } = (await withKey().send('POST', '/api/v1/api-keys', add)).body as { key: string };
    const status = (): Promise<number> => withKey(key).status('GET', '/api/v1/me');
    // The clock of the cache stands still, and its app believes that the key expires in a second.
    let clock = 0;
    const cache = cloud.get(ActorCache);
    const find = cache.find.bind(cache);
    jest.spyOn(cache, 'find').mockImplementation((hash, lookUp) => find(hash, lookUp, clock));
    const now = jest.spyOn(Date, 'now').mockReturnValue(expiresAt - 1_000);
    expect(await status()).toBe(200);
    now.mockRestore();
    await cloud.get(Database).updateTable('api_keys').set({ expires_at: new Date() }).execute();
    clock = 999;
    expect(await status()).toBe(200);
    // A cache of 5 s would say so for longer.
    clock = 1_000;
    expect(await status()).toBe(401);
  });

  it.each(['yesterday', '2020-01-01T00:00:00Z', '+012345-01-01T00:00:00Z', 5])(
    'is not added to expire at %s',
    async (expiresAt) => {
      const { status, body } = await withKey().send('POST', '/api/v1/api-keys', {
        name: 'ci',
        role: 'viewer',
        expiresAt,
      });
      expect([status, JSON.stringify(body)]).toEqual([400, expect.stringContaining('expiresAt')]);
    },
  );

  it('that is wrong is refused although the cookie beside it is good', async () => {
    const { cookie = '' } = await operator('admin');
    expect(await withKey('fdk_wrong').status('GET', '/api/v1/me', undefined, { cookie })).toBe(401);
  });

  it('has no password to change, and no session to end', async () => {
    const change = { oldPassword: PASSWORD, newPassword: OTHER };
    expect(await withKey().status('PUT', '/api/v1/me/password', change)).toBe(400);
    expect(await withKey().status('POST', '/api/v1/logout')).toBe(204);
  });

  it('of any role sees the metrics and the details of health', async () => {
    const viewer = withKey(await newKey('viewer'));
    expect(await viewer.status('GET', '/metrics')).toBe(200);
    expect(await viewer.send('GET', '/health/ready')).toMatchObject({
      body: { details: { process: { status: 'up' } } },
    });
    expect((await new Visitor(cloud).send('GET', '/health/ready')).body).toEqual({ status: 'ok' });
  });
});

describe('The live stream', () => {
  shareApp();

  it('is open to a viewer by key, and closed when the key is deleted', async () => {
    const { shown, closed } = cloud.watch({ authorization: `Bearer ${await newKey('viewer')}` });
    expect(await shown.next()).toMatchObject({ event: 'devices' });
    expect(await withKey().status('DELETE', '/api/v1/api-keys/key-viewer')).toBe(204);
    expect(await closed.next()).toMatchObject({ code: 1008 });
  });

  it('is open to a page of this host by cookie, and to none of another host', async () => {
    const viewer = await operator('viewer');
    const { cookie = '' } = viewer;
    expect(await cloud.watch({ cookie }).refused.next()).toBe(403);
    expect(await cloud.watch({ cookie, origin: 'https://evil.example' }).refused.next()).toBe(403);
    const forwarded = { 'x-forwarded-host': 'evil.example' };
    expect(await cloud.watch({ cookie, origin: 'https://evil.example', ...forwarded }).refused.next()).toBe(
      403,
    );
    const origin = `http://127.0.0.1:${cloud.port}`;
    const { shown, closed } = cloud.watch({ cookie, origin });
    expect(await shown.next()).toMatchObject({ event: 'devices' });
    expect(await viewer.status('POST', '/api/v1/logout')).toBe(204);
    expect(await closed.next()).toMatchObject({ code: 1008 });
    expect(await cloud.watch({ cookie, origin }).refused.next()).toBe(401);
  });
});

describe('The audit', () => {
  shareApp();

  it('is filtered by actor, action, target and time, and paged, the newest first', async () => {
    const admin = await operator('admin');
    for (const name of ['a', 'b']) await admin.status('POST', '/api/v1/api-keys', { name, role: 'viewer' });
    await withKey().status('DELETE', '/api/v1/api-keys/a');
    const list = async (query: string): Promise<unknown[]> => {
      const { body } = await withKey().send('GET', `/api/v1/audit?${query}`);
      return (body as { items: { action: string; target: string }[] }).items.map(
        ({ action, target }) => `${action} ${target}`,
      );
    };
    expect(await list('actor=admin')).toEqual(['api_key.add b', 'api_key.add a', 'login admin']);
    expect(await list('target=a')).toEqual(['api_key.delete a', 'api_key.add a']);
    expect(await list('action=api_key.add&target=a')).toEqual(['api_key.add a']);
    expect(await list(`since=${new Date(Date.now() + 60_000).toISOString()}`)).toEqual([]);
    expect(await list(`until=${new Date(Date.now() + 60_000).toISOString()}`)).toHaveLength(4);
    const first = (await withKey().send('GET', '/api/v1/audit?limit=3')).body as {
      items: object[];
      next: string;
    };
    expect(first.items[0]).toEqual({
      id: expect.any(Number) as number,
      at: expect.any(String) as string,
      actor: 'API_KEY',
      actorKind: 'environment',
      address: '127.0.0.1',
      action: 'api_key.delete',
      target: 'a',
      details: null,
      status: 204,
    });
    expect(await list(`limit=3&cursor=${first.next}`)).toEqual(['login admin']);
  });

  it('keeps what a refused body says, cut, and without what Postgres cannot keep', async () => {
    const role = {
      deep: { deeper: { deepest: { end: 1 } } },
      nul: '\0',
      half: '\ud800',
      long: 'x'.repeat(1_000),
    };
    expect(await withKey().status('POST', '/api/v1/operators', { name: `a\0${'b'.repeat(999)}`, role })).toBe(
      400,
    );
    const [row] = await cloud.get(Database).selectFrom('audit').selectAll().execute();
    expect(row!.target).toBe(`a\ufffd${'b'.repeat(254)}`);
    expect(row!.details).toEqual({
      role: {
        deep: { deeper: { deepest: '...' } },
        nul: '\ufffd',
        half: '\ufffd',
        long: `${'x'.repeat(256)}...`,
      },
    });
  });
});

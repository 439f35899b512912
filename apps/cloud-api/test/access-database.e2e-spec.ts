/** Who may use the app while the database is away. */
import { hashPassword } from '../src/devices/password.js';
import { ActorCache } from '../src/access/actor-cache.js';
import { ApiKeys } from '../src/access/api-keys.js';
import { Database } from '../src/database/database.js';
import { eventually } from '../../../libs/fedecks/test/support/eventually.js';
import { freePort } from '../../../libs/fedecks/test/support/free-port.js';
import { API_KEY, CloudApi } from './support/cloud-api.js';
import { PostgresServer } from './support/postgres-server.js';
import { Visitor } from './support/visitor.js';

const PASSWORD = 'correct horse battery';

let server: PostgresServer;
let cloud: CloudApi;
const log: string[] = [];
beforeAll(async () => {
  server = await PostgresServer.start(await freePort());
  cloud = await CloudApi.start({ database: { url: server.url, directory: '' } }, log);
}, 60_000);
afterAll(async () => {
  await cloud.close();
  await server.close();
});

it('lets the key of the environment work while the database is away, and answers 503 to others', async () => {
  const { key } = await cloud.get(ApiKeys).add({ name: 'ci', role: 'admin', expiresAt: null }, 'test');
  const operator = { id: crypto.randomUUID(), name: 'ada', role: 'admin' as const };
  const row = { ...operator, password_hash: await hashPassword(PASSWORD) };
  await cloud.get(Database).insertInto('operators').values(row).execute();
  const ada = await new Visitor(cloud).logIn('ada', PASSWORD);
  const login = { name: 'ada', password: PASSWORD };

  await server.kill();
  cloud.get(ActorCache).clear();
  const environment = new Visitor(cloud, API_KEY);
  expect(await environment.status('GET', '/api/v1/openapi.json')).toBe(200);
  expect(await environment.status('GET', '/metrics')).toBe(200);
  expect(await environment.status('GET', '/api/v1/me')).toBe(200);
  expect(await environment.status('GET', '/api/v1/operators')).toBe(503);
  expect(await cloud.watch().shown.next()).toMatchObject({ event: 'devices' });
  for (const path of ['/api/v1/devices', '/metrics', '/api/v1/me']) {
    expect(await new Visitor(cloud, key).status('GET', path)).toBe(503);
    expect(await ada.status('GET', path)).toBe(503);
  }
  expect(await cloud.watch({ 'x-api-key': key }).refused.next()).toBe(503);
  const health = await new Visitor(cloud, key).send('GET', '/health/ready');
  expect([health.status, health.body]).toEqual([200, { status: 'ok' }]);
  expect(await new Visitor(cloud).status('POST', '/api/v1/login', login)).toBe(503);
  expect(await cloud.metric('cloud_operator_logins_total', { outcome: 'unavailable' })).toBe(1);
  // What was done is logged where it cannot be kept.
  expect(await environment.status('POST', '/api/v1/logout')).toBe(204);
  const lost = log.filter((line) => line.startsWith('Not kept in the audit'));
  expect(lost).toEqual([
    expect.stringMatching(/nobody at 127\.0\.0\.1 did login to "ada" with status 503: /),
    expect.stringMatching(/API_KEY at 127\.0\.0\.1 did logout with status 204: /),
  ]);
  expect(log.join()).not.toContain(PASSWORD);

  await server.restart();
  await eventually(
    () => ada.status('GET', '/api/v1/me'),
    (status) => status === 200,
  );
  expect(await new Visitor(cloud).status('POST', '/api/v1/login', login)).toBe(200);
}, 60_000);

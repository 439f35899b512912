/** What each route answers while the database is away: 503 with a message, soon, or what it can without. */
import { randomUUID } from 'node:crypto';
import { freePort } from '../../../libs/fedecks/test/support/free-port.js';
import { API_KEY, CloudApi } from './support/cloud-api.js';
import { type Operation, operationsOf } from './support/operations.js';
import { PostgresServer } from './support/postgres-server.js';

const ID = 'greenhouse-1';
/** It is disconnected while others are asked. */
const OTHER = 'greenhouse-2';
const PASSWORD = 'correct horse battery';
/** A hung request fails the test. The app answers within 15 s; a busy machine takes longer. */
const HUNG_MS = 30_000;
/** What these answer without the database. */
const NEEDS_NONE: Readonly<Record<string, number>> = {
  Agent_log: 200,
  Agent_restart: 204,
  DeviceAccess_disconnect: 200,
  Messages_push: 200,
  Messages_request: 200,
  Session_changePassword: 400,
  Session_logOut: 204,
  Session_me: 200,
  Session_session: 200,
};
/** Bodies that are right, so that only the database is in the way. */
const BODIES: Readonly<Record<string, unknown>> = {
  ApiKeys_add: { name: 'ci', role: 'viewer' },
  Bulk_run: { select: { all: true }, action: { type: 'unblock' } },
  Claims_create: { count: 1 },
  Deliveries_changeSettings: { telemetryIntervalMs: 60_000 },
  Deliveries_deliver: { event: 'update' },
  DeviceAccess_setPassword: { password: PASSWORD },
  Devices_add: { id: 'greenhouse-3' },
  Devices_change: { name: 'By the gate' },
  Messages_broadcast: { tags: ['north'], message: 1 },
  Messages_push: { event: 'ping' },
  Messages_request: { event: 'ping' },
  Operators_add: { name: 'ada', role: 'viewer', password: PASSWORD },
  Operators_setPassword: { password: PASSWORD },
  Operators_setRole: { role: 'viewer' },
  Session_changePassword: { oldPassword: PASSWORD, newPassword: `${PASSWORD}!` },
  Session_logIn: { name: 'ada', password: PASSWORD },
  Session_setUp: { code: 'x'.repeat(43), name: 'ada', password: PASSWORD },
};

let server: PostgresServer;
let cloud: CloudApi;
let operations: readonly Operation[];
/** Of a delivery that waits. */
let location: string;
beforeAll(async () => {
  server = await PostgresServer.start(await freePort());
  cloud = await CloudApi.start({ database: { url: server.url, directory: '' } });
  operations = await operationsOf(cloud);
  const kept = await cloud.http('POST', '/api/v1/devices/away/deliveries', { body: '{"event":"update"}' });
  location = kept.location!;
  const { device } = await cloud.connect(ID);
  device.onRequest('ping', () => 'pong');
  device.onRequest('restart', () => undefined);
  device.onRequest('logs', async function* () {
    yield 'started';
  });
}, 60_000);
afterAll(async () => {
  await cloud.close();
  await server.close();
});

/** Sends a request that would work, and returns status and text of its answer; as text alone why there is none. */
async function send({ operationId, method, path }: Operation): Promise<[number, string] | string> {
  const deviceId = operationId === 'DeviceAccess_disconnect' ? OTHER : ID;
  const target = path
    .replace('{name}', 'ada')
    .replace('/api/v1/deliveries/{id}', location)
    .replace('devices/{id}', `devices/${deviceId}`)
    .replace('{id}', randomUUID())
    .replace(/readings$/, '$&?metric=celsius');
  const body = BODIES[operationId];
  try {
    const response = await fetch(`http://127.0.0.1:${cloud.port}${target}`, {
      method,
      headers: { 'x-api-key': API_KEY, 'content-type': 'application/json' },
      signal: AbortSignal.timeout(HUNG_MS),
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    return [response.status, await response.text()];
  } catch (error) {
    return String(error);
  }
}

/** All at once: together they take no longer than the slowest. */
async function expectAllToAnswer(): Promise<void> {
  await cloud.fakeDeviceWithToken(OTHER);
  const answers = await Promise.all(
    operations.map(async (each) => [each.operationId, await send(each)] as const),
  );
  expect(answers.length).toBeGreaterThan(40);
  for (const [id, answer] of answers) {
    const status = NEEDS_NONE[id] ?? 503;
    const text: unknown = status === 503 ? expect.stringMatching(/"message":"[^"]{20,}"/) : expect.anything();
    expect([id, answer]).toEqual([id, [status, text]]);
    // Neither where the database is, nor what the driver says.
    expect([id, JSON.stringify(answer)]).not.toEqual([
      id,
      expect.stringMatching(/127\.0\.0\.1|ECONN|pg|timeout/),
    ]);
  }
}

it('is so while it is killed', async () => {
  await server.kill();
  await expectAllToAnswer().finally(() => server.restart());
}, 60_000);

it('is so while it is frozen, and over when it takes new connections, whatever became of the old ones', async () => {
  const all = Array.from({ length: 20 }, () => cloud.http('GET', '/api/v1/devices'));
  expect((await Promise.all(all)).map(({ status }) => status)).toEqual(Array(20).fill(200));
  server.freeze();
  await expectAllToAnswer();
  server.thaw({ connections: false });
  expect(await cloud.http('GET', '/api/v1/devices')).toMatchObject({ status: 200 });
}, 90_000);

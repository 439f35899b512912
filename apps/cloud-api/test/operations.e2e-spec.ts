/** What operators and their tools ask of a running app: metrics, health, limits and headers. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { GUARDS_METADATA } from '@nestjs/common/constants.js';
import { ModulesContainer } from '@nestjs/core';
import { tuple } from '@fedecks/nest/wire';
import { eventually } from '../../../libs/fedecks/test/support/eventually.js';
import { RateLimitGuard } from '../src/operations/rate-limit.guard.js';
import { MetricsServer } from '../src/operations/metrics-server.js';
import { API_KEY, CloudApi } from './support/cloud-api.js';

const KEY = { 'x-api-key': API_KEY };

let cloud: CloudApi;
afterEach(() => cloud.close());

function get(path: string, headers: Record<string, string> = {}, port = cloud.port): Promise<Response> {
  return fetch(`http://127.0.0.1:${port}${path}`, { headers });
}

/** The value of a line of metrics. */
function valueOf(text: string, line: string): number | undefined {
  const found = text.split('\n').find((each) => each.startsWith(`${line} `));
  return found === undefined ? undefined : Number(found.split(' ').at(-1));
}

describe('GET /metrics', () => {
  it('shows what devices and operators did, in the format of Prometheus', async () => {
    cloud = await CloudApi.start();
    const { device, received } = await cloud.connect('greenhouse-1');
    await device.send(tuple('hello', null));
    await received.next();
    expect(await cloud.statusOfLogin('greenhouse-2', { password: 'wrong' })).toBe(403);
    const strange: Record<string, string>[] = [{ claim: 'wrong' }, { pin: '1234' }];
    for (const credentials of strange)
      expect(await cloud.statusOfLogin('greenhouse-2', { credentials })).toBe(403);
    await (await cloud.fakeDeviceWithToken('greenhouse-2')).disconnect();
    await cloud.http('POST', '/api/v1/login', { body: '{"name":"nobody","password":"wrong"}' });
    await cloud.http('POST', '/api/v1/devices/greenhouse-1/messages', { body: '[1]' });
    await cloud.http('POST', '/api/v1/devices/nobody/messages', { body: '[1]' });
    const response = await get('/metrics', KEY);
    expect(response.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/);
    const text = await response.text();
    const lines: [string, number][] = [
      ['fedecks_upgrades_total{endpoint="/fedecks",status="101",presented="credentials"}', 1],
      ['fedecks_upgrades_total{endpoint="/fedecks",status="101",presented="token"}', 1],
      ['fedecks_upgrades_total{endpoint="/fedecks",status="403",presented="credentials"}', 3],
      ['cloud_device_logins_total{kind="password",outcome="accepted"}', 1],
      ['cloud_device_logins_total{kind="password",outcome="rejected"}', 1],
      ['cloud_device_logins_total{kind="claim",outcome="rejected"}', 1],
      ['cloud_device_logins_total{kind="claim",outcome="accepted"}', 0],
      ['cloud_device_logins_total{kind="other",outcome="rejected"}', 1],
      ['cloud_operator_logins_total{outcome="rejected"}', 1],
      ['cloud_operator_logins_total{outcome="unavailable"}', 0],
      ['fedecks_messages_received_total{endpoint="/fedecks",handler="DeviceLog.hello"}', 1],
      ['fedecks_handler_seconds_count{endpoint="/fedecks",handler="DeviceLog.hello"}', 1],
      ['fedecks_pushes_total{endpoint="/fedecks",result="sent"}', 1],
      ['fedecks_pushes_total{endpoint="/fedecks",result="offline"}', 1],
      ['cloud_devices_connected', 1],
      ['cloud_devices_offline', 0],
      ['cloud_backplane_up', 1],
      ['cloud_http_request_seconds_count{method="POST",status="200"}', 1],
      ['cloud_http_request_seconds_count{method="POST",status="409"}', 1],
    ];
    for (const [line, value] of lines) expect([line, valueOf(text, line)]).toEqual([line, value]);
  });

  it('has nothing that a device chooses', async () => {
    cloud = await CloudApi.start();
    await cloud.writeLogins({ devices: ['*'] });
    const { device, received } = await cloud.connect('an-unusual-id');
    await device.send(tuple('an-unusual-event', 'an-unusual-payload'));
    await device.send(tuple('hello', null));
    await received.next();
    await cloud.http('POST', '/api/v1/devices/an-unusual-id/messages', { body: '[1]' });
    expect(await (await get('/metrics', KEY)).text()).not.toContain('unusual');
  });

  it('answers 401 without the API key, and shows nothing', async () => {
    cloud = await CloudApi.start();
    const response = await get('/metrics');
    expect(response.status).toBe(401);
    expect(await response.text()).not.toContain('fedecks_');
  });

  it('needs no API key on a port of its own, where there is nothing else', async () => {
    cloud = await CloudApi.start({ operations: { metricsPort: 0 } });
    const port = cloud.get(MetricsServer).listeningPort;
    expect(await (await get('/metrics', {}, port)).text()).toContain('\ncloud_devices_connected 0\n');
    expect((await get('/api/v1/devices', KEY, port)).status).toBe(404);
    expect((await fetch(`http://127.0.0.1:${port}/metrics`, { method: 'POST' })).status).toBe(404);
  });
});

describe('GET /health', () => {
  it('is live and ready without an API key, and says no more', async () => {
    cloud = await CloudApi.start();
    for (const path of ['/health/live', '/health/ready']) {
      const response = await get(path);
      expect([response.status, await response.json()]).toEqual([200, { status: 'ok' }]);
    }
  });

  it('has details with the API key', async () => {
    cloud = await CloudApi.start();
    const details = { process: { status: 'up' }, fedecks: { status: 'up' } };
    expect(await (await get('/health/ready', KEY)).json()).toMatchObject({ status: 'ok', details });
  });

  it('has no details for an address that asks too often with a key, and still says whether it is ready', async () => {
    cloud = await CloudApi.start({ operations: { requestsPerMinute: 1 } });
    expect(await (await get('/health/ready', KEY)).json()).toHaveProperty('details');
    const limited = await get('/health/ready', KEY);
    expect([limited.status, await limited.json()]).toEqual([200, { status: 'ok' }]);
  });

  it('is not ready while a NATS server is missing, and is live', async () => {
    cloud = await CloudApi.start({ natsServers: ['nats://127.0.0.1:1'] });
    const response = await get('/health/ready');
    expect([response.status, await response.json()]).toEqual([503, { status: 'error' }]);
    expect((await get('/health/live')).status).toBe(200);
    expect(await (await get('/metrics', KEY)).text()).toContain('\ncloud_backplane_up 0\n');
  });

  it('is not ready before the devices are closed', async () => {
    // So long is the time to see it.
    cloud = await CloudApi.start({ operations: { drainDelayMs: 4_000 } });
    await cloud.connect('greenhouse-1');
    const ending = cloud.end();
    await eventually(
      async () => (await get('/health/ready')).status,
      (status) => status === 503,
    );
    expect((await get('/health/live')).status).toBe(200);
    expect(cloud.fedecks.devices()).toHaveLength(1);
    await ending;
    expect(cloud.fedecks.devices()).toHaveLength(0);
  });
});

it('ends although a browser holds a connection on which it has asked nothing', async () => {
  cloud = await CloudApi.start();
  const unused = connect(cloud.port, '127.0.0.1');
  await once(unused, 'connect');
  const closed = once(unused, 'close');
  await cloud.end();
  await closed;
});

describe('the HTTP API', () => {
  it('answers 429 to an address that asks too often, and when to come back', async () => {
    cloud = await CloudApi.start({ operations: { requestsPerMinute: 3 } });
    const statuses: number[] = [];
    for (const headers of [{}, KEY, KEY, KEY, KEY])
      statuses.push((await get('/api/v1/devices', headers)).status);
    expect(statuses).toEqual([401, 200, 200, 429, 429]);
    const refused = await get('/metrics', KEY);
    expect(refused.status).toBe(429);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(Number(refused.headers.get('retry-after'))).toBeLessThanOrEqual(60);
    expect((await get('/health/ready')).status).toBe(200);
  });

  it('counts requests by the address that a trusted proxy names', async () => {
    cloud = await CloudApi.start({ trustedProxies: ['loopback'], operations: { requestsPerMinute: 1 } });
    const from = async (address: string): Promise<number> =>
      (await get('/api/v1/devices', { ...KEY, 'x-forwarded-for': address })).status;
    expect(await from('192.0.2.1')).toBe(200);
    expect(await from('192.0.2.1')).toBe(429);
    expect(await from('192.0.2.2')).toBe(200);
    expect(await from('2001:db8::1')).toBe(200);
    expect(await from('2001:db8::2')).toBe(429);
  });

  it('does not count by an address that a stranger names', async () => {
    cloud = await CloudApi.start({ operations: { requestsPerMinute: 1 } });
    const from = async (address: string): Promise<number> =>
      (await get('/api/v1/devices', { ...KEY, 'x-forwarded-for': address })).status;
    expect([await from('192.0.2.1'), await from('192.0.2.2')]).toEqual([200, 429]);
  });

  it('does not limit what devices send', async () => {
    cloud = await CloudApi.start({ operations: { requestsPerMinute: 1 } });
    const { device, received } = await cloud.connect('greenhouse-1');
    for (let sent = 0; sent < 10; sent++) await device.send(tuple('hello', sent));
    for (let seen = 0; seen < 10; seen++) await received.next();
  });

  it('has the headers that browsers heed, and does not name its framework', async () => {
    cloud = await CloudApi.start();
    const { headers } = await get('/api/v1/devices', KEY);
    expect(headers.get('content-security-policy')).toContain("default-src 'none'");
    expect(headers.get('strict-transport-security')).toContain('max-age=');
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    expect(headers.get('x-frame-options')).toBe('SAMEORIGIN');
    expect(headers.get('x-powered-by')).toBeNull();
  });

  it.each([
    ['a path that cannot be decoded', 'GET /api/v1/devices/%E0%A4%A/x HTTP/1.1\r\n'],
    [
      'a body that is no JSON',
      'POST /api/v1/devices/x/messages HTTP/1.1\r\nContent-Type: application/json\r\n',
    ],
    ['a path that does not exist', 'GET /nowhere HTTP/1.1\r\n'],
  ])('answers %s with 4xx, and no stack', async (_what, head) => {
    cloud = await CloudApi.start();
    const socket = connect(cloud.port, '127.0.0.1');
    socket.write(
      `${head}Host: x\r\nX-Api-Key: ${API_KEY}\r\nContent-Length: 4\r\nConnection: close\r\n\r\n{{{{`,
    );
    let answer = '';
    socket.on('data', (chunk: Buffer) => (answer += chunk.toString()));
    await once(socket, 'close');
    expect(answer).toMatch(/^HTTP\/1\.1 4\d\d /);
    expect(answer).not.toMatch(/node_modules|\.[jt]s:\d|\n\s+at /);
  });
});

it('limits the requests to each controller but that of health, before anything else is looked at', async () => {
  cloud = await CloudApi.start();
  const controllers = [...cloud.get(ModulesContainer).values()].flatMap((module) =>
    [...module.controllers.values()].flatMap(({ metatype }) => (metatype ? [metatype] : [])),
  );
  const unlimited = controllers.filter((controller) => {
    const guards = (Reflect.getMetadata(GUARDS_METADATA, controller) ?? []) as unknown[];
    return guards[0] !== RateLimitGuard;
  });
  expect(controllers.length).toBeGreaterThan(2);
  expect(unlimited.map(({ name }) => name)).toEqual(['HealthController']);
});

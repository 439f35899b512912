/** What a webhook is told of devices that go offline and come back. */
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import { type AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Inbox } from '../../../libs/fedecks/test/support/inbox.js';
import { API_KEY, CloudApi } from './support/cloud-api.js';

const SECRET = 'a-secret-of-the-webhook-0123456789';

interface Received {
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

interface Told {
  readonly id: string;
  readonly events: readonly { readonly type: string; readonly deviceId: string; readonly since: string }[];
}

let cloud: CloudApi;
let server: Server;
let requests: Inbox<Received>;
/** The statuses of the next answers; then 204. */
let statuses: number[];

beforeEach(async () => {
  requests = new Inbox<Received>('request to the webhook');
  statuses = [];
  server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => {
      const status = statuses.shift() ?? 204;
      response.writeHead(status, status === 302 ? { location: '/elsewhere' } : {}).end();
      requests.put({ headers: request.headers, body });
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
});
afterEach(async () => {
  await cloud.close();
  server.close();
  server.closeAllConnections();
});

async function start(offlineGraceMs: number): Promise<void> {
  const { port } = server.address() as AddressInfo;
  cloud = await CloudApi.start({
    operations: { offlineGraceMs, webhook: { url: `http://127.0.0.1:${port}/hook`, secret: SECRET } },
  });
}

function told({ body }: Received): Told {
  return JSON.parse(body) as Told;
}

async function metrics(): Promise<string> {
  const headers = { 'x-api-key': API_KEY };
  return (await fetch(`http://127.0.0.1:${cloud.port}/metrics`, { headers })).text();
}

describe('the webhook', () => {
  it('is told, with a signature, that a device went offline, and that it came back', async () => {
    await start(100);
    const { device } = await cloud.connect('greenhouse-1');
    const before = Date.now();
    await device.stop();
    const offline = await requests.next();
    const { 'x-fedecks-timestamp': timestamp, 'x-fedecks-signature': signature } = offline.headers;
    const expected = createHmac('sha256', SECRET)
      .update(`${String(timestamp)}.${offline.body}`)
      .digest('hex');
    expect(signature).toBe(`sha256=${expected}`);
    expect(Math.abs(Number(timestamp) * 1_000 - Date.now())).toBeLessThan(10_000);
    expect(told(offline)).toEqual({
      id: offline.headers['x-fedecks-delivery'],
      events: [
        {
          type: 'device.offline',
          deviceId: 'greenhouse-1',
          since: expect.any(String) as string,
          cause: 'closed_by_device',
        },
      ],
    });
    const since = told(offline).events[0]!.since;
    expect(Date.parse(since)).toBeGreaterThanOrEqual(before);
    expect(await metrics()).toContain('\ncloud_devices_offline 1\n');

    await cloud.connect('greenhouse-1');
    const online = await requests.next();
    expect(told(online).events).toMatchObject([{ type: 'device.online', deviceId: 'greenhouse-1', since }]);
    expect(await metrics()).toContain('\ncloud_devices_offline 0\n');
  });

  it('is told nothing of a device that comes back within the grace time', async () => {
    // Longer than a busy machine stands still: after such a time the device would be late indeed.
    await start(6_000);
    const { device } = await cloud.connect('greenhouse-1');
    await device.stop();
    await cloud.connect('greenhouse-1');
    const other = await cloud.connect('greenhouse-2');
    await other.device.stop();
    // The first to leave would be told first, or together with the other.
    expect(told(await requests.next(20_000)).events).toMatchObject([{ deviceId: 'greenhouse-2' }]);
    expect(requests.size).toBe(0);
  });

  it('is told again when it fails twice, with the same id, and counts that', async () => {
    await start(0);
    statuses = [500, 302];
    const { device } = await cloud.connect('greenhouse-1');
    await device.stop();
    const all = [await requests.next(), await requests.next(), await requests.next()];
    expect(new Set(all.map(({ body }) => body)).size).toBe(1);
    expect(new Set(all.map(({ headers }) => headers['x-fedecks-delivery'])).size).toBe(1);
    await sleep(300);
    expect(requests.size).toBe(0);
    const text = await metrics();
    expect(text).toContain('\ncloud_webhook_failures_total 2\n');
    expect(text).toContain('\ncloud_webhook_events_total{result="delivered"} 1\n');
    expect(text).toContain('\ncloud_webhook_queued 0\n');
  });

  it('does not hold up the end of the app, and what it was not told is logged', async () => {
    await start(0);
    statuses = Array<number>(20).fill(500);
    const { device } = await cloud.connect('greenhouse-1');
    await device.stop();
    await requests.next();
    const lines = cloud.recordLog();
    await cloud.close();
    expect(lines).toContain('1 events for the webhook were dropped: the app ends');
    // All 8 requests take half a minute.
    expect(20 - statuses.length).toBeLessThan(8);
    cloud = await CloudApi.start();
  });
});

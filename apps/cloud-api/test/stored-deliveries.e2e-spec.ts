import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { tuple } from '@fedecks/nest/wire';
import { eventually } from '../../../libs/fedecks/test/support/eventually.js';
import { freePort } from '../../../libs/fedecks/test/support/free-port.js';
import { NatsServer } from '../../../libs/fedecks/test/support/nats-server.js';
import { CloudApi } from './support/cloud-api.js';
import { PostgresServer } from './support/postgres-server.js';
import { TestDatabase } from './support/test-database.js';

const ID = 'greenhouse-1';

async function deliver(cloud: CloudApi): Promise<string> {
  const path = `/api/v1/devices/${ID}/deliveries`;
  const body = JSON.stringify({ event: 'update', payload: { version: 7 } });
  const { status, location } = await cloud.http('POST', path, { body });
  expect(status).toBe(202);
  return location!;
}

describe('The deliveries of cloud-api over a restart', () => {
  let place: TestDatabase;
  let cloud: CloudApi;
  afterEach(async () => {
    await cloud.close();
    await place.close();
  });

  it('wait in the database, and are done when the device comes', async () => {
    place = await TestDatabase.create();
    cloud = await CloudApi.start({ database: place.config });
    const location = await deliver(cloud);
    await cloud.close();
    cloud = await CloudApi.start({ database: place.config });
    expect(await cloud.http('GET', location)).toMatchObject({ status: 200, body: { state: 'queued' } });
    const device = await cloud.fakeDevice(ID);
    const delivery = await device.nextDelivery();
    expect(delivery).toMatchObject({ event: 'update', payload: { version: 7 } });
    delivery.handled(tuple('installed', 7));
    const id = decodeURIComponent(location.slice('/api/v1/deliveries/'.length));
    await (await cloud.fedecks.deliveries.get(id))!.final;
    await device.disconnect();
    await cloud.close();
    cloud = await CloudApi.start({ database: place.config });
    const done = { state: 'done', attempts: 1, result: ['installed', 7] };
    expect(await cloud.http('GET', location)).toMatchObject({ status: 200, body: done });
  }, 60_000);

  it('wait in the database also with NATS, which may have forgotten everything', async () => {
    // An embedded database is of one node: with NATS, that keeps what all nodes need.
    place = await TestDatabase.create({ kind: 'postgres' });
    const nats = await NatsServer.start();
    const another = await NatsServer.start();
    try {
      cloud = await CloudApi.start({ database: place.config, natsServers: [nats.url] });
      const location = await deliver(cloud);
      await cloud.close();
      cloud = await CloudApi.start({ database: place.config, natsServers: [another.url] });
      expect(await cloud.http('GET', location)).toMatchObject({ status: 200, body: { state: 'queued' } });
    } finally {
      await cloud.end();
      await nats.close();
      await another.close();
    }
  }, 60_000);
});

describe('The deliveries of two nodes, each with an embedded database of its own', () => {
  it('reach the device at whichever node', async () => {
    const nats = await NatsServer.start();
    const places = [
      await TestDatabase.create({ kind: 'pglite' }),
      await TestDatabase.create({ kind: 'pglite' }),
    ];
    const nodes: CloudApi[] = [];
    try {
      for (const { config: database } of places)
        nodes.push(await CloudApi.start({ database, natsServers: [nats.url] }));
      const [first, second] = nodes;
      const device = await second!.fakeDevice(ID);
      const location = await deliver(first!);
      (await device.nextDelivery()).handled();
      const state = async (): Promise<unknown> => (await first!.http('GET', location)).body;
      await eventually(state, (body) => (body as { state: string }).state === 'done');
      await device.disconnect();
    } finally {
      await Promise.all(nodes.map((node) => node.close()));
      await Promise.all(places.map((place) => place.close()));
      await nats.close();
    }
  });
});

describe('The deliveries of cloud-api without a database that answers', () => {
  it('answer 503, and say nothing of where the database is', async () => {
    const server = await PostgresServer.start(await freePort());
    const directory = await mkdtemp(join(tmpdir(), 'cloud-api-files-'));
    const cloud = await CloudApi.start({ database: { url: server.url, directory } });
    try {
      const location = await deliver(cloud);
      await server.kill();
      for (const [method, path] of [
        ['POST', `/api/v1/devices/${ID}/deliveries`],
        ['GET', `/api/v1/devices/${ID}/deliveries`],
        ['GET', location],
        ['DELETE', location],
      ] as const) {
        const answer = await cloud.http(
          method,
          path,
          method === 'POST' ? { body: '{"event":"update"}' } : {},
        );
        const message = 'The database does not answer: try again later.';
        expect(answer).toMatchObject({ status: 503, body: { message } });
      }
      await server.restart();
      expect(await cloud.http('GET', location)).toMatchObject({ status: 200, body: { state: 'queued' } });
    } finally {
      await cloud.close();
      await server.close();
      await rm(directory, { recursive: true });
    }
  }, 90_000);
});

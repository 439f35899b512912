/** A database that dies or hangs costs no device its connection. What was lost meanwhile is counted. */
import { Logger } from '@nestjs/common';
import { eventually } from '../../../libs/fedecks/test/support/eventually.js';
import { freePort } from '../../../libs/fedecks/test/support/free-port.js';
import { migrate } from '../src/database/migrate.js';
import { openDatabase } from '../src/database/open-database.js';
import { Database } from '../src/database/database.js';
import { CloudMetrics } from '../src/operations/cloud-metrics.js';
import { BatchStore } from '../src/recording/batch-store.js';
import { BatchWriter } from '../src/recording/batch-writer.js';
import { Recorder } from '../src/recording/recorder.js';
import { RecordingMetrics } from '../src/recording/recording-metrics.js';
import { SentMessages } from '../src/recording/sent-messages.js';
import { CloudApi } from './support/cloud-api.js';
import { PostgresServer } from './support/postgres-server.js';

const DEVICES = 200;
const OUTAGE_MS = 5_000;

let server: PostgresServer;
beforeAll(async () => {
  server = await PostgresServer.start(await freePort());
  const database = openDatabase({ url: server.url, directory: '/nowhere' });
  await migrate(database);
  await database.destroy();
}, 60_000);
afterAll(() => server.close());

/** Devices that send without a pause, each every 100 to 200 ms. */
class Fleet {
  sent = 0;
  private readonly timers: NodeJS.Timeout[] = [];

  async connect(cloud: CloudApi): Promise<void> {
    for (let number = 0; number < DEVICES; number++) {
      const device = await cloud.fakeDeviceWithToken(`device-${number}`);
      this.timers.push(setInterval(() => device.send('count', ++this.sent), 100 + (number % 100)));
    }
  }

  stop(): void {
    for (const timer of this.timers) clearInterval(timer);
  }
}

async function countOf(cloud: CloudApi, name: string): Promise<number> {
  const found = await cloud.get(CloudMetrics).registry.getSingleMetric(name)!.get();
  return found.values.find(({ labels }) => labels['table'] === 'messages')?.value ?? 0;
}

describe('200 devices that send', () => {
  let cloud: CloudApi;
  let received: number;
  let causes: string[];
  let fleet: Fleet;
  beforeEach(async () => {
    received = 0;
    causes = [];
    fleet = new Fleet();
    cloud = await CloudApi.start({ database: { url: server.url, directory: '/nowhere' } });
    cloud.fedecks.messages$.subscribe(() => received++);
    cloud.fedecks.connections$.subscribe((change) => {
      if (change.type === 'disconnected') causes.push(change.cause.type);
    });
  }, 60_000);
  afterEach(async () => {
    fleet.stop();
    await cloud.close();
  });

  it('stay connected while the database is killed and restarted, frozen and thawed, and all they send is written or counted', async () => {
    await fleet.connect(cloud);
    const written = (): Promise<number> => countOf(cloud, 'cloud_database_rows_total');
    const writesGoOn = async (): Promise<void> => {
      const before = await written();
      await eventually(written, (count) => count > before + DEVICES, 30_000);
    };
    await writesGoOn();
    for (const [begin, end] of [
      [() => server.kill(), () => server.restart()],
      [async () => server.freeze(), async () => server.thaw()],
    ] as const) {
      await begin();
      const before = received;
      await new Promise((resolve) => setTimeout(resolve, OUTAGE_MS));
      expect(received).toBeGreaterThan(before + DEVICES);
      await end();
      await writesGoOn();
    }
    fleet.stop();
    await eventually(
      () => received,
      (count) => count === fleet.sent,
      30_000,
    );
    const writer = cloud.get(BatchWriter);
    await eventually(
      () => writer.waiting,
      (count) => count === 0,
      30_000,
    );
    expect(causes).toEqual([]);
    expect(cloud.fedecks.devices()).toHaveLength(DEVICES);
    const dropped = await countOf(cloud, 'cloud_database_dropped_rows_total');
    expect((await written()) + dropped).toBe(fleet.sent);
    // Nothing is there twice, and nothing is missing but what was counted.
    const { rows, different } = await cloud
      .get(Database)
      .selectFrom('messages')
      .where('event', '=', 'count')
      .select(({ fn }) => [
        fn.countAll<number>().as('rows'),
        fn.count<number>('body').distinct().as('different'),
      ])
      .executeTakeFirstOrThrow();
    expect([rows, different]).toEqual([fleet.sent - dropped, fleet.sent - dropped]);
    const online = await cloud
      .get(Database)
      .selectFrom('devices')
      .where('online', '=', true)
      .select('id')
      .execute();
    expect(online).toHaveLength(DEVICES);
  }, 180_000);
});

it('counts what does not fit while the database is away', async () => {
  Logger.overrideLogger(false);
  const cloud = await CloudApi.start({ database: { url: server.url, directory: '/nowhere' } });
  const metrics = new CloudMetrics();
  const store = new BatchStore(cloud.get(Database), { isReady: true }, crypto.randomUUID());
  const options = {
    everyMs: 10,
    queue: { rows: 1_000, bytes: 1_000_000 },
    batch: { rows: 100, bytes: 1_000_000 },
  };
  const writer = new BatchWriter(store, new RecordingMetrics(metrics), options);
  const messages = new SentMessages();
  new Recorder(cloud.fedecks, messages, writer).onModuleInit();
  const count = async (name: string): Promise<number | undefined> =>
    (await metrics.registry.getSingleMetric(name)!.get()).values.find(
      ({ labels }) => labels['table'] === 'messages',
    )?.value;
  try {
    await server.kill();
    for (let sent = 0; sent < 5_000; sent++) messages.record('full', 'count', sent);
    expect(await count('cloud_database_dropped_rows_total')).toBe(4_000);
    await server.restart();
    await eventually(
      () => writer.waiting,
      (waiting) => waiting === 0,
      30_000,
    );
    expect(await count('cloud_database_rows_total')).toBe(1_000);
    const rows = await cloud
      .get(Database)
      .selectFrom('messages')
      .where('device_id', '=', 'full')
      .select('id')
      .execute();
    expect(rows).toHaveLength(1_000);
  } finally {
    await writer.end();
    await cloud.close();
  }
}, 60_000);

/** What devices do is in the database, and the state of the devices. */
import { tuple } from '@fedecks/nest/wire';
import { eventually } from '../../../libs/fedecks/test/support/eventually.js';
import { Database } from '../src/database/database.js';
import { openDatabase } from '../src/database/open-database.js';
import { Node } from '../src/recording/node.js';
import { Reconciler } from '../src/recording/reconciler.js';
import { SentMessages } from '../src/recording/sent-messages.js';
import { CloudApi } from './support/cloud-api.js';
import { TestDatabase } from './support/test-database.js';

let cloud: CloudApi;
let database: Database;
beforeEach(async () => {
  cloud = await CloudApi.start();
  database = cloud.get(Database);
}, 60_000);
afterEach(() => cloud.close());

const devices = () => database.selectFrom('devices').selectAll().orderBy('id').execute();
const connections = () => database.selectFrom('connections').selectAll().orderBy('id').execute();
const messages = () => database.selectFrom('messages').selectAll().orderBy('id').execute();
const readings = () => database.selectFrom('readings').selectAll().orderBy('metric').execute();

/** Waits until so many rows are there, and gives them. */
function until<Row>(look: () => Promise<Row[]>, fits: (rows: Row[]) => boolean): Promise<Row[]> {
  return eventually(look, fits, 20_000);
}

describe('the recording of connections', () => {
  it('knows a device that has come, and why it has gone', async () => {
    const device = await cloud.fakeDevice('greenhouse-1');
    const nodeId = cloud.get(Node).id;
    const [online] = await until(devices, ([row]) => row?.online === true);
    expect(online).toMatchObject({
      id: 'greenhouse-1',
      node_id: nodeId,
      offline_cause: null,
      address: '127.0.0.1',
    });
    expect(online!.first_seen_at).toEqual(online!.state_since);
    expect(await connections()).toMatchObject([{ device_id: 'greenhouse-1', went_at: null, cause: null }]);
    await cloud.fedecks.disconnect('greenhouse-1');
    await device.closed;
    const [offline] = await until(devices, ([row]) => row?.online === false);
    expect(offline).toMatchObject({ offline_cause: 'disconnected', first_seen_at: online!.first_seen_at });
    expect(offline!.state_since!.getTime()).toBeGreaterThanOrEqual(online!.state_since!.getTime());
    const [connection] = await connections();
    expect(connection).toMatchObject({
      cause: 'disconnected',
      code: 1000,
      node_id: nodeId,
      address: '127.0.0.1',
    });
    expect(connection!.went_at).toEqual(offline!.state_since);
  });

  it('keeps a device online that a newer connection replaces', async () => {
    const older = await cloud.fakeDevice('greenhouse-1');
    const [before] = await until(devices, ([row]) => row?.online === true);
    await cloud.fakeDevice('greenhouse-1');
    await older.closed;
    const rows = await until(connections, (found) => found.length === 2 && found[0]!.went_at !== null);
    expect(rows).toMatchObject([{ cause: 'replaced' }, { went_at: null }]);
    const [after] = await devices();
    expect(after).toMatchObject({ online: true, offline_cause: null, state_since: before!.state_since });
  });

  it('takes a device id that is no plain text', async () => {
    const id = `'; DROP TABLE devices; -- \u0000 ü😀`;
    await cloud.writeLogins({ devices: ['*'] });
    await cloud.fakeDevice(id);
    const [row] = await until(devices, (found) => found.length === 1);
    expect(row).toMatchObject({ id: id.replace('\0', '\ufffd'), online: true });
  });
});

describe('the recording of messages', () => {
  it('keeps what devices say, and what operators send them', async () => {
    const device = await cloud.fakeDevice('greenhouse-1');
    device.send('weather', { sun: true });
    device.send(['a', 'list', 'of', 4]);
    device.sendRaw(Buffer.from([1, 2, 3]));
    device.send('long', 'x'.repeat(100_000));
    await until(messages, (found) => found.length === 4);
    cloud.get(SentMessages).record('greenhouse-1', 'water', { litres: 3 });
    const rows = await until(messages, (found) => found.length === 5);
    const raw = { bytes: 'AQID' };
    expect(rows).toMatchObject([
      { direction: 'up', event: 'weather', body: { sun: true }, device_id: 'greenhouse-1' },
      { direction: 'up', event: null, body: ['a', 'list', 'of', 4] },
      { direction: 'up', event: null, body: raw },
      { direction: 'up', event: 'long', body: expect.stringMatching(/^x{2000,4093}\.\.\.$/) as string },
      { direction: 'down', event: 'water', body: { litres: 3 } },
    ]);
  });

  it('keeps what an agent reports of itself', async () => {
    const device = await cloud.fakeDevice('greenhouse-1');
    device.send('hello', { version: '1.2.3', settings: { intervalS: 60 }, exec: ['a'] });
    const [row] = await until(devices, ([found]) => found?.hello !== undefined && found.hello !== null);
    expect(row).toMatchObject({
      agent_version: '1.2.3',
      hello: { version: '1.2.3', settings: { intervalS: 60 }, exec: ['a'] },
      online: true,
    });
  });
});

describe('the recording of readings', () => {
  it('keeps the numbers of telemetry, of any name', async () => {
    const device = await cloud.fakeDevice('greenhouse-1');
    const telemetry = {
      loadAverages: [1, 2.5, 3],
      temperatureCelsius: 21.5,
      humidity: 40n,
      name: 'x',
      list: [1],
    };
    device.send('telemetry', telemetry);
    const rows = await until(readings, (found) => found.length === 5);
    expect(rows.map(({ metric, value }) => [metric, value])).toEqual([
      ['humidity', 40],
      ['load1', 1],
      ['load15', 3],
      ['load5', 2.5],
      ['temperatureCelsius', 21.5],
    ]);
    expect(Math.abs(Date.now() - rows[0]!.at.getTime())).toBeLessThan(60_000);
  });

  it('keeps the time at which a delivered one was put into the outbox', async () => {
    const device = await cloud.fakeDevice('greenhouse-1');
    const sentAt = new Promise((resolve) => {
      cloud.fedecks.messages$.subscribe(({ delivery }) => resolve(delivery?.sentAt));
    });
    expect(await device.deliver('telemetry', { temperatureCelsius: 1 })).toEqual({ outcome: 'handled' });
    const [row] = await until(readings, (found) => found.length === 1);
    expect(row!.at).toBeInstanceOf(Date);
    expect(row!.at).toEqual(await sentAt);
  });

  it('keeps at most 32 numbers of a message, and no name of more than 64 characters', async () => {
    const device = await cloud.fakeDevice('greenhouse-1');
    const many = Object.fromEntries(Array.from({ length: 40 }, (_, index) => [`m${index + 10}`, index]));
    device.send('telemetry', { ['x'.repeat(65)]: 1, ['y'.repeat(64)]: 2, ...many });
    const rows = await until(readings, (found) => found.length > 0);
    expect(rows).toHaveLength(32);
    expect(rows.at(-1)!.metric).toBe('y'.repeat(64));
  });
});

describe('the state of devices', () => {
  it('is right after the app has ended', async () => {
    const place = await TestDatabase.create();
    const other = await CloudApi.start({ database: place.config });
    await other.writeLogins({ devices: ['*'] });
    const { device } = await other.connect('greenhouse-1');
    await device.send(tuple('last', 1));
    await eventually(
      () => other.fedecks.devices().length,
      (count) => count === 1,
    );
    await other.close();
    const left = openDatabase(place.config);
    try {
      const [row] = await left.selectFrom('devices').selectAll().execute();
      expect(row).toMatchObject({
        online: false,
        offline_cause: expect.stringMatching(/draining|closed_by_device/) as string,
      });
      const open = await left.selectFrom('connections').selectAll().where('went_at', 'is', null).execute();
      expect(open).toEqual([]);
    } finally {
      await left.destroy();
      await place.close();
    }
  }, 60_000);

  it('is written again where it was dropped', async () => {
    await cloud.fakeDevice('greenhouse-1');
    const [before] = await until(devices, ([row]) => row?.online === true);
    const reconciler = cloud.get(Reconciler);
    await database.updateTable('devices').set({ online: false, offline_cause: 'node_lost' }).execute();
    await database.updateTable('connections').set({ went_at: new Date(), cause: 'node_lost' }).execute();
    const ghost = { id: 'ghost', online: true, node_id: before!.node_id };
    await database.insertInto('devices').values(ghost).execute();
    const node = { node_id: before!.node_id!, address: '::1' };
    const open = { ...node, device_id: 'ghost', came_at: new Date() };
    await database.insertInto('connections').values(open).execute();
    await reconciler.run();
    const rows = await until(devices, (found) => found.some(({ online }) => online));
    expect(rows).toMatchObject([
      { id: 'ghost', online: false, offline_cause: 'unknown' },
      { id: 'greenhouse-1', online: true, offline_cause: null, state_since: before!.state_since },
    ]);
    expect(await connections()).toMatchObject([
      { device_id: 'greenhouse-1', went_at: null, cause: null },
      { device_id: 'ghost', cause: 'unknown' },
    ]);
  });
});

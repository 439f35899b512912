import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type DatabaseConfig } from '../src/database/open-database.js';
import { eventually } from '../../../libs/fedecks/test/support/eventually.js';
import { freePort } from '../../../libs/fedecks/test/support/free-port.js';
import { DatabaseRevocations } from '../src/stores/database-revocations.js';
import { RevokedConnections } from '../src/stores/revoked-connections.js';
import { CloudApi } from './support/cloud-api.js';
import { FleetDevice } from './support/fleet-device.js';
import { PostgresServer } from './support/postgres-server.js';
import { TestDatabase } from './support/test-database.js';

const ID = 'greenhouse-1';

let clouds: CloudApi[];
let device: FleetDevice;
let directories: string[];
beforeEach(() => {
  clouds = [];
  directories = [];
  device = new FleetDevice(ID);
});
afterEach(async () => {
  await device.stop();
  for (const cloud of clouds) await cloud.close();
  for (const directory of directories) await rm(directory, { recursive: true, force: true });
});

async function start(database: DatabaseConfig): Promise<CloudApi> {
  const cloud = await CloudApi.start({ database });
  clouds.push(cloud);
  return cloud;
}

/** Removes a database, after the apps that use it have ended. */
async function remove(place: TestDatabase): Promise<void> {
  for (const cloud of clouds) await cloud.end();
  await place.close();
}

/** A `DATA_DIR` with nothing in it. */
async function newDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'cloud-api-files-'));
  directories.push(directory);
  return directory;
}

describe('A revocation', () => {
  let place: TestDatabase;
  beforeEach(async () => {
    place = await TestDatabase.create();
  });
  afterEach(() => remove(place));

  it('survives a restart of the app, and ends with the next login', async () => {
    const first = await start(place.config);
    await device.register(first);
    await first.fedecks.revoke(ID);
    await first.end();
    const second = await start(place.config);
    expect(await device.connect(second)).toBe('refused');
    await device.stop();
    await device.register(second);
    await second.end();
    const third = await start(place.config);
    expect(await device.connect(third)).toBe('connected');
  }, 60_000);

  it('keeps a device out of which Postgres cannot keep the id', async () => {
    const cloud = await start(place.config);
    await cloud.writeLogins({});
    const odd = new FleetDevice('a\0b');
    await odd.register(cloud);
    await cloud.fedecks.revoke('a\0b');
    expect(await odd.connect(cloud)).toBe('refused');
    await odd.stop();
  }, 60_000);

  it('stays when an older one of the same device comes after it', async () => {
    const cloud = await start(place.config);
    const revocations = cloud.get(DatabaseRevocations);
    const at = Date.now();
    for (const each of [at + 2, at + 1]) await revocations.revoke(ID, each, at + 60_000);
    expect(revocations.revokedAt(ID)).toBe(at + 2);
  });

  it('disconnects a device once whose upgrade was under way when it became known', async () => {
    const cloud = await start(place.config);
    new RevokedConnections(cloud.fedecks, (error) => expect(error).toBeUndefined()).disconnect(new Set([ID]));
    const first = await cloud.fakeDeviceWithToken(ID);
    expect(await first.closed).toMatchObject({ code: 1000 });
    const second = await cloud.fakeDeviceWithToken(ID);
    second.send('hello', null);
    expect(await second.next()).toEqual(['hi', 'there']);
  });

  it('is refused of an id that no device can have', async () => {
    const cloud = await start(place.config);
    for (const id of ['', 'x'.repeat(126)])
      await expect(cloud.fedecks.revoke(id)).rejects.toThrow('1 to 125 bytes');
  });
});

describe('A revocation at a server', () => {
  let place: TestDatabase;
  // An embedded database is among the files of the app, and has one process.
  beforeEach(async () => {
    place = await TestDatabase.create({ kind: 'postgres' });
  });
  afterEach(() => remove(place));

  it('survives the loss of the files of the app', async () => {
    const first = await start(place.config);
    await device.register(first);
    await first.fedecks.revoke(ID);
    await first.end();
    const second = await start({ ...place.config, directory: await newDirectory() });
    expect(await device.connect(second)).toBe('refused');
  }, 60_000);

  it('that another node makes disconnects the device, which is refused then', async () => {
    const here = await start(place.config);
    const there = await start({ ...place.config, directory: await newDirectory() });
    await device.register(here);
    expect(await device.connect(here)).toBe('connected');
    await there.fedecks.revoke(ID);
    expect(await device.lost()).toMatchObject({ cause: 'closed', code: 1000 });
    expect(await device.outcome()).toBe('refused');
  }, 60_000);

  it('that another node makes lets a device come back whose token is newer', async () => {
    const here = await start(place.config);
    const there = await start({ ...place.config, directory: await newDirectory() });
    await there.fedecks.revoke(ID);
    await device.register(there);
    expect(await device.connect(here)).toBe('connected');
    const other = new FleetDevice('greenhouse-2');
    await other.register(here);
    expect(await other.connect(here)).toBe('connected');
    await there.fedecks.revoke('greenhouse-2');
    await other.lost();
    expect(await other.outcome()).toBe('refused');
    await other.stop();
    // It was disconnected once, in case that its token is older.
    await eventually(
      () => here.fedecks.devices().map(({ id }) => id),
      (ids) => ids.includes(ID),
    );
  }, 60_000);
});

describe('Without a database that answers', () => {
  let server: PostgresServer;
  let url: string;
  let directory: string;
  beforeAll(async () => (server = await PostgresServer.start(await freePort())), 60_000);
  beforeEach(async () => {
    url = await server.createDatabase();
    directory = await newDirectory();
  });
  afterEach(async () => {
    server.thaw();
    for (const cloud of clouds) await cloud.end();
  }, 60_000);
  afterAll(() => server.close());

  const startHere = (): Promise<CloudApi> => start({ url, directory });

  it('a device with a token connects, and a revoked one does not, also after a restart', async () => {
    const revoked = new FleetDevice('greenhouse-2');
    const cloud = await startHere();
    for (const each of [device, revoked]) await each.register(cloud);
    await cloud.fedecks.revoke('greenhouse-2');
    await server.kill();
    expect(await device.connect(cloud)).toBe('connected');
    expect(await revoked.connect(cloud)).toBe('refused');
    await revoked.stop();
    await device.stop();
    await cloud.end();
    const restarted = await startHere();
    expect(await device.connect(restarted)).toBe('connected');
    expect(await revoked.connect(restarted)).toBe('refused');
    await revoked.stop();
  }, 90_000);

  it('a device with a token connects while the server is frozen', async () => {
    const cloud = await startHere();
    await device.register(cloud);
    server.freeze();
    expect(await device.connect(cloud)).toBe('connected');
    await device.stop();
    server.thaw();
  }, 90_000);

  it('a revocation rejects, holds over a restart, and is written when the database is back', async () => {
    const cloud = await startHere();
    await device.register(cloud);
    await server.kill();
    await expect(cloud.fedecks.revoke(ID)).rejects.toThrow('also after a restart');
    expect(await device.connect(cloud)).toBe('refused');
    await device.stop();
    await cloud.end();
    const restarted = await startHere();
    expect(await device.connect(restarted)).toBe('refused');
    await device.stop();
    await server.restart();
    // Another node has files of its own, and knows it only from the database.
    const other = await start({ url, directory: await newDirectory() });
    const revocations = other.get(DatabaseRevocations);
    await eventually(
      () => revocations.revokedAt(ID),
      (at) => at !== undefined,
    );
    expect(await device.connect(other)).toBe('refused');
  }, 90_000);

  it('a start that knows no revocations lets devices in, and disconnects the revoked one later', async () => {
    const first = await startHere();
    await device.register(first);
    const good = new FleetDevice('greenhouse-2');
    await good.register(first);
    await first.fedecks.revoke(ID);
    await first.end();
    await server.kill();
    const blind = await start({ url, directory: await newDirectory() });
    expect(await device.connect(blind)).toBe('connected');
    expect(await good.connect(blind)).toBe('connected');
    await server.restart();
    expect(await device.lost()).toMatchObject({ cause: 'closed', code: 1000 });
    expect(await device.outcome()).toBe('refused');
    expect(blind.fedecks.devices().map(({ id }) => id)).toEqual(['greenhouse-2']);
    await good.stop();
  }, 90_000);
});

import { type AddressInfo, type Server } from 'node:net';
import { type BackplaneFactory, type FedecksOptions, type PresenceEntry } from '@fedecks/nest';
import { natsBackplane } from '@fedecks/nest/nats';
import { firstValueFrom, filter } from 'rxjs';
import { startApp, type StartedApp } from './support/app.js';
import { request } from './support/cloud.js';
import { eventually } from './support/eventually.js';
import { NatsServer } from './support/nats-server.js';
import { RawPeer } from './support/raw-peer.js';

/** The behaviour that all backplanes share. */
const BACKPLANES: Record<
  string,
  { start(): Promise<void>; make(): BackplaneFactory | undefined; stop(): Promise<void> }
> = {
  'in process': { start: async () => undefined, make: () => undefined, stop: async () => undefined },
  'on NATS': {
    start: async () => void (nats = await NatsServer.start()),
    make: () => natsBackplane({ servers: nats.url, namespace: `contract${++namespaces}` }),
    stop: () => nats.close(),
  },
};

let nats: NatsServer;
let namespaces = 0;

/** Ids with a special meaning in a subject or a key. */
const HARD_IDS = [
  'a.b',
  'with space',
  '*',
  '>',
  'a.>',
  '$JS',
  'grün',
  '\u{1f331}',
  'x'.repeat(125),
  '/',
  'a\tb',
];

describe.each(Object.entries(BACKPLANES))('A backplane %s', (_, backplane) => {
  let app: StartedApp;
  let fedecks: StartedApp['fedecks'];
  beforeAll(() => backplane.start());
  afterAll(() => backplane.stop());
  afterEach(() => app.close());

  async function start(options: Partial<FedecksOptions> = {}): Promise<void> {
    const made = backplane.make();
    app = await startApp({ options: { drainMs: 0, ...(made && { backplane: made }), ...options } });
    ({ fedecks } = app);
  }

  it("delivers a push, and returns 'offline' for a device that is not connected", async () => {
    await start();
    const device = await app.device();
    expect(await fedecks.push(device.id, ['hi', 'there'])).toBe('sent');
    expect(await device.next()).toEqual(['hi', 'there']);
    expect(await fedecks.push('nobody', 'anybody?')).toBe('offline');
    expect(await fedecks.disconnect('nobody')).toBe(false);
    await device.disconnect();
    await eventually(
      () => fedecks.push(device.id, 'still there?'),
      (result) => result === 'offline',
    );
  });

  it('reports who is online, since when, with which claims, and when and why others left', async () => {
    await start({ authenticator: { authenticate: () => ({ claims: { site: 'north' } }) } });
    expect(await fedecks.presence.get('never')).toBeUndefined();
    const device = await app.device();
    const [{ since, remoteAddress }] = fedecks.devices() as [PresenceEntry];
    const known = { id: device.id, endpoint: '/fedecks', since, remoteAddress, claims: { site: 'north' } };
    const online = await eventually(
      () => fedecks.presence.get(device.id),
      (entry) => entry?.state === 'online',
    );
    expect(online).toMatchObject({ ...known, at: since, cause: undefined });

    const left = Date.now();
    await fedecks.disconnect(device.id);
    const offline = await eventually(
      () => fedecks.presence.get(device.id),
      (entry) => entry?.state === 'offline',
    );
    expect(offline).toMatchObject({ ...known, cause: 'disconnected' });
    expect(offline?.at).toBeGreaterThanOrEqual(left);
  });

  it('lists each device once, in pages', async () => {
    await start();
    const ids = Array.from({ length: 25 }, (_each, index) => `lamp-${index}`);
    await Promise.all(ids.map((id) => app.device(id)));
    await eventually(
      async () => (await fedecks.presence.list({ limit: 1_000 })).entries.length,
      (count) => count === ids.length,
    );
    const seen: string[] = [];
    const sizes: number[] = [];
    let cursor: string | undefined;
    do {
      const page = await fedecks.presence.list({ cursor, limit: 10 });
      seen.push(...page.entries.map(({ id }) => id));
      sizes.push(page.entries.length);
      cursor = page.cursor;
    } while (cursor !== undefined);
    expect(seen.sort()).toEqual(ids.sort());
    expect(sizes).toEqual([10, 10, 5]);
    await expect(fedecks.presence.list({ cursor: 'no cursor' })).rejects.toThrow(RangeError);
    await expect(fedecks.presence.list({ limit: 0 })).rejects.toThrow(RangeError);
  });

  it('emits every presence change', async () => {
    await start();
    const next = (state: string) =>
      firstValueFrom(fedecks.presence.changes$.pipe(filter((entry) => entry.state === state)));
    // Nothing shows when the subscription is active, so devices connect until one is emitted.
    const listening = next('online');
    let came = false;
    void listening.then(() => (came = true));
    const devices = [await app.device()];
    await eventually(
      async () => {
        if (!came) devices.push(await app.device());
        return came;
      },
      (done) => done,
    );
    const gone: string[] = [];
    const subscription = fedecks.presence.changes$.subscribe(
      ({ id, state }) => state === 'offline' && gone.push(id),
    );
    await eventually(
      async () => {
        if (gone.length === 0) await devices.pop()?.disconnect();
        return gone.length;
      },
      (count) => count > 0,
    );
    subscription.unsubscribe();
  });

  it('keeps ids apart that contain dots, spaces, wildcards or 125 bytes', async () => {
    await start();
    const devices = await Promise.all(HARD_IDS.map((id) => app.device(id)));
    for (const { id } of devices) expect(await fedecks.push(id, `for ${id}`)).toBe('sent');
    for (const device of devices) expect(await device.next()).toBe(`for ${device.id}`);
    for (const id of HARD_IDS) {
      await eventually(
        () => fedecks.presence.get(id),
        (entry) => entry?.state === 'online' && entry.id === id,
      );
    }
  });

  it('delivers broadcasts to all, and group messages to members while they are connected', async () => {
    await start();
    const [one, two] = [await app.device(), await app.device()];
    await fedecks.broadcast('for all');
    expect([await one.next(), await two.next()]).toEqual(['for all', 'for all']);

    expect(fedecks.joinGroup(one.id, 'greenhouse *.>')).toBe(true);
    expect(fedecks.joinGroup('nobody', 'greenhouse *.>')).toBe(false);
    await fedecks.pushToGroup('greenhouse *.>', 'for members');
    await fedecks.broadcast('marker');
    expect([await one.next(), await one.next(), await two.next()]).toEqual([
      'for members',
      'marker',
      'marker',
    ]);

    expect(fedecks.leaveGroup(one.id, 'greenhouse *.>')).toBe(true);
    await fedecks.pushToGroup('greenhouse *.>', 'for nobody');
    fedecks.joinGroup(one.id, 'greenhouse *.>');
    await one.disconnect();
    const again = await app.device(one.id);
    await fedecks.pushToGroup('greenhouse *.>', 'for nobody');
    await fedecks.push(one.id, 'marker');
    expect(await again.next()).toBe('marker');
  });

  it('reports a broadcast as undelivered when a device disconnects first', async () => {
    await start();
    const { port } = (app.nest.getHttpServer() as Server).address() as AddressInfo;
    const peer = await RawPeer.connect(port);
    peer.write(request({ deviceId: 'hasty' }));
    await peer.response();
    // Frames are held until the device's first frame (PROTOCOL.md §2.6). It disconnects before it sends one.
    await eventually(
      () => fedecks.devices().length,
      (count) => count === 1,
    );
    await fedecks.broadcast('for all');
    peer.destroy();
    expect(await app.errors.next()).toMatchObject({ deviceId: 'hasty', type: 'undelivered' });
  });

  it('limits the names of groups, and the number of groups of a device', async () => {
    await start();
    const { id } = await app.device();
    expect(() => fedecks.joinGroup(id, '')).toThrow(RangeError);
    expect(() => fedecks.joinGroup(id, 'x'.repeat(129))).toThrow(RangeError);
    await expect(fedecks.pushToGroup('', 'nobody')).rejects.toThrow(RangeError);
    for (let index = 0; index < 64; index++) fedecks.joinGroup(id, `group-${index}`);
    expect(() => fedecks.joinGroup(id, 'group-0')).not.toThrow();
    expect(() => fedecks.joinGroup(id, 'group-64')).toThrow(/is already in 64 groups/);
  });

  it("with duplicates: 'oldest', rejects a second connection until the first has ended", async () => {
    await start({ duplicates: 'oldest' });
    const device = await app.device();
    await expect(app.device(device.id)).rejects.toThrow('503');
    expect(await fedecks.push(device.id, 'you stay')).toBe('sent');
    expect(await device.next()).toBe('you stay');
    await device.disconnect();
    const second = await eventually(
      () => app.device(device.id),
      () => true,
    );
    const other = await Promise.allSettled(Array.from({ length: 5 }, () => app.device('rushed')));
    expect(other.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    await second.disconnect();
  });

  it("revokes a device's tokens", async () => {
    await start();
    const device = await app.device();
    await fedecks.revoke(device.id);
    expect((await device.closed).code).toBe(4150);
    await expect(app.device(device.id, device.token)).rejects.toThrow('403');
    await expect(app.device(device.id)).resolves.toBeDefined();
  });

  it('is up, and reports that as a health indicator', async () => {
    await start();
    expect(fedecks.health()).toEqual({ status: 'up' });
    expect(app.healthIndicator.isHealthy('devices')).toEqual({ devices: { status: 'up' } });
  });
});

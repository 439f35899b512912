import { jetstreamManager } from '@nats-io/jetstream';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { type PresenceEntry } from '@fedecks/nest';
import { natsBackplane, type NatsBackplaneOptions } from '@fedecks/nest/nats';
import { startApp, type StartedApp } from './support/app.js';
import { eventually } from './support/eventually.js';
import { NatsServer } from './support/nats-server.js';

const SHORT = { heartbeatMs: 100, requestTimeoutMs: 2_000, presenceRetentionMs: 3_000 };

/** The suffix of bucket names for the endpoint `/fedecks`. */
const ENDPOINT = Buffer.from('/fedecks').toString('base64url');

let nats: NatsServer;
let client: NatsConnection;
let namespaces = 0;
const open: StartedApp[] = [];
beforeAll(async () => {
  nats = await NatsServer.start();
  client = await connect({ servers: nats.url });
});
afterEach(() => Promise.all(open.splice(0).map((app) => app.close())));
afterAll(async () => {
  await client.close();
  await nats.close();
});

async function start(
  options: Partial<NatsBackplaneOptions>,
  duplicates: 'newest' | 'oldest' = 'newest',
): Promise<StartedApp> {
  const backplane = natsBackplane({ servers: nats.url, ...SHORT, ...options });
  const app = await startApp({ options: { drainMs: 0, duplicates, backplane } });
  open.push(app);
  return app;
}

const presenceOf = (app: StartedApp, id: string): Promise<PresenceEntry | undefined> =>
  app.fedecks.presence.get(id);

/** The number of entries in a bucket. */
async function entryCount(bucket: string): Promise<number> {
  const { state } = await (await jetstreamManager(client)).streams.info(`KV_${bucket}`);
  return state.messages;
}

describe('Presence', () => {
  it('forgets a device some time after it left, and never a connected one', async () => {
    const namespace = `retention${++namespaces}`;
    const [one, two] = [await start({ namespace }), await start({ namespace })];
    const changes: PresenceEntry[] = [];
    two.fedecks.presence.changes$.subscribe((entry) => changes.push(entry));
    const stays = await one.device('stays');
    // Twice the retention: wait two times until NATS has deleted the entry of a device that left.
    for (let life = 0; life < 2; life++) {
      const leaves = await one.device(`leaves ${life}`);
      await eventually(
        () => presenceOf(two, leaves.id),
        (entry) => entry?.state === 'online',
      );
      await leaves.disconnect();
      await eventually(
        () => presenceOf(two, leaves.id),
        (entry) => entry?.state === 'offline',
      );
      await eventually(
        async () => [await presenceOf(two, leaves.id), await presenceOf(two, 'stays')],
        ([gone, staying]) => {
          expect(staying).toMatchObject({ state: 'online' });
          return gone === undefined;
        },
      );
    }
    expect(await entryCount(`${namespace}_presence_${ENDPOINT}`)).toBe(1);
    expect((await two.fedecks.presence.list()).entries).toMatchObject([{ id: 'stays', state: 'online' }]);
    expect(await two.fedecks.push('stays', 'hi')).toBe('sent');
    expect(await stays.next()).toBe('hi');
    // The entry was rewritten several times, without a change event.
    expect(changes.filter(({ id }) => id === 'stays').length).toBeLessThanOrEqual(1);
    // The last revision is still its epoch: the device can move and leave.
    const moved = await two.device('stays');
    expect(await stays.closed).toMatchObject({ code: 4152 });
    await moved.disconnect();
    await eventually(
      () => presenceOf(one, 'stays'),
      (entry) => entry?.state === 'offline',
    );
  }, 60_000);

  it("rejects, with duplicates: 'oldest', a device that has been connected longer than the retention", async () => {
    const namespace = `retention${++namespaces}`;
    const [one, two] = [await start({ namespace }, 'oldest'), await start({ namespace }, 'oldest')];
    const stays = await one.device('stays');
    await (await one.device('leaves')).disconnect();
    await eventually(
      () => presenceOf(one, 'leaves'),
      (entry) => entry === undefined,
    );
    await expect(two.device('stays')).rejects.toThrow('503');
    await stays.disconnect();
    await eventually(
      () => two.device('stays'),
      () => true,
    );
  });

  it('restores the lost entry of a connected device, and reports when it leaves', async () => {
    const namespace = `retention${++namespaces}`;
    const app = await start({ namespace });
    const [lost, leaves] = [await app.device('lost'), await app.device('leaves')];
    for (const { id } of [lost, leaves]) {
      await eventually(
        () => presenceOf(app, id),
        (entry) => entry?.state === 'online',
      );
    }
    await (await jetstreamManager(client)).streams.purge(`KV_${namespace}_presence_${ENDPOINT}`);
    await leaves.disconnect();
    await eventually(
      () => presenceOf(app, 'leaves'),
      (entry) => entry?.state === 'offline',
    );
    await eventually(
      () => presenceOf(app, 'lost'),
      (entry) => entry?.state === 'online',
    );
    await eventually(
      () => presenceOf(app, 'leaves'),
      (entry) => entry === undefined,
    );
  });

  it('forgets entries without a limit once a node with a limit has started', async () => {
    const namespace = `retention${++namespaces}`;
    const manager = await jetstreamManager(client);
    const bucket = `${namespace}_presence_${ENDPOINT}`;
    await manager.streams.add({
      name: `KV_${bucket}`,
      subjects: [`$KV.${bucket}.>`],
      max_msgs_per_subject: 1,
      allow_rollup_hdrs: true,
      // NATS 2.9 cannot add the limit to an existing bucket.
      republish: {
        src: `$KV.${bucket}.*.*`,
        dest: `${namespace}.{{wildcard(1)}}.device.{{wildcard(2)}}`,
        headers_only: true,
      },
    });
    client.publish(`$KV.${bucket}.old`, 'what was written long ago');
    await client.flush();
    expect(await entryCount(bucket)).toBe(1);
    const app = await start({ namespace });
    expect(app.fedecks.health()).toEqual({ status: 'up' });
    await eventually(
      () => entryCount(bucket),
      (count) => count === 0,
    );
  });

  it('keeps entries for at least ten heartbeats', () => {
    expect(() => natsBackplane({ servers: nats.url, presenceRetentionMs: 49_999 })).toThrow(
      /ten times 'heartbeatMs'/,
    );
  });
});

import { connect, headers, type MsgHdrs, type NatsConnection } from '@nats-io/transport-node';
import { jetstreamManager } from '@nats-io/jetstream';
import { FedecksGateway, type PresenceEntry } from '@fedecks/nest';
import { natsBackplane } from '@fedecks/nest/nats';
import { type FakeDevice } from '@fedecks/nest/testing';
import { startApp, type StartedApp } from './support/app.js';
import { deviceQueue } from './support/device-queue.js';
import { eventually } from './support/eventually.js';
import { Fleet, type FleetNode } from './support/fleet.js';
import { freePort } from './support/free-port.js';
import { NatsServer } from './support/nats-server.js';
import { seeded } from './support/seeded.js';

const token = (text: string): string => Buffer.from(text).toString('base64url');
const ENDPOINT = token('/fedecks');
const BUCKETS = [`presence_${ENDPOINT}`, 'revocations', 'nodes', `queues_${ENDPOINT}`, 'messages'].map(
  (name) => `$KV.fedecks_${name}`,
);
const FUZZ = 2_000;
/** `GARBAGE_SEED=...` repeats a run. */
const SEED = Number(process.env['GARBAGE_SEED'] ?? Math.floor(Math.random() * 2 ** 31));

/** Payloads that no node sends on any subject, or stores in any bucket. */
const GARBAGE: readonly Uint8Array[] = [
  ...['', 'hello', '{', 'null', '[]', '7', '"lives"', '{}', '{"type":"lives"}', '{"type":"lives","node":{}}'],
  ...['{"type":"dances","node":"x"}', '{"type":"sweeping","node":"x","lost":7}', '\u{1f331}'],
  ...['{"since":"now"}', '{"at":null,"until":1}', '{"at":1e400,"until":2}', '{"state":"online"}'],
  ...['{"state":"online","node":"x","since":1,"at":1}', 'x'.repeat(1_000_000)],
  ...[
    '{"type":"ask","from":"x","id":1,"device":"lamp","remainingMs":9}\n',
    '{"type":"renew","from":"x","ids":[-1]}\n',
  ],
  ...[
    '{"type":"ask","from":"x","id":1,"device":"lamp","remainingMs":-2}\n',
    '{"type":"reply","id":1,"n":0}\n',
  ],
  ...['{"device":"lamp","entries":{}}', '{"device":"lamp","entries":[{"lane":0}]}', '{"watchman":7}'],
  ...['{"revision":1,"dueAt":1,"lanes":[],"waiting":[{}],"final":[]}', '{"removed":1}'],
]
  .map((text): Uint8Array => Buffer.from(text))
  .concat(
    [[0], [255], [1], [1, 1], [2, 2], [3], [3, 1, 2], [3, ...Array<number>(8).fill(255)], [4, 4], [6]].map(
      (bytes) => Buffer.from(bytes),
    ),
  );

let nats: NatsServer;
let monitor: string;
let client: NatsConnection;
let fleet: Fleet;
beforeAll(async () => {
  const port = await freePort();
  monitor = `http://127.0.0.1:${port}`;
  [nats, fleet] = await Promise.all([NatsServer.start(['-m', String(port)]), Fleet.compile()]);
  client = await connect({ servers: nats.url, name: 'a mistaken script' });
});
afterAll(async () => {
  await client.close();
  fleet.stopAll();
  await nats.close();
});

/** Every subject a node subscribes to, as the server lists them, including those of the NATS library. */
async function subjects(): Promise<string[]> {
  const response = await fetch(`${monitor}/connz?subs=1&limit=1000`);
  const { connections } = (await response.json()) as {
    connections: { name?: string; subscriptions_list?: string[] }[];
  };
  const listening = connections.filter(({ name }) => name?.startsWith('fedecks '));
  return listening
    .flatMap(({ subscriptions_list }) => subscriptions_list ?? [])
    .map((subject) => subject.replace('*', '1'));
}

/** The write subjects of every key in the buckets, and of some keys that no node would create. */
async function keys(): Promise<string[]> {
  const manager = await jetstreamManager(client);
  const found: string[] = [];
  for await (const stream of manager.streams.list()) {
    const { name } = stream.config;
    const bucket = `$KV.${name.slice('KV_'.length)}`;
    const { state } = await manager.streams.info(name, { subjects_filter: '>' });
    found.push(...Object.keys(state.subjects ?? {}), `${bucket}.nonsense`);
    const lamp = token('lamp');
    for (const key of ['x', '!', `x.y.${lamp}`, `${lamp}=`, `${lamp}A`, token('ghost')]) {
      found.push(`${bucket}.${ENDPOINT}.${key}`);
    }
  }
  return found;
}

function isJson(bytes: Buffer): boolean {
  try {
    JSON.parse(bytes.toString());
    return true;
  } catch {
    return false;
  }
}

function publish(subject: string, bytes: Uint8Array, reply?: string, more?: MsgHdrs): void {
  client.publish(subject, bytes, { ...(reply && { reply }), ...(more && { headers: more }) });
}

describe('Garbage that no node has sent', () => {
  let [one, two] = [] as unknown as [FleetNode, FleetNode];
  let observer: StartedApp;
  let lamp: FakeDevice;
  const changes: PresenceEntry[] = [];

  beforeAll(async () => {
    const options = { servers: nats.url, requestTimeoutMs: 2_000, heartbeatMs: 500 };
    [one, two] = await Promise.all([
      fleet.node(options, { drainMs: 0 }),
      fleet.node(options, { drainMs: 0 }),
    ]);
    observer = await startApp({ options: { drainMs: 0, backplane: natsBackplane(options) } });
    observer.fedecks.presence.changes$.subscribe((entry) => changes.push(entry));
    lamp = await one.device('lamp');
    await one.joinGroup('lamp', 'north');
    await one.revoke('revoked');
    await expectQueuesWork();
    await eventually(
      () => changes.length,
      (count) => count > 0,
    );
  }, 60_000);
  afterAll(async () => {
    await observer.close();
    fleet.stopAll();
  });

  /** Checks that what waits for devices can be written, whatever was written over it. */
  async function expectQueuesWork(): Promise<void> {
    const store = observer.nest.get(FedecksGateway).backplane.deliveries!;
    const before = await store.readQueue('/fedecks', 'lamp');
    const queue = deviceQueue({ revision: (before?.revision ?? 0) + 1, dueAt: 1, seqs: [1] });
    expect(await store.writeQueue('/fedecks', 'lamp', queue, before?.revision)).toBe(true);
    expect(await store.readQueue('/fedecks', 'lamp')).toEqual(queue);
    await store.writeMessage('/fedecks', 'lamp', 'm1', Buffer.of(7));
    expect(await store.readMessage('/fedecks', 'lamp', 'm1')).toEqual(Buffer.of(7));
    await eventually(
      () => store.dueQueues('/fedecks', 1, 100),
      (due) => due.length === 1 && due[0] === 'lamp',
    );
  }

  /** Checks pushes, groups, presence, health, revocation and queues, as if no garbage had been sent. */
  async function expectAllWorks(round: string): Promise<void> {
    await client.flush();
    expect(await two.push('lamp', round)).toBe('sent');
    expect(await lamp.next()).toBe(round);
    await two.pushToGroup('north', `${round}: group`);
    expect(await lamp.next()).toBe(`${round}: group`);
    await observer.fedecks.broadcast(`${round}: all`);
    expect(await lamp.next()).toBe(`${round}: all`);
    for (const node of [one, two]) {
      await eventually(
        () => node.presence('lamp'),
        (entry) => entry?.state === 'online',
      );
      const entries = await node.everybody();
      expect(entries.filter(({ id }) => id === 'lamp')).toMatchObject([{ state: 'online' }]);
      expect(await node.health()).toEqual({ status: 'up' });
    }

    await expectQueuesWork();
    const seen = changes.length;
    const other = await two.device(round);
    await one.revoke(round);
    expect(await other.closed).toMatchObject({ code: 4150 });
    await eventually(
      () => one.presence(round),
      (entry) => entry?.state === 'offline' && entry.cause === 'revoked',
    );
    await eventually(
      () => changes.slice(seen).filter(({ id }) => id === round),
      (told) => told.some(({ state }) => state === 'online') && told.some(({ state }) => state === 'offline'),
    );
    // A node that starts reads every entry.
    const late = await fleet.node({ servers: nats.url, requestTimeoutMs: 2_000, heartbeatMs: 500 });
    expect(await late.health()).toEqual({ status: 'up' });
    expect(await late.push('lamp', 'from a late one')).toBe('sent');
    expect(await lamp.next()).toBe('from a late one');
    await expect(late.device(round, other.token)).rejects.toThrow('403');
    await late.stop();
  }

  it('is dropped on every subject that nodes subscribe to, and stops nothing else', async () => {
    const all = await subjects();
    const ours = (what: string): RegExp => new RegExp(`^fedecks\\.${ENDPOINT}\\.${what}`);
    for (const what of ['all$', 'nodes$', 'device\\.', 'group\\.', 'requests\\.', 'queues$']) {
      expect(all.find((subject) => ours(what).test(subject))).toBeDefined();
    }
    for (const subject of all) {
      const replies = [undefined, 'nobody.listens', `fedecks.${ENDPOINT}.nodes`, subject];
      const odd = headers();
      odd.append('KV-Operation', 'DEL');
      odd.append('Nats-Expected-Last-Sequence', 'x');
      for (const bytes of GARBAGE) {
        if (bytes.length > 1_000) publish(subject, bytes);
        else {
          for (const reply of replies) publish(subject, bytes, reply);
          publish(subject, bytes, 'nobody.listens', odd);
          publish(subject, bytes, undefined, headers(503, 'No Responders'));
        }
      }
      await client.flush();
    }
    await expectAllWorks('subjects');
  }, 60_000);

  it('is ignored in a bucket under any key, and nodes restore the entries it overwrote', async () => {
    const written = await keys();
    for (const bucket of BUCKETS) {
      expect(written.filter((subject) => subject.startsWith(`${bucket}.`)).length).toBeGreaterThan(7);
    }
    for (const [index, bytes] of GARBAGE.entries()) {
      for (const subject of written) publish(subject, bytes);
      for (const bucket of BUCKETS) publish(`${bucket}.${ENDPOINT}.${token(`ghost ${index}`)}`, bytes);
      await client.flush();
    }
    // Valid values under malformed keys: nodes must not read them as the lamp's presence or revocation.
    const lasting = Date.now() + 3_600_000;
    const online = { state: 'online', node: 'x', since: 1, remoteAddress: '::1', at: 1 };
    for (const key of [`x.y.${token('lamp')}`, `${token('lamp')}=`]) {
      publish(`$KV.fedecks_presence_${ENDPOINT}.${ENDPOINT}.${key}`, Buffer.from(JSON.stringify(online)));
      const revocation = JSON.stringify({ at: lasting, until: lasting });
      publish(`$KV.fedecks_revocations.${ENDPOINT}.${key}`, Buffer.from(revocation));
    }
    await expectAllWorks('buckets');
    await expect(two.device('lamp', lamp.token)).resolves.toBeDefined();
    lamp = await one.device('lamp');
    await one.joinGroup('lamp', 'north');
    expect((await two.everybody()).filter(({ id }) => id.startsWith('ghost'))).toEqual([]);
    // A disconnect after the overwrite is still seen: no node takes the garbage for a newer connection's entry.
    const moth = await one.device('moth');
    await eventually(
      () => two.presence('moth'),
      (entry) => entry?.state === 'online',
    );
    publish(`$KV.fedecks_presence_${ENDPOINT}.${ENDPOINT}.${token('moth')}`, Buffer.from('dust'));
    await client.flush();
    await moth.disconnect();
    await eventually(
      () => two.presence('moth'),
      (entry) => entry?.state === 'offline',
    );
  }, 60_000);

  it(`changes nothing: ${FUZZ} random messages`, async () => {
    const random = seeded(SEED);
    const upTo = (limit: number): number => Math.floor(random() * limit);
    const targets = [...(await subjects()), ...(await keys())];
    const real = [
      '{"type":"sweeping","node":"host-AbCdEf","lost":"host-GhIjKl"}',
      '{"state":"online","node":"host-AbCdEf","since":1700000000000,"remoteAddress":"::1","at":1700000000000}',
      '{"at":1700000000000,"until":1700000000001}',
      JSON.stringify({ device: 'lamp', entries: deviceQueue({ revision: 1 }).final }),
      JSON.stringify(deviceQueue({ revision: 1, seqs: [1] })),
    ];
    const payload = (): Buffer => {
      const dice = random();
      const bytes =
        dice < 0.5
          ? Buffer.from(Array.from({ length: upTo(64) }, () => upTo(256)))
          : Buffer.from(real[upTo(real.length)]!);
      for (let changed = 0; changed < 3 && bytes.length > 0; changed++) bytes[upTo(bytes.length)] = upTo(256);
      if (dice < 0.3 && bytes.length > 0) bytes[0] = upTo(8);
      // Not a valid message of a node.
      return isJson(bytes) ? bytes.subarray(1) : bytes;
    };
    try {
      for (let sent = 0; sent < FUZZ; sent++) {
        const bytes = payload();
        // Skip what a node may take for a term (it starts with 131) or for a one-byte request.
        if (bytes[0] === 131 || bytes[1] === 131 || bytes.length === 1) continue;
        publish(targets[upTo(targets.length)]!, bytes, random() < 0.5 ? 'nobody.listens' : undefined);
        if (sent % 100 === 0) await client.flush();
      }
      await expectAllWorks('fuzz');
    } catch (error) {
      throw new Error(`GARBAGE_SEED=${SEED}`, { cause: error });
    }
  }, 60_000);
});

it('logs dropped messages with a rate limit, and without their content', async () => {
  const warnings: string[] = [];
  const ignored = (): void => undefined;
  const logger = { log: ignored, error: ignored, warn: (line: string) => void warnings.push(line) };
  const began = Date.now();
  const app = await startApp({
    options: { drainMs: 0, backplane: natsBackplane({ servers: nats.url, namespace: 'logged' }) },
    setUp: (nest) => nest.useLogger(logger),
  });
  try {
    const key = token('moth');
    publish(`$KV.logged_presence_${ENDPOINT}.${ENDPOINT}.${key}`, Buffer.from('a secret'));
    await client.flush();
    expect(await app.fedecks.presence.get('moth')).toBeUndefined();
    for (let index = 0; index < 1_000; index++) publish(`logged.${ENDPOINT}.nodes`, Buffer.from('a secret'));
    await client.flush();
    // The server delivers in order, so the node has received all of it.
    await app.fedecks.broadcast('after it');
    expect(warnings.slice(0, 2)).toEqual([
      `The backplane failed to read "${ENDPOINT}.${key}" of logged_presence_${ENDPOINT}: not a valid entry`,
      `The backplane failed to read a message on "logged.${ENDPOINT}.nodes": not JSON`,
    ]);
    // At most 20 lines per ten seconds, and one that counts the rest. How long the test takes depends on the machine.
    expect(warnings.length).toBeLessThanOrEqual(21 * Math.ceil((Date.now() - began + 1) / 10_000) + 21);
    expect(warnings.join('\n')).not.toContain('secret');
  } finally {
    await app.close();
  }
});

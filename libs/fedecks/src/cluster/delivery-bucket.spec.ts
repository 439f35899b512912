import { jetstreamManager, type JetStreamManager } from '@nats-io/jetstream';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { openDeliveryBucket } from '../../test/support/delivery-buckets.js';
import { deviceQueue, LATER } from '../../test/support/device-queue.js';
import { NatsServer } from '../../test/support/nats-server.js';
import { type DeviceQueue, enqueue, settle } from '../delivery/index.js';
import { type DeliveryBucket } from './delivery-bucket.js';

const PATH = '/fedecks';
const token = (text: string): string => Buffer.from(text).toString('base64url');
const QUEUES = `KV_fleet_queues_${token(PATH)}`;
const handled = (seq: number) => ({ lane: 0, epoch: 'E', seq });

let nats: NatsServer;
let nc: NatsConnection;
let manager: JetStreamManager;
beforeAll(async () => {
  nats = await NatsServer.start();
  nc = await connect({ servers: nats.url });
  manager = await jetstreamManager(nc);
});
afterEach(async () => {
  for (const name of await streams()) await manager.streams.delete(name);
});
afterAll(async () => {
  await nc.close();
  await nats.close();
});

async function streams(): Promise<string[]> {
  const names: string[] = [];
  for await (const name of manager.streams.names()) names.push(name);
  return names.sort();
}

/** Writes the entry of a device as another program does. */
async function poke(id: string, text: string): Promise<void> {
  nc.publish(`$KV.${QUEUES.slice(3)}.${token(PATH)}.${token(id)}`, Buffer.from(text));
  await nc.flush();
}

/** Adds numbers to the queue of a device, as a node does. */
async function addAll(node: DeliveryBucket, id: string, seqs: readonly number[]): Promise<void> {
  for (const seq of seqs) {
    for (let isKept = false; !isKept;) {
      const queue = await node.readQueue(PATH, id);
      const waiting = (queue?.waiting ?? []).map((each) => each.seq);
      const revision = Math.max((queue?.revision ?? 0) + 1, seq);
      // The numbers of a lane rise.
      const next = deviceQueue({ revision, seqs: [...waiting, seq].sort((a, b) => a - b) });
      isKept = await node.writeQueue(PATH, id, next, queue?.revision);
    }
  }
}

describe('what devices have delivered to several nodes', () => {
  it('is kept for the newest claim only', async () => {
    const [one, two] = [openDeliveryBucket(nc), openDeliveryBucket(nc)];
    const older = await one.claim(PATH, 'lamp');
    expect(await one.setHandled(PATH, 'lamp', older.generation, handled(1))).toBe(true);
    const newer = await two.claim(PATH, 'lamp');
    expect(newer.handled).toEqual([handled(1)]);
    expect(newer.generation).toBeGreaterThan(older.generation);
    expect(await one.setHandled(PATH, 'lamp', older.generation, handled(2))).toBe(false);
    expect(await two.setHandled(PATH, 'lamp', newer.generation, handled(2))).toBe(true);
    expect(await two.setHandled(PATH, 'lamp', newer.generation, handled(1))).toBe(true);
    expect((await one.claim(PATH, 'lamp')).handled).toEqual([handled(2)]);
  });

  it('is claimed by one node after another', async () => {
    const nodes = [1, 2, 3, 4].map(() => openDeliveryBucket(nc));
    const claims = await Promise.all(nodes.map((node) => node.claim(PATH, 'many')));
    expect(new Set(claims.map(({ generation }) => generation)).size).toBe(4);
    const newest = Math.max(...claims.map(({ generation }) => generation));
    const kept = await Promise.all(
      nodes.map((node, index) => node.setHandled(PATH, 'many', claims[index]!.generation, handled(1))),
    );
    expect(kept).toEqual(claims.map(({ generation }) => generation === newest));
  });

  it('has a bucket from the first claim on, and another one after somebody has deleted it', async () => {
    const node = openDeliveryBucket(nc);
    expect(await streams()).toEqual([]);
    const { generation } = await node.claim(PATH, 'lamp');
    expect(await streams()).toEqual(['KV_fleet_deliveries']);
    await manager.streams.delete('KV_fleet_deliveries');
    await expect(node.setHandled(PATH, 'lamp', generation, handled(3))).rejects.toMatchObject({
      name: 'BackplaneError',
    });
    expect(await node.setHandled(PATH, 'lamp', generation, handled(3))).toBe(true);
    expect((await node.claim(PATH, 'lamp')).handled).toEqual([handled(3)]);
  });
});

describe('the buckets of what waits for devices', () => {
  it('do not exist until something is put in, however often they are read', async () => {
    const node = openDeliveryBucket(nc);
    for (let index = 0; index < 3; index++) {
      expect(await node.readQueue(PATH, 'lamp')).toBeUndefined();
      expect(await node.readMessage(PATH, 'lamp', 'm')).toBeUndefined();
      expect(await node.dueQueues(PATH, LATER, 10)).toEqual([]);
      await node.removeMessages(PATH, 'lamp', ['m']);
    }
    expect(await streams()).toEqual([]);
  });

  it('cost one request for many reads while they do not exist', async () => {
    const node = openDeliveryBucket(nc);
    await node.readQueue(PATH, 'first');
    const before = nc.stats().outMsgs;
    for (let index = 0; index < 100; index++) await node.readQueue(PATH, `device ${index}`);
    expect(nc.stats().outMsgs).toBe(before);
  });

  it('cost one request for a read once they exist', async () => {
    const node = openDeliveryBucket(nc);
    await node.writeQueue(PATH, 'lamp', deviceQueue({ revision: 1 }), undefined);
    const before = nc.stats().outMsgs;
    for (let index = 0; index < 100; index++) await node.readQueue(PATH, 'lamp');
    expect(nc.stats().outMsgs).toBe(before + 100);
  });

  it('are found at once after another node has announced that it wrote', async () => {
    const [one, two] = [openDeliveryBucket(nc), openDeliveryBucket(nc)];
    expect(await two.readQueue(PATH, 'lamp')).toBeUndefined();
    await one.writeQueue(PATH, 'lamp', deviceQueue({ revision: 1 }), undefined);
    two.onQueueChange();
    expect(await two.readQueue(PATH, 'lamp')).toEqual(deviceQueue({ revision: 1 }));
  });

  it('keep messages for 31 days and queues without a limit', async () => {
    const node = openDeliveryBucket(nc);
    await node.writeMessage(PATH, 'lamp', 'm', Uint8Array.of(1));
    await node.writeQueue(PATH, 'lamp', deviceQueue({ revision: 1 }), undefined);
    expect(await streams()).toEqual(['KV_fleet_messages', QUEUES]);
    const messages = await manager.streams.info('KV_fleet_messages');
    expect(messages.config.max_age).toBe(31 * 24 * 3_600 * 1e9);
    expect((await manager.streams.info(QUEUES)).config.max_age).toBe(0);
  });

  it('hold nothing of a queue and of messages that were removed', async () => {
    const node = openDeliveryBucket(nc);
    const names = Array.from({ length: 100 }, (_, index) => `m${index}`);
    for (const name of names) await node.writeMessage(PATH, 'lamp', name, Uint8Array.of(1));
    await node.writeMessage(PATH, 'lamp', 'other', Uint8Array.of(1));
    await node.removeMessages(PATH, 'lamp', names);
    expect((await manager.streams.info('KV_fleet_messages')).state.messages).toBe(1);
    await node.writeQueue(PATH, 'lamp', deviceQueue({ revision: 1 }), undefined);
    await node.writeQueue(PATH, 'lamp', undefined, 1);
    expect((await manager.streams.info(QUEUES)).state.messages).toBe(0);
  });

  it('are created anew after an operator has deleted them', async () => {
    const node = openDeliveryBucket(nc);
    await node.writeQueue(PATH, 'lamp', deviceQueue({ revision: 1 }), undefined);
    await node.writeMessage(PATH, 'lamp', 'm', Uint8Array.of(1));
    for (const name of await streams()) await manager.streams.delete(name);
    for (const read of [() => node.readQueue(PATH, 'lamp'), () => node.readMessage(PATH, 'lamp', 'm')]) {
      await expect(read()).rejects.toMatchObject({ name: 'BackplaneError' });
      expect(await read()).toBeUndefined();
    }
    expect(await node.writeQueue(PATH, 'lamp', deviceQueue({ revision: 2 }), undefined)).toBe(true);
    await node.writeMessage(PATH, 'lamp', 'm', Uint8Array.of(2));
    expect(await node.readQueue(PATH, 'lamp')).toEqual(deviceQueue({ revision: 2 }));
    expect(await node.readMessage(PATH, 'lamp', 'm')).toEqual(Buffer.of(2));
  });
});

describe('a queue that several nodes write', () => {
  it('loses nothing of five writers', async () => {
    const nodes = [0, 1, 2, 3, 4].map((index) => openDeliveryBucket(nc, { node: `node ${index}` }));
    const seqsOf = (index: number): number[] => Array.from({ length: 30 }, (_, at) => 1 + index + 5 * at);
    await Promise.all(nodes.map((node, index) => addAll(node, 'lamp', seqsOf(index))));
    const queue = await nodes[0]!.readQueue(PATH, 'lamp');
    expect(queue?.waiting.map(({ seq }) => seq)).toEqual(Array.from({ length: 150 }, (_, seq) => seq + 1));
  }, 60_000);

  it('gives each message to one of those who empty it, while others put in more', async () => {
    const writers = [0, 1, 2].map((index) => openDeliveryBucket(nc, { node: `writer ${index}` }));
    const readers = [0, 1].map((index) => openDeliveryBucket(nc, { node: `reader ${index}` }));
    const taken: number[] = [];
    let isOver = false;
    async function empty(reader: DeliveryBucket): Promise<void> {
      const queue = await reader.readQueue(PATH, 'lamp');
      if (queue && (await reader.writeQueue(PATH, 'lamp', undefined, queue.revision)))
        taken.push(...queue.waiting.map(({ seq }) => seq));
    }
    await addAll(writers[0]!, 'lamp', [1]);
    const emptying = readers.map(async (reader) => {
      while (!isOver) {
        await empty(reader);
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
    });
    const seqsOf = (index: number): number[] => Array.from({ length: 40 }, (_, at) => 2 + index + 3 * at);
    await Promise.all(writers.map((node, index) => addAll(node, 'lamp', seqsOf(index)))).finally(
      () => (isOver = true),
    );
    await Promise.all(emptying);
    expect(taken.length).toBeGreaterThan(0);
    const left = (await readers[0]!.readQueue(PATH, 'lamp'))?.waiting.map(({ seq }) => seq) ?? [];
    expect([...taken, ...left].sort((a, b) => a - b)).toEqual(
      Array.from({ length: 121 }, (_, seq) => seq + 1),
    );
  }, 60_000);
});

describe('an entry that is no queue', () => {
  it.each([
    ['no JSON', 'dust'],
    ['null', 'null'],
    ['another shape', '{"revision":1}'],
    [
      'a queue with a message of an unknown lane',
      JSON.stringify({ ...deviceQueue({ revision: 1, seqs: [1] }), lanes: [] }),
    ],
    ['the entry of a watchman', '{"watchman":"x"}'],
  ])('counts as none, is reported, and is replaced by the next write: %s', async (_what, text) => {
    const strays: string[] = [];
    const node = openDeliveryBucket(nc, { onStray: (bucket, key) => strays.push(`${bucket} ${key}`) });
    await node.writeQueue(PATH, 'other', deviceQueue({ revision: 1, dueAt: 5 }), undefined);
    await poke('lamp', text);
    expect(await node.readQueue(PATH, 'lamp')).toBeUndefined();
    expect(strays).toEqual([`${QUEUES.slice(3)} ${token(PATH)}.${token('lamp')}`]);
    expect(await node.dueQueues(PATH, LATER, 10)).toEqual(['other']);
    expect(await node.writeQueue(PATH, 'lamp', deviceQueue({ revision: 4 }), 1)).toBe(false);
    expect(await node.writeQueue(PATH, 'lamp', deviceQueue({ revision: 4 }), undefined)).toBe(true);
    expect(await node.readQueue(PATH, 'lamp')).toEqual(deviceQueue({ revision: 4 }));
  });

  it('counts as none where it was to be a message', async () => {
    const strays: string[] = [];
    const node = openDeliveryBucket(nc, { onStray: (bucket) => strays.push(bucket) });
    await node.writeMessage(PATH, 'lamp', 'm', Uint8Array.of(1));
    for (const text of ['dust', '7', '{}', '"not base64!"', '']) {
      nc.publish(`$KV.fleet_messages.${token(PATH)}.${token('lamp')}.m`, Buffer.from(text));
      await nc.flush();
      expect(await node.readMessage(PATH, 'lamp', 'm')).toBeUndefined();
    }
    expect(strays).toEqual(Array<string>(5).fill('fleet_messages'));
  });
});

describe('the largest queue', () => {
  const EMPTY: DeviceQueue = { revision: 0, dueAt: 0, lanes: [], waiting: [], final: [] };

  /** A full queue, as `delivery` makes it. @param finals with as much as they may hold. */
  function fullQueue(finals: number): DeviceQueue {
    const epoch = 'e'.repeat(22);
    let queue = EMPTY;
    const put = (seq: number): void => {
      const delivery = {
        event: 'update',
        lane: 'default',
        key: `${seq}`.padStart(256, 'k'),
        message: 'm'.repeat(22),
        ttlMs: 7 * 24 * 3_600_000,
      };
      const change = enqueue(queue, delivery, { epoch, seq }, 1_800_000_000_000 + seq);
      if (typeof change === 'string') throw new Error(change);
      ({ queue } = change);
    };
    for (let seq = 1; seq <= finals; seq++) {
      put(seq);
      const ending = { state: 'done', result: 'A'.repeat(4 * Math.ceil(16_384 / 3)) } as const;
      ({ queue } = settle(queue, [{ lane: 0, epoch, seq }], ending, 1_800_000_000_000 + seq));
    }
    for (let seq = finals + 1; seq <= finals + 1_000; seq++) put(seq);
    return queue;
  }

  it.each([
    ['1,000 messages with keys of 256 bytes', 0, 500_000],
    ['the same and as many results as are kept', 200, 800_000],
  ])('fits: %s', async (_what, finals, limit) => {
    const queue = fullQueue(finals);
    expect(queue.waiting).toHaveLength(1_000);
    expect(JSON.stringify(queue).length).toBeLessThan(limit);
    const node = openDeliveryBucket(nc);
    expect(await node.writeQueue(PATH, 'lamp', queue, undefined)).toBe(true);
    expect(await node.readQueue(PATH, 'lamp')).toEqual(queue);
  });

  it('is rejected as too large beyond 1 MB, and the one before stays', async () => {
    const node = openDeliveryBucket(nc);
    const small = deviceQueue({ revision: 1, seqs: [1] });
    await node.writeQueue(PATH, 'lamp', small, undefined);
    const [first] = small.waiting;
    const waiting = [{ ...first!, key: 'k'.repeat(1_024 * 1_024) }];
    await expect(node.writeQueue(PATH, 'lamp', { ...small, revision: 2, waiting }, 1)).rejects.toMatchObject({
      name: 'BackplaneError',
      code: 'too-large',
    });
    expect(await node.readQueue(PATH, 'lamp')).toEqual(small);
  });
});

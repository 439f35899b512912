import { connect, type NatsConnection } from '@nats-io/transport-node';
import { eventually } from '../../test/support/eventually.js';
import { NatsServer } from '../../test/support/nats-server.js';
import { type BackplaneEndpoint, type ConnectedDevice } from '../server/index.js';
import { NatsBucket } from '../nats/nats-bucket.js';
import { resolveNatsOptions } from '../nats/nats-options.js';
import { type Bucket } from './bucket.js';
import { PresenceWriter } from './presence-writer.js';
import { type Gone, isPresenceRecord, type PresenceRecord, recordOf } from './presence-record.js';
import { type Rank, SharedClock } from './rank.js';
import { Subjects } from './subjects.js';

const REMEMBERED = 5;
const RETENTION_MS = 3_600_000;

const subjects = new Subjects('fleet', '/fedecks');
const key = subjects.key('lamp');

let nats: NatsServer;
let nc: NatsConnection;
beforeAll(async () => {
  nats = await NatsServer.start();
  nc = await connect({ servers: nats.url });
});
afterAll(async () => {
  await nc.close();
  await nats.close();
});

function open(name: string): Promise<Bucket<PresenceRecord>> {
  return NatsBucket.open(nc, name, resolveNatsOptions({ servers: nats.url }), {
    retentionMs: undefined,
    isOne: (_key, value): value is PresenceRecord => isPresenceRecord(value),
    stray: () => undefined,
  });
}

function deviceOf(id: string, since: number): ConnectedDevice {
  return { id, endpoint: '/fedecks', remoteAddress: '::1', since, claims: undefined };
}

/** A node with connections and peers that the test controls. */
class TestNode {
  readonly connected = new Map<string, ConnectedDevice>();
  readonly replaced: string[] = [];
  readonly questions: { node: string; over: Rank }[] = [];
  readonly lost = new Set<string>();
  readonly clock = new SharedClock();
  /** The answer of other nodes. */
  answer: () => Promise<boolean> = () => Promise.reject(new Error('no answer'));
  handOver = false;
  readonly book: PresenceWriter;

  constructor(duplicates: BackplaneEndpoint['duplicates'] = 'newest', retentionMs = RETENTION_MS) {
    const endpoint: BackplaneEndpoint = {
      path: '/fedecks',
      duplicates,
      held: (id) => this.connected.get(id),
      all: () => this.connected.values(),
      write: () => undefined,
      ask: () => undefined,
      disconnect: () => false,
      replace: (id) => {
        this.replaced.push(id);
        this.leave(id);
        return undefined;
      },
      refuse: () => false,
      onTrace: () => undefined,
      revoked: () => undefined,
      writeToAll: () => undefined,
      onQueueChange: () => undefined,
      onReachable: () => undefined,
      changed: () => undefined,
      failed: () => undefined,
    };
    const events = {
      lives: (node: string) => !this.lost.has(node),
      holds: (node: string, _id: string, over: Rank) => {
        this.questions.push({ node, over });
        return this.answer();
      },
      handOver: async () => this.handOver,
      tellTrace: () => undefined,
      trouble: () => undefined,
    };
    this.book = new PresenceWriter('node', this.clock, retentionMs, endpoint, subjects, events, REMEMBERED);
  }

  come(id: string): void {
    const device = deviceOf(id, Date.now());
    this.connected.set(id, device);
    this.book.opened(device);
  }

  leave(id: string): void {
    const device = this.connected.get(id);
    this.connected.delete(id);
    if (device) this.book.closed(device, { type: 'closed_by_device', code: 1000 });
  }

  async settled(): Promise<void> {
    expect(await this.book.written(10_000)).toBe(true);
  }
}

/** Overwrites the lamp's entry as another node would. */
async function writeElsewhere(
  bucket: Bucket<PresenceRecord>,
  time: number,
  gone?: Gone,
  node = 'other',
): Promise<number> {
  return (await bucket.put(key, recordOf(deviceOf('lamp', 1), { node, time }, gone))) ?? 0;
}

/** A bucket that counts reads. */
function counted(bucket: Bucket<PresenceRecord>): Bucket<PresenceRecord> & { reads: number } {
  return Object.assign(Object.create(bucket) as Bucket<PresenceRecord>, {
    reads: 0,
    get(key: string) {
      this.reads++;
      return bucket.get(key);
    },
  });
}

const LEFT: Gone = { cause: 'connection_lost', at: 1 };

it('queues a limited number of failed offline writes, and finds the others by reading the bucket', async () => {
  const bucket = await open('departures');
  const node = new TestNode();
  await node.book.resume(bucket);
  for (let index = 0; index < 3 * REMEMBERED; index++) node.come(`${index}`);
  await node.settled();

  node.book.pause();
  for (const id of [...node.connected.keys()]) node.leave(id);
  expect(await node.book.written(10_000)).toBe(false);
  await node.book.resume(bucket);
  const causes = async (): Promise<(string | undefined)[]> => {
    const found: (string | undefined)[] = [];
    for await (const { value } of bucket.scan(subjects.keys)) found.push(value?.cause);
    return found.sort();
  };
  const expected = [
    ...Array<string>(REMEMBERED).fill('closed_by_device'),
    ...Array<string>(2 * REMEMBERED).fill('connection_lost'),
  ];
  await eventually(causes, (found) => found.join() === expected.join());
});

it('remembers as many departures that cannot be written after any number that were', async () => {
  const bucket = await open('earlier-departures');
  const node = new TestNode();
  await node.book.resume(bucket);
  for (let index = 0; index < 3 * REMEMBERED; index++) {
    node.come(`${index}`);
    node.leave(`${index}`);
  }
  await node.settled();
  for (let index = 0; index < REMEMBERED; index++) node.come(`later ${index}`);
  await node.settled();
  node.book.pause();
  for (const id of [...node.connected.keys()]) node.leave(id);
  await node.book.resume(bucket);
  await node.settled();
  for (let index = 0; index < REMEMBERED; index++) {
    const { value } = await bucket.get(subjects.key(`later ${index}`));
    expect(value).toMatchObject({ state: 'offline', cause: 'closed_by_device' });
  }
  node.book.pause();
});

describe('a node that holds a device which another node has written', () => {
  let bucket: Bucket<PresenceRecord>;
  let node: TestNode;
  let tests = 0;

  async function start(duplicates: BackplaneEndpoint['duplicates'] = 'newest'): Promise<void> {
    bucket = await open(`held${++tests}`);
    node = new TestNode(duplicates);
    await node.book.resume(bucket);
    node.come('lamp');
    await node.settled();
  }

  /** Writes as the other node, and delivers the watch event. */
  async function hear(time: number, gone?: Gone): Promise<void> {
    node.book.onCommitted('lamp', await writeElsewhere(bucket, time, gone));
    await node.settled();
  }

  const state = async (): Promise<string> => {
    const { value } = await bucket.get(key);
    return `${value?.state} at ${value?.node}`;
  };

  it('rewrites its own entry when it learns that the device is offline, however late the other write was', async () => {
    await start();
    await hear(node.clock.now() + 1_000_000, LEFT);
    expect(await state()).toBe('online at node');
    expect(node.questions).toEqual([]);
    expect(node.replaced).toEqual([]);
  });

  it('writes nothing where what it finds is true', async () => {
    await start();
    const { revision } = await bucket.get(key);
    node.book.compare();
    await node.settled();
    expect((await bucket.get(key)).revision).toBe(revision);
  });

  it('rewrites its own entry when the other node is lost', async () => {
    await start();
    node.lost.add('other');
    await hear(node.clock.now() + 1_000_000);
    expect(await state()).toBe('online at node');
    expect(node.replaced).toEqual([]);
  });

  it.each(['newest', 'oldest'] as const)(
    'sends no query when its own connection stays by rank: %s',
    async (duplicates) => {
      await start(duplicates);
      await hear(duplicates === 'newest' ? 1 : node.clock.now() + 1_000_000);
      expect(await state()).toBe('online at node');
      expect(node.questions).toEqual([]);
      expect(node.replaced).toEqual([]);
    },
  );

  it.each(['newest', 'oldest'] as const)(
    'closes its own connection when the other node holds one that stays: %s',
    async (duplicates) => {
      await start(duplicates);
      node.answer = async () => true;
      await hear(duplicates === 'newest' ? node.clock.now() + 1_000_000 : 1);
      expect(node.replaced).toEqual(['lamp']);
      expect(node.questions).toMatchObject([{ node: 'other', over: { node: 'node' } }]);
      expect(await state()).toBe('online at other');
    },
  );

  it.each(['newest', 'oldest'] as const)(
    'keeps its own connection when the other node holds none: %s',
    async (duplicates) => {
      await start(duplicates);
      node.answer = async () => false;
      await hear(duplicates === 'newest' ? node.clock.now() + 1_000_000 : 1);
      expect(node.replaced).toEqual([]);
      expect(await state()).toBe('online at node');
    },
  );

  it('repeats the query when the other node does not answer, and closes nothing before', async () => {
    await start();
    let asked = 0;
    node.answer = () => (++asked < 2 ? Promise.reject(new Error('no answer')) : Promise.resolve(true));
    await hear(node.clock.now() + 1_000_000);
    expect(asked).toBe(2);
    expect(node.replaced).toEqual(['lamp']);
  });

  it('does not close a connection that opens while it queries for an earlier one', async () => {
    await start();
    let answer = (_holds: boolean): void => undefined;
    node.answer = () => new Promise((resolve) => (answer = resolve));
    node.book.onCommitted('lamp', await writeElsewhere(bucket, node.clock.now() + 1_000));
    await eventually(
      () => node.questions.length,
      (count) => count === 1,
    );
    node.leave('lamp');
    node.come('lamp');
    answer(true);
    await node.settled();
    expect(node.replaced).toEqual([]);
    expect(await state()).toBe('online at node');
  });

  it('closes nothing when its connection ends while it asks', async () => {
    await start();
    let answer = (_holds: boolean): void => undefined;
    node.answer = () => new Promise((resolve) => (answer = resolve));
    node.book.onCommitted('lamp', await writeElsewhere(bucket, node.clock.now() + 1_000));
    await eventually(
      () => node.questions.length,
      (count) => count === 1,
    );
    node.leave('lamp');
    answer(true);
    await node.settled();
    expect(node.replaced).toEqual([]);
    expect(await state()).toBe('online at other');
  });

  it('has a connection that comes after it has read of another be the later one', async () => {
    await start();
    node.answer = async () => true;
    await hear(node.clock.now() + 1_000_000_000);
    expect(node.replaced).toEqual(['lamp']);
    node.come('lamp');
    await node.settled();
    expect(await state()).toBe('online at node');
    expect([node.replaced, node.questions.length]).toEqual([['lamp'], 1]);
  });

  it("with duplicates: 'allow', keeps the connection of any live node, and shows the newest", async () => {
    await start('allow');
    await hear(1);
    expect(await state()).toBe('online at node');
    await hear(node.clock.now() + 1_000_000);
    expect(await state()).toBe('online at other');
    expect(node.replaced).toEqual([]);
    node.book.takeOver('lamp');
    await node.settled();
    expect(await state()).toBe('online at node');
    // Once: from then on the newest is shown again.
    await hear(node.clock.now() + 1_000_000);
    expect(await state()).toBe('online at other');
  });

  it('keeps the entry of another node when its own connection ends', async () => {
    await start();
    await writeElsewhere(bucket, node.clock.now() + 1_000);
    node.leave('lamp');
    await node.settled();
    expect(await state()).toBe('online at other');
    expect(node.questions).toEqual([]);
  });

  it('leaves word of a later departure elsewhere when its own connection ends', async () => {
    await start();
    await writeElsewhere(bucket, node.clock.now() + 1_000, LEFT);
    node.leave('lamp');
    await node.settled();
    expect(await state()).toBe('offline at other');
  });

  it('looks again when it is told of a write that came while its own was under way', async () => {
    const real = await open(`held${++tests}`);
    bucket = real;
    let isFirst = true;
    const put: typeof real.put = async (...args) => {
      const revision = await real.put(...args);
      if (isFirst) {
        isFirst = false;
        node.book.onCommitted('lamp', await writeElsewhere(real, 1, LEFT));
      }
      return revision;
    };
    node = new TestNode();
    await node.book.resume(Object.assign(Object.create(real) as typeof real, { put }));
    node.come('lamp');
    await node.settled();
    expect(await state()).toBe('online at node');
    node.book.pause();
  });

  it('reads nothing when it is told of its own write', async () => {
    const reading = counted(await open(`held${++tests}`));
    node = new TestNode();
    await node.book.resume(reading);
    node.come('lamp');
    await node.settled();
    const { reads } = reading;
    node.book.onCommitted('lamp', (await open(`held${tests}`).then((read) => read.get(key))).revision);
    await node.settled();
    expect(reading.reads).toBe(reads);
    node.book.pause();
  });

  it('checks all its devices periodically, even without a watch event', async () => {
    bucket = await open(`held${++tests}`);
    node = new TestNode('newest', 6_000);
    await node.book.resume(bucket);
    node.come('lamp');
    await node.settled();
    await writeElsewhere(bucket, 1, LEFT);
    await eventually(state, (found) => found === 'online at node');
  });
});

it('a late write neither overwrites a newer entry nor takes effect after its connection has ended', async () => {
  const real = await open('late');
  const late: (() => Promise<number | undefined>)[] = [];
  let failing = true;
  const put: typeof real.put = (...args) => {
    if (!failing) return real.put(...args);
    failing = false;
    late.push(() => real.put(...args));
    return Promise.reject(new Error('nobody knows what became of it'));
  };
  const bucket: Bucket<PresenceRecord> = Object.assign(Object.create(real) as typeof real, { put });
  const node = new TestNode();
  // Another node holds an older connection.
  await writeElsewhere(real, 1);
  await node.book.resume(bucket);
  node.come('lamp');
  node.leave('lamp');
  await node.settled();
  expect(await late[0]?.()).toBeUndefined();
  expect((await real.get(key)).value).toMatchObject({ node: 'other', state: 'online' });
});

describe("a node that claims a device, with duplicates: 'oldest'", () => {
  let bucket: Bucket<PresenceRecord>;
  let node: TestNode;
  let tests = 0;
  beforeEach(async () => {
    bucket = await open(`claims${++tests}`);
    node = new TestNode('oldest');
    await node.book.resume(bucket);
  });
  const claim = (): Promise<boolean> => node.book.claim(deviceOf('lamp', 1));

  it('is rejected when another node holds the device', async () => {
    await writeElsewhere(bucket, node.clock.now());
    node.answer = async () => true;
    expect(await claim()).toBe(false);
    node.answer = () => Promise.reject(new Error('no answer'));
    expect(await claim()).toBe(false);
    expect(node.book.holds('lamp', { node: '', time: Number.MAX_SAFE_INTEGER })).toBe(false);
  });

  it('gives it to one of those that ask at the same time, and to the next when that one gives it back', async () => {
    expect(await Promise.all([claim(), claim(), claim()])).toEqual([true, false, false]);
    node.book.unclaim('lamp');
    expect(await claim()).toBe(true);
  });

  it.each([
    ['has it at the third attempt', 2, true],
    ['is refused after the third attempt', 3, false],
  ])('%s where somebody else writes at each', async (_, times, isFree) => {
    let writes = 0;
    const put: typeof bucket.put = async (...args) => {
      if (++writes <= times) await writeElsewhere(bucket, 1, LEFT);
      return bucket.put(...args);
    };
    await node.book.resume(Object.assign(Object.create(bucket) as typeof bucket, { put }));
    expect(await claim()).toBe(isFree);
    expect((await bucket.get(key)).value?.node).toBe(isFree ? 'node' : 'other');
  });

  it('succeeds when the entry is outdated', async () => {
    await writeElsewhere(bucket, node.clock.now());
    node.answer = async () => false;
    expect(await claim()).toBe(true);
    expect((await bucket.get(key)).value).toMatchObject({ state: 'online', node: 'node' });
    expect(node.book.holds('lamp', { node: '', time: Number.MAX_SAFE_INTEGER })).toBe(true);
    node.book.unclaim('lamp');
    await node.settled();
    expect((await bucket.get(key)).value).toMatchObject({ state: 'offline', node: 'node' });
  });
});

describe('a device that reconnects to its node', () => {
  it('is written without a read', async () => {
    const bucket = counted(await open('back'));
    const node = new TestNode();
    await node.book.resume(bucket);
    node.come('lamp');
    await node.settled();
    node.leave('lamp');
    await node.settled();
    const reads = bucket.reads;
    node.come('lamp');
    await node.settled();
    expect(bucket.reads).toBe(reads);
    expect((await bucket.get(key)).value).toMatchObject({ state: 'online', node: 'node' });
    node.book.pause();
  });

  it('is read first when another node has written it meanwhile', async () => {
    const bucket = await open('back-elsewhere');
    const node = new TestNode();
    await node.book.resume(bucket);
    node.come('lamp');
    await node.settled();
    node.leave('lamp');
    await node.settled();
    // It has connected to another node since, whose connection stays by rank.
    await writeElsewhere(bucket, Number.MAX_SAFE_INTEGER);
    node.answer = () => Promise.resolve(true);
    node.come('lamp');
    await node.settled();
    expect(node.replaced).toEqual(['lamp']);
    expect((await bucket.get(key)).value).toMatchObject({ state: 'online', node: 'other' });
    node.book.pause();
  });

  it('is read first when the bucket was recreated, whose revisions may be equal', async () => {
    const node = new TestNode();
    await node.book.resume(await open('back-before'));
    node.come('lamp');
    await node.settled();
    node.leave('lamp');
    await node.settled();
    node.book.pause();
    const anew = await open('back-anew');
    await writeElsewhere(anew, 1);
    await writeElsewhere(anew, Number.MAX_SAFE_INTEGER);
    await node.book.resume(anew);
    node.answer = () => Promise.resolve(true);
    node.come('lamp');
    await node.settled();
    expect(node.replaced).toEqual(['lamp']);
    node.book.pause();
  });
});

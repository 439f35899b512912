import { jest } from '@jest/globals';
import { DelegatingStore } from '../../../test/support/delegating-store.js';
import { type DeviceQueue, type QueueEntry } from '../../delivery/index.js';
import { type QueueStore } from './delivery-store.js';
import { DeviceQueues } from './device-queues.js';

/** A store in memory of which a test delays calls, or lets them fail. */
class Store extends DelegatingStore {
  /** The events of each queue that was to be written. */
  readonly writes: string[][] = [];
  /** The names of the messages that are kept. */
  readonly messages = new Set<string>();
  onWrite = (write: () => boolean): boolean | Promise<boolean> => write();
  onMessage: (message: Uint8Array) => Promise<void> = () => Promise.resolve();

  override writeQueue(...all: Parameters<QueueStore['writeQueue']>): boolean | Promise<boolean> {
    this.writes.push(all[2]?.waiting.map(({ event }) => event) ?? []);
    return this.onWrite(() => this.memory.writeQueue(...all));
  }

  override writeMessage(...all: Parameters<QueueStore['writeMessage']>): Promise<void> {
    this.messages.add(all[2]);
    this.memory.writeMessage(...all);
    return this.onMessage(all[3]);
  }

  override removeMessages(...all: Parameters<QueueStore['removeMessages']>): void {
    for (const name of all[2]) this.messages.delete(name);
    this.memory.removeMessages(...all);
  }

  /** The queue of device 'a'. */
  get queue(): DeviceQueue | undefined {
    return this.memory.readQueue('/fedecks', 'a');
  }
}

/** A node with the store. */
class Node {
  readonly changes: string[] = [];
  readonly announced: string[] = [];
  readonly failures: string[] = [];
  isReachable = true;
  readonly queues = new DeviceQueues('/fedecks', {
    onChange: (_deviceId, entry) => this.changes.push(describeEntry(entry)),
    announce: (deviceId, entries) => {
      if (this.isReachable) this.announced.push(`${deviceId}: ${entries.map(describeEntry).join()}`);
      return this.isReachable;
    },
    onSwept: () => Promise.resolve(),
    onFailure: (what, error) => this.failures.push(`${what}: ${String(error)}`),
  });

  constructor(store: Store, warn?: () => void) {
    this.queues.keepIn(store, warn);
  }

  put(event: string, more: { ttlMs?: number; key?: string } = {}) {
    const { ttlMs = 60_000, key } = more;
    return this.queues.put('a', { event, lane: 'l', key, ttlMs, message: Buffer.from(event) });
  }
}

function describeEntry(entry: QueueEntry): string {
  if ('finalAt' in entry) return `${entry.event} ${entry.state}`;
  return `${entry.event} ${entry.attempts === 0 ? 'queued' : 'sent'}`;
}

let store: Store;
let node: Node;
beforeEach(() => {
  store = new Store();
  node = new Node(store);
});
afterEach(() => node.queues.close(0));

const events = (): string[] => store.queue?.waiting.map(({ event }) => event) ?? [];

it('writes the changes that are asked for during a write together', async () => {
  await Promise.all(['one', 'two', 'three'].map((event) => node.put(event)));
  expect(store.writes).toEqual([['one'], ['one', 'two', 'three']]);
  expect(node.changes).toEqual(['one queued', 'two queued', 'three queued']);
  expect(node.announced).toEqual(['a: one queued', 'a: two queued,three queued']);
});

it('keeps the order of the calls, however long their messages take', async () => {
  store.onMessage = (message) =>
    new Promise((resolve) => setTimeout(resolve, message.toString() === 'slow' ? 20 : 0));
  await Promise.all([node.put('slow'), node.put('fast')]);
  expect(events()).toEqual(['slow', 'fast']);
});

it('numbers what several nodes put in without a gap in the order', async () => {
  const other = new Node(store);
  for (let times = 0; times < 20; times++) await Promise.all([node.put('a'), other.put('b')]);
  const { waiting } = store.queue!;
  const numbers = waiting.map(({ seq }) => seq);
  expect(numbers).toHaveLength(40);
  expect(numbers).toEqual([...new Set(numbers)].sort((one, two) => one - two));
  expect(new Set(waiting.map(({ epoch }) => epoch)).size).toBe(2);
  await other.queues.close(0);
});

it('applies a change to what another node has written meanwhile', async () => {
  const other = new Node(store);
  let meanwhile: Promise<unknown> | undefined;
  const { onWrite } = store;
  store.onWrite = (write) => {
    if (meanwhile) return write();
    store.onWrite = onWrite;
    meanwhile = other.put('of the other');
    return meanwhile.then(write);
  };
  await node.put('mine');
  expect(events()).toEqual(['of the other', 'mine']);
  expect(node.changes).toEqual(['mine queued']);
  await other.queues.close(0);
});

it('puts a message in once when the store has kept it and fails to answer', async () => {
  let failures = 0;
  store.onWrite = (write) => {
    write();
    if (failures++ === 0) throw new Error('the answer is lost');
    return true;
  };
  await node.put('one');
  expect([events(), node.changes, store.writes]).toEqual([['one'], ['one queued'], [['one']]]);
});

it('does not put it in twice when another node writes after that', async () => {
  const other = new Node(store);
  const { onWrite } = store;
  store.onWrite = (write) => {
    write();
    store.onWrite = onWrite;
    return other.put('of the other').then(() => {
      throw new Error('the answer is lost');
    });
  };
  await node.put('one');
  expect(events()).toEqual(['one', 'of the other']);
  await other.queues.close(0);
});

it('rejects when the store fails three times, and keeps nothing', async () => {
  store.onWrite = () => {
    throw new Error('the disk is full');
  };
  await expect(node.put('one')).rejects.toThrow('the disk is full');
  expect([store.writes.length, node.changes, store.messages.size]).toEqual([3, [], 0]);
});

it('rejects when the message cannot be kept, and does not name it in the queue', async () => {
  store.onMessage = () => Promise.reject(new Error('the disk is full'));
  await expect(node.put('one')).rejects.toThrow('the disk is full');
  expect(store.writes).toEqual([]);
});

it('rejects when other nodes keep writing', async () => {
  store.onWrite = () => false;
  await expect(node.put('one')).rejects.toThrow('other nodes keep writing it');
  expect(store.writes).toHaveLength(20);
});

it('does not wait longer than 5 s for a store that hangs', async () => {
  jest.useFakeTimers();
  try {
    store.onWrite = () => new Promise(() => undefined);
    const put = node.put('one');
    const failed = expect(put).rejects.toThrow('5000 ms');
    await jest.advanceTimersByTimeAsync(16_000);
    await failed;
  } finally {
    jest.useRealTimers();
  }
});

it('removes the messages of what is final', async () => {
  const one = await node.put('one');
  await node.put('two', { key: 'k' });
  await node.put('three', { key: 'k' });
  await node.queues.settle('a', [one], { state: 'done' });
  expect(store.messages.size).toBe(1);
});

it('removes the queue of a device when nothing is to be known of it', async () => {
  const now = jest.spyOn(Date, 'now').mockReturnValue(1_000_000);
  try {
    await node.put('one', { ttlMs: 10 });
    now.mockReturnValue(1_000_010);
    await node.queues.read('a');
    expect(node.changes).toEqual(['one queued', 'one expired']);
    now.mockReturnValue(1_000_010 + 7 * 24 * 60 * 60 * 1_000);
    await node.queues.read('a');
    expect(store.queue).toBeUndefined();
  } finally {
    now.mockRestore();
  }
});

it('does not use a number again after that, although the clock was set back', async () => {
  const now = jest.spyOn(Date, 'now').mockReturnValue(2_000_000);
  try {
    const before = await node.put('one');
    void store.writeQueue('/fedecks', 'a', undefined, store.queue!.revision);
    now.mockReturnValue(1_000_000);
    expect((await node.put('two')).seq).toBeGreaterThan(before.seq);
  } finally {
    now.mockRestore();
  }
});

it('finds every minute what has expired, of however many devices', async () => {
  jest.useFakeTimers();
  try {
    const sweeping = new Node(store);
    for (let device = 0; device < 250; device++) {
      const put = { event: 'e', lane: 'l', key: undefined, ttlMs: 1_000, message: Buffer.from('m') };
      await sweeping.queues.put(`device ${device}`, put);
    }
    await jest.advanceTimersByTimeAsync(60_000);
    expect(sweeping.changes.filter((change) => change === 'e expired')).toHaveLength(250);
    await sweeping.queues.close(0);
    expect(jest.getTimerCount()).toBe(0);
  } finally {
    jest.useRealTimers();
  }
});

it('has no timer before something is put in, where a restart forgets what is kept', () => {
  jest.useFakeTimers();
  try {
    const warn = jest.fn();
    const unused = new Node(store, warn);
    expect([jest.getTimerCount(), unused.queues.isUsed]).toEqual([0, false]);
    void unused.put('one');
    void unused.put('two');
    expect(warn).toHaveBeenCalledTimes(1);
    void unused.queues.close(0);
  } finally {
    jest.useRealTimers();
  }
});

it('announces again what other nodes have missed', async () => {
  node.isReachable = false;
  const one = await node.put('one');
  await node.put('two');
  await node.queues.settle('a', [one], { state: 'done' });
  node.isReachable = true;
  await node.queues.announceMissed();
  expect(node.announced).toEqual(['a: two queued,one done']);
});

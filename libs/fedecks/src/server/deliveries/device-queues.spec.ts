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
  onDue: () => void = () => undefined;
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

  override dueQueues(...all: Parameters<QueueStore['dueQueues']>): string[] {
    this.onDue();
    return this.memory.dueQueues(...all);
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
  sweeps = 0;
  isReachable = true;
  readonly queues = new DeviceQueues('/fedecks', {
    onChange: (_deviceId, entry) => this.changes.push(describeEntry(entry)),
    announce: (deviceId, entries) => {
      if (this.isReachable) this.announced.push(`${deviceId}: ${entries.map(describeEntry).join()}`);
      return this.isReachable;
    },
    onSwept: async () => {
      this.sweeps++;
    },
    onFailure: (what, error) => this.failures.push(`${what}: ${String(error)}`),
  });

  constructor(store: Store, warn?: () => void) {
    this.queues.keepIn(store, warn);
  }

  put(event: string, more: { ttlMs?: number; key?: string; lane?: string; device?: string } = {}) {
    const { ttlMs = 60_000, key, lane = 'l', device = 'a' } = more;
    return this.queues.put(device, { event, lane, key, ttlMs, message: Buffer.from(event) });
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

it('waits 100 ms before it asks a store again that has failed', async () => {
  const times: number[] = [];
  store.onWrite = () => {
    times.push(performance.now());
    throw new Error('the disk is full');
  };
  await expect(node.put('one')).rejects.toThrow('the disk is full');
  const [first, second, third] = times as [number, number, number];
  // A timer may be a millisecond early.
  expect(Math.min(second - first, third - second)).toBeGreaterThan(98);
});

it('refuses one of the changes that are written together, and makes the others', async () => {
  for (let lane = 1; lane < 8; lane++) await node.put('event', { lane: `lane ${lane}` });
  const puts = ['l', 'one too many', 'l'].map((lane) => node.put('event', { lane }));
  const outcomes = await Promise.allSettled([node.put('event'), ...puts]);
  expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected', 'fulfilled']);
  expect(store.writes).toHaveLength(9);
});

it('waits for what is being written when it closes', async () => {
  store.onWrite = async (write) => {
    await new Promise((resolve) => setTimeout(resolve, 20));
    return write();
  };
  void node.put('one');
  await node.queues.close(1_000);
  expect(events()).toEqual(['one']);
});

/** Lets the next three writes fail. @returns what makes the last of them. */
function failThrice(): () => boolean {
  const writes: (() => boolean)[] = [];
  const { onWrite } = store;
  store.onWrite = (write) => {
    if (writes.push(write) === 3) store.onWrite = onWrite;
    throw new Error('the answer is lost');
  };
  return () => writes[2]!();
}

it('tells once of a final state that the store has kept without an answer', async () => {
  const one = await node.put('one');
  const { onWrite } = store;
  store.onWrite = (write) => {
    store.onWrite = onWrite;
    write();
    throw new Error('the answer is lost');
  };
  await node.queues.settle('a', [one], { state: 'done' });
  await node.queues.read('a');
  expect([node.changes, store.messages.size]).toEqual([['one queued', 'one done'], 0]);
});

it('tells of a message that the store puts in after it has failed', async () => {
  const finish = failThrice();
  await expect(node.put('one')).rejects.toThrow('the answer is lost');
  await node.queues.read('a');
  expect(node.changes).toEqual([]);
  finish();
  await node.queues.read('a');
  await node.queues.read('a');
  expect(node.changes).toEqual(['one queued']);
});

it('does not call such a message queued that another node has sent', async () => {
  const other = new Node(store);
  const finish = failThrice();
  await expect(node.put('one')).rejects.toThrow('the answer is lost');
  finish();
  await other.queues.take('a', store.queue!.waiting[0]!);
  await node.queues.read('a');
  expect([node.changes, other.changes]).toEqual([[], ['one sent']]);
  await other.queues.close(0);
});

it('does not tell of a final state that another node was faster to give', async () => {
  const other = new Node(store);
  const one = await node.put('one');
  failThrice();
  await expect(node.queues.settle('a', [one], { state: 'done' })).rejects.toThrow('the answer is lost');
  await other.queues.settle('a', [one], { state: 'expired' });
  await node.queues.read('a');
  expect([node.changes, other.changes]).toEqual([['one queued'], ['one expired']]);
  await other.queues.close(0);
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

it('tells what a message replaces before the message', async () => {
  for (const event of ['one', 'two']) await node.put(event, { key: 'k' });
  expect(node.changes).toEqual(['one queued', 'one cancelled', 'two queued']);
});

it('makes final what has expired when it is about to be sent', async () => {
  const now = jest.spyOn(Date, 'now').mockReturnValue(1_000_000);
  try {
    const one = await node.put('one', { ttlMs: 10 });
    now.mockReturnValue(1_000_010);
    expect(await node.queues.take('a', one)).toBeUndefined();
    expect(node.changes).toEqual(['one queued', 'one expired']);
  } finally {
    now.mockRestore();
  }
});

it('takes null of a store for nothing', async () => {
  const nothing = () => null as unknown as undefined;
  store.readQueue = nothing;
  store.readMessage = nothing;
  expect(await node.queues.readMessage('a', 'name')).toBeUndefined();
  expect(await node.queues.read('a')).toBeUndefined();
  await node.put('one');
  expect(events()).toEqual(['one']);
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

it('does not use a number again either that follows one of a node whose clock is ahead', async () => {
  const now = jest.spyOn(Date, 'now').mockReturnValue(2_000_000);
  try {
    const other = new Node(store);
    await other.put('of the other');
    now.mockReturnValue(1_000_000);
    const before = await node.put('one');
    void store.writeQueue('/fedecks', 'a', undefined, store.queue!.revision);
    expect((await node.put('two')).seq).toBeGreaterThan(before.seq);
    await other.queues.close(0);
  } finally {
    now.mockRestore();
  }
});

it('gives greater numbers than a process that ended, of which nothing is kept', async () => {
  const now = jest.spyOn(Date, 'now').mockReturnValue(1_000_000);
  try {
    const before = await node.put('one');
    void store.writeQueue('/fedecks', 'a', undefined, store.queue!.revision);
    now.mockReturnValue(1_000_001);
    const next = new Node(store);
    expect((await next.put('two')).seq).toBeGreaterThan(before.seq);
    await next.queues.close(0);
  } finally {
    now.mockRestore();
  }
});

it('looks every minute, also after the store has failed, and at what was not answered', async () => {
  jest.useFakeTimers();
  try {
    const sweeping = new Node(store);
    const one = await sweeping.put('one');
    const finish = failThrice();
    const settled = expect(sweeping.queues.settle('a', [one], { state: 'done' })).rejects.toThrow('is lost');
    await jest.advanceTimersByTimeAsync(1_000);
    await settled;
    finish();
    const { onDue } = store;
    store.onDue = () => {
      store.onDue = onDue;
      throw new Error('the disk is full');
    };
    await jest.advanceTimersByTimeAsync(60_000);
    expect([sweeping.changes, sweeping.sweeps]).toEqual([['one queued', 'one done'], 1]);
    expect(sweeping.failures).toEqual(['looking for messages that have expired: Error: the disk is full']);
    await jest.advanceTimersByTimeAsync(60_000);
    expect([sweeping.failures.length, sweeping.sweeps]).toEqual([1, 2]);
    await sweeping.queues.close(0);
  } finally {
    jest.useRealTimers();
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
    expect(jest.getTimerCount()).toBe(0);
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
  await node.queues.announceMissed();
  expect(node.announced).toEqual(['a: two queued,one done']);
});

it('announces again what was missed of 10,000 devices, the last ones', async () => {
  node.isReachable = false;
  for (let device = 0; device <= 10_000; device++) await node.put('one', { device: `device ${device}` });
  node.isReachable = true;
  await node.queues.announceMissed();
  expect([node.announced.length, node.announced[0]]).toEqual([10_000, 'device 1: one queued']);
});

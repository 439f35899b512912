import { jest } from '@jest/globals';
import { type Bucket } from './bucket.js';
import { Leases, type NodeEntry, type NodeMessage, readNodeMessage } from './leases.js';
import { SharedClock } from './rank.js';
import { Subjects } from './subjects.js';

const HEARTBEAT_MS = 1_000;
const LEASE_MS = 3 * HEARTBEAT_MS;

/** An empty bucket that accepts any value. */
const bucket = {
  put: async () => 1,
  remove: async () => undefined,
  async *scan() {
    yield* [];
  },
} as unknown as Bucket<NodeEntry>;

describe('Leases', () => {
  let told: NodeMessage[];
  let doubts: number;
  let sweep: (nodes: readonly string[]) => Promise<void>;
  let leases: Leases;
  let clock: SharedClock;

  beforeEach(async () => {
    jest.useFakeTimers();
    told = [];
    doubts = 0;
    sweep = async () => undefined;
    clock = new SharedClock();
    leases = new Leases('self', clock, new Subjects('fleet', '/fedecks'), HEARTBEAT_MS, {
      tell: (message) => told.push(message),
      sweep: (silentForMs) => sweep([...silentForMs.keys()]),
      onDoubted: () => doubts++,
    });
    await leases.resume(bucket);
  });

  afterEach(async () => {
    await leases.stop(false);
    jest.restoreAllMocks();
    jest.useRealTimers();
  });

  it('checks its own entries when it is swept by mistake', () => {
    leases.received({ type: 'sweeping', node: 'other', lost: 'self' });
    expect(doubts).toBe(1);
    leases.received({ type: 'swept', node: 'other', lost: 'self' });
    expect(doubts).toBe(2);
  });

  it('sweeps all lost nodes at once, except one that another node is sweeping', async () => {
    const sweeps: string[][] = [];
    sweep = async (nodes) => void sweeps.push([...nodes].sort());
    for (const node of ['a', 'b', 'c', 'd']) leases.received({ type: 'lives', node });
    await jest.advanceTimersByTimeAsync(LEASE_MS - 1);
    leases.received({ type: 'sweeping', node: 'd', lost: 'c' });
    await jest.advanceTimersByTimeAsync(HEARTBEAT_MS);
    expect(sweeps).toEqual([['a', 'b']]);
    expect(told.filter(({ type }) => type === 'swept').map(({ lost }) => lost)).toEqual(['a', 'b']);
  });

  it('does not mark a node as swept that returns meanwhile', async () => {
    let finish = (): void => undefined;
    sweep = () => new Promise((resolve) => (finish = resolve));
    leases.received({ type: 'lives', node: 'other' });
    await jest.advanceTimersByTimeAsync(LEASE_MS + HEARTBEAT_MS);
    leases.received({ type: 'lives', node: 'other' });
    finish();
    await jest.advanceTimersByTimeAsync(0);
    expect(told.filter(({ lost }) => lost === 'other').map(({ type }) => type)).toEqual(['sweeping']);
    expect(leases.lives('other')).toBe(true);
  });

  it('beats at once after a pause of this process, and gives the others, who may have been paused too, a lease', async () => {
    const now = performance.now.bind(performance);
    let pausedMs = 0;
    jest.spyOn(performance, 'now').mockImplementation(() => now() + pausedMs);
    leases.received({ type: 'lives', node: 'other' });
    await jest.advanceTimersByTimeAsync(0.9 * HEARTBEAT_MS);
    told = [];
    pausedMs = 2.5 * HEARTBEAT_MS;
    await jest.advanceTimersByTimeAsync(0.2 * HEARTBEAT_MS);
    expect(told.map(({ type }) => type)).toEqual(['lives']);
    await jest.advanceTimersByTimeAsync(2 * HEARTBEAT_MS);
    expect(told.map(({ type }) => type)).not.toContain('sweeping');
    expect(leases.lives('other')).toBe(true);
    await jest.advanceTimersByTimeAsync(2 * HEARTBEAT_MS);
    expect(told.filter(({ type }) => type === 'swept').map(({ lost }) => lost)).toEqual(['other']);
    expect(doubts).toBe(0);
  });

  it('adopts the clocks of other nodes, and publishes its own', async () => {
    const ahead = clock.now() + 3_600_000_000;
    leases.received({ type: 'lives', node: 'other', time: ahead });
    await jest.advanceTimersByTimeAsync(HEARTBEAT_MS);
    expect(told.find(({ type }) => type === 'lives')?.time).toBeDefined();
    expect(told.at(-1)?.time).toBeGreaterThan(ahead);
  });

  it.each([-1, 1.5, 2 ** 53, '1', null])('rejects a message whose time is %p', (time) => {
    const message = Buffer.from(JSON.stringify({ type: 'lives', node: 'other', time }));
    expect(() => readNodeMessage(message)).toThrow('not a known node message');
  });
});

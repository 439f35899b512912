import { jest } from '@jest/globals';
import { type Bucket } from './bucket.js';
import { Leases, type NodeEntry, type NodeMessage } from './leases.js';
import { Subjects } from './subjects.js';

const HEARTBEAT_MS = 1_000;
const LEASE_MS = 3 * HEARTBEAT_MS;

/** A bucket without entries, in which anything can be put. */
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
  let sweep: (node: string) => Promise<void>;
  let leases: Leases;

  beforeEach(async () => {
    jest.useFakeTimers();
    told = [];
    doubts = 0;
    sweep = async () => undefined;
    leases = new Leases('self', new Subjects('fleet', '/fedecks'), HEARTBEAT_MS, {
      tell: (message) => told.push(message),
      sweep: (node) => sweep(node),
      doubted: () => doubts++,
    });
    await leases.resume(bucket);
  });

  afterEach(async () => {
    await leases.stop(false);
    jest.useRealTimers();
  });

  it('has what is written of this node looked at when it is swept, and again when what was on its way has arrived', async () => {
    leases.received({ type: 'sweeping', node: 'other', lost: 'self' });
    expect(doubts).toBe(1);
    await jest.advanceTimersByTimeAsync(LEASE_MS + HEARTBEAT_MS);
    expect(doubts).toBe(2);
    await jest.advanceTimersByTimeAsync(10 * LEASE_MS);
    expect(doubts).toBe(2);
  });

  it('tells a node that comes back while it is swept to look again', async () => {
    let swept = (): void => undefined;
    sweep = () => new Promise((resolve) => (swept = resolve));
    leases.received({ type: 'lives', node: 'other' });
    await jest.advanceTimersByTimeAsync(LEASE_MS + HEARTBEAT_MS);
    const sweeping = { type: 'sweeping', node: 'self', lost: 'other' };
    expect(told.filter(({ lost }) => lost === 'other')).toEqual([sweeping]);
    leases.received({ type: 'lives', node: 'other' });
    swept();
    await jest.advanceTimersByTimeAsync(0);
    expect(told.filter(({ lost }) => lost === 'other')).toEqual([sweeping, sweeping]);
  });
});

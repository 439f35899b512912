import fc from 'fast-check';
import { isLater, isTime, type Rank, SharedClock, staysOver } from './rank.js';

const MAX_TIME = Date.UTC(2243, 0) * 1_000;
/** Few values, so that equal times and nodes are frequent. */
const rank = fc.record({ time: fc.integer({ min: 0, max: 3 }), node: fc.constantFrom('a', 'b', 'c') });
const order = fc.constantFrom('newest' as const, 'oldest' as const, 'allow' as const);
const same = (one: Rank, other: Rank): boolean => one.time === other.time && one.node === other.node;

describe('staysOver', () => {
  it('lets exactly one of two connections stay', () => {
    fc.assert(
      fc.property(rank, rank, order, (one, other, duplicates) => {
        const stays = [staysOver(one, other, duplicates), staysOver(other, one, duplicates)];
        expect(stays.filter(Boolean)).toHaveLength(same(one, other) ? 0 : 1);
      }),
    );
  });

  it('lets one of any number stay over all the others', () => {
    fc.assert(
      fc.property(fc.array(rank, { minLength: 1 }), order, (ranks, duplicates) => {
        const best = ranks.filter((one) => !ranks.some((other) => staysOver(other, one, duplicates)));
        expect(new Set(best.map(({ time, node }) => `${time} ${node}`)).size).toBe(1);
      }),
    );
  });

  it('compares times first, and node names for equal times', () => {
    expect(isLater({ time: 2, node: 'a' }, { time: 1, node: 'b' })).toBe(true);
    expect(isLater({ time: 1, node: 'b' }, { time: 1, node: 'a' })).toBe(true);
    expect(staysOver({ time: 2, node: 'a' }, { time: 1, node: 'b' }, 'newest')).toBe(true);
    expect(staysOver({ time: 2, node: 'a' }, { time: 1, node: 'b' }, 'oldest')).toBe(false);
  });
});

describe('SharedClock', () => {
  it('orders events after a message behind those before it, whatever the wall clocks show', () => {
    const wallClock = fc.oneof(fc.integer({ min: -1e13, max: 1e16 }), fc.constant(0));
    const event = fc.record({
      node: fc.nat(2),
      hears: fc.option(fc.nat(2)),
      passesMs: fc.double({ min: 0, max: 5, noNaN: true }),
    });
    fc.assert(
      fc.property(fc.array(wallClock, { minLength: 3, maxLength: 3 }), fc.array(event), (walls, events) => {
        let elapsed = 0;
        const clocks = walls.map((wall) => new SharedClock(() => elapsed, wall));
        const lastOf = walls.map(() => -1);
        for (const { node, hears, passesMs } of events) {
          elapsed += passesMs;
          const heard = hears === null ? -1 : (lastOf[hears] ?? -1);
          if (heard >= 0) clocks[node]?.observe(heard);
          const time = clocks[node]?.now() ?? NaN;
          expect(Number.isSafeInteger(time)).toBe(true);
          expect(time).toBeGreaterThan(lastOf[node] ?? NaN);
          // A clock beyond the accepted range is not adopted by others.
          if (heard <= MAX_TIME) expect(time).toBeGreaterThan(heard);
          lastOf[node] = time;
        }
      }),
    );
  });

  it('advances with a monotonic clock', () => {
    let elapsed = 0;
    const clock = new SharedClock(() => elapsed, 1_000);
    const first = clock.now();
    elapsed += 7;
    expect(clock.now() - first).toBe(7_000);
  });

  it('goes on at that pace from a time it has heard of, and from 1970 where the wall clock is before that', () => {
    let elapsed = 0;
    const behind = new SharedClock(() => elapsed, 1_000);
    const before1970 = new SharedClock(() => elapsed, -1_000);
    behind.observe(9_000_000);
    elapsed += 7;
    expect([behind.now(), before1970.now()]).toEqual([9_007_000, 7_000]);
  });

  it.each([-1, 0.5, NaN, Infinity, MAX_TIME + 1])('does not follow %p', (time) => {
    const clock = new SharedClock(() => 0, 1_000);
    clock.observe(time);
    expect(isTime(time)).toBe(false);
    expect(clock.now()).toBe(1_000_000);
  });
});

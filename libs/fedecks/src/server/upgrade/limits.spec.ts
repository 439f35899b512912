import { UpgradeLimiter } from './upgrade-limits.js';

const always = (value: number) => (): number => value;

function limiter(upgradesPerSecond: number, upgradesPerAddressPerMinute: number): UpgradeLimiter {
  return new UpgradeLimiter({ upgradesPerSecond, upgradesPerAddressPerMinute });
}

describe('UpgradeLimiter', () => {
  it('lets through as many in a second as its limit says, whoever they are from, and as many in the next', () => {
    const limits = limiter(2, 0);
    expect(limits.refuse('a', 1_000)).toBeUndefined();
    expect(limits.refuse('b', 1_500)).toBeUndefined();
    expect(limits.refuse('c', 1_999)).toBeGreaterThanOrEqual(1);
    expect(limits.refuse('c', 2_000)).toBeUndefined();
    expect(limits.refuse('d', 2_001)).toBeUndefined();
    expect(limits.refuse('e', 2_002)).toBeGreaterThanOrEqual(1);
  });

  it('spreads those refused in a second over the time that all of them will take, a minute at most', () => {
    const limits = limiter(10, 0);
    for (let count = 0; count < 100; count++) limits.refuse('a', 0);
    expect(limits.refuse('a', 0, always(0))).toBe(1);
    expect(limits.refuse('a', 0, always(0.999))).toBeGreaterThanOrEqual(20);
    for (let count = 0; count < 10_000; count++) limits.refuse('a', 0);
    expect(limits.refuse('a', 0, always(0.999))).toBe(61);
  });

  it('lets through as many of an address in a minute as its limit says, and tells when the minute is over', () => {
    const limits = limiter(0, 3);
    for (let count = 0; count < 3; count++) expect(limits.refuse('a', 5_000)).toBeUndefined();
    expect(limits.refuse('a', 5_000, always(0))).toBe(60);
    expect(limits.refuse('a', 64_999, always(0))).toBe(1);
    expect(limits.refuse('b', 64_999)).toBeUndefined();
    expect(limits.refuse('a', 65_000)).toBeUndefined();
  });

  it('does not let one address over its limit use up the second of the others', () => {
    const limits = limiter(5, 2);
    for (let count = 0; count < 1_000; count++) limits.refuse('flood', 0);
    for (const address of ['a', 'b', 'c']) expect(limits.refuse(address, 1)).toBeUndefined();
  });

  it('does not hold against an address what the limit of the second has refused', () => {
    const limits = limiter(1, 2);
    limits.refuse('other', 0);
    for (let count = 0; count < 10; count++) expect(limits.refuse('a', 0)).toBeDefined();
    expect(limits.refuse('a', 1_000)).toBeUndefined();
    expect(limits.refuse('a', 2_000)).toBeUndefined();
    expect(limits.refuse('a', 3_000)).toBeDefined();
  });

  it('has no limit where that is 0', () => {
    const limits = limiter(0, 0);
    for (let count = 0; count < 10_000; count++) expect(limits.refuse('a', 0)).toBeUndefined();
  });
});

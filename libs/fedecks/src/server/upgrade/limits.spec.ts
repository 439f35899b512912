import { UpgradeSlots, UpgradeLimiter, type UpgradeLimits } from './limits.js';

const always = (value: number) => (): number => value;

function limits(upgradesPerSecond: number, upgradesPerAddressPerMinute: number): UpgradeLimits {
  return { upgradesPerSecond, upgradesPerAddressPerMinute };
}

/** Uses the address as its share key, as for upgrades without a token. */
class Strangers {
  private readonly limiter: UpgradeLimiter;

  constructor(perSecond: number, perAddressPerMinute: number) {
    this.limiter = UpgradeLimiter.ofStrangers(limits(perSecond, perAddressPerMinute));
  }

  refuse(address: string, now: number, random = Math.random): number | undefined {
    return this.limiter.refuse(address, address, now, random);
  }
}

describe('UpgradeLimiter', () => {
  it('allows as many upgrades per second as its limit, across all addresses', () => {
    const strangers = new Strangers(2, 0);
    expect(strangers.refuse('a', 1_000)).toBeUndefined();
    expect(strangers.refuse('b', 1_500)).toBeUndefined();
    expect(strangers.refuse('c', 1_999)).toBeGreaterThanOrEqual(1);
    expect(strangers.refuse('c', 2_000)).toBeUndefined();
    expect(strangers.refuse('d', 2_001)).toBeUndefined();
    expect(strangers.refuse('e', 2_002)).toBeGreaterThanOrEqual(1);
  });

  it('spreads Retry-After over the time that all rejected upgrades need, at most a minute', () => {
    const strangers = new Strangers(10, 0);
    for (let count = 0; count < 100; count++) strangers.refuse(`a${count}`, 0);
    expect(strangers.refuse('b', 0, always(0))).toBe(1);
    expect(strangers.refuse('b', 0, always(0.999))).toBeGreaterThanOrEqual(20);
    for (let count = 0; count < 10_000; count++) strangers.refuse(`a${count}`, 0);
    expect(strangers.refuse('b', 0, always(0.999))).toBe(61);
  });

  it('allows as many upgrades per address and minute as its limit, with Retry-After to the end of the minute', () => {
    const strangers = new Strangers(0, 3);
    for (let count = 0; count < 3; count++) expect(strangers.refuse('a', 5_000)).toBeUndefined();
    expect(strangers.refuse('a', 5_000, always(0))).toBe(60);
    expect(strangers.refuse('a', 64_999, always(0))).toBe(1);
    expect(strangers.refuse('b', 64_999)).toBeUndefined();
    expect(strangers.refuse('a', 65_000)).toBeUndefined();
  });

  it('does not count an address over its limit against the limit per second', () => {
    const strangers = new Strangers(5, 2);
    for (let count = 0; count < 1_000; count++) strangers.refuse('flood', 0);
    for (const address of ['a', 'b', 'c']) expect(strangers.refuse(address, 1)).toBeUndefined();
  });

  it('allows one address at most half of the limit per second', () => {
    const strangers = new Strangers(10, 1_000);
    const taken = Array.from({ length: 20 }, () => strangers.refuse('flood', 0));
    expect(taken.filter((refused) => refused === undefined)).toHaveLength(5);
    for (const address of ['a', 'b', 'c', 'd', 'e']) expect(strangers.refuse(address, 1)).toBeUndefined();
    expect(strangers.refuse('flood', 1_000)).toBeUndefined();
  });

  it('does not count upgrades that the limit per second has rejected against the address', () => {
    const strangers = new Strangers(1, 2);
    strangers.refuse('other', 0);
    for (let count = 0; count < 10; count++) expect(strangers.refuse('a', 0)).toBeDefined();
    expect(strangers.refuse('a', 1_000)).toBeUndefined();
    expect(strangers.refuse('a', 2_000)).toBeUndefined();
    expect(strangers.refuse('a', 3_000)).toBeDefined();
  });

  it('allows one device with a token a tenth of the limit of its address', () => {
    const tokens = UpgradeLimiter.ofTokens(limits(0, 1_000));
    const taken = Array.from({ length: 500 }, () => tokens.refuse('a', 'hasty', 0));
    expect(taken.filter((refused) => refused === undefined)).toHaveLength(100);
    expect(tokens.refuse('a', 'another', 0)).toBeUndefined();
    expect(tokens.refuse('a', 'hasty', 60_000)).toBeUndefined();
  });

  it('allows devices with tokens of one address the whole limit per second', () => {
    const tokens = UpgradeLimiter.ofTokens(limits(10, 0));
    const taken = Array.from({ length: 20 }, (_, index) => tokens.refuse('proxy', `device-${index}`, 0));
    expect(taken.filter((refused) => refused === undefined)).toHaveLength(10);
  });

  it('counts 100,000 addresses per minute separately, and all others together', () => {
    const strangers = new Strangers(0, 2);
    for (let count = 0; count < 100_000; count++) strangers.refuse(`address-${count}`, 0);
    expect(strangers.refuse('new-1', 0)).toBeUndefined();
    expect(strangers.refuse('new-2', 0)).toBeUndefined();
    expect(strangers.refuse('new-3', 0)).toBeDefined();
    expect(strangers.refuse('address-7', 0)).toBeUndefined();
    expect(strangers.refuse('new-3', 60_000)).toBeUndefined();
  });

  it('is unlimited with 0', () => {
    const strangers = new Strangers(0, 0);
    for (let count = 0; count < 10_000; count++) expect(strangers.refuse('a', 0)).toBeUndefined();
    const tokens = UpgradeLimiter.ofTokens(limits(0, 0));
    for (let count = 0; count < 10_000; count++) expect(tokens.refuse('a', 'device', 0)).toBeUndefined();
  });
});

describe('UpgradeSlots', () => {
  it('limits the total, and the number per address', () => {
    const slots = new UpgradeSlots(3, 2);
    slots.take('a');
    slots.take('a');
    expect([slots.hasRoom('a'), slots.hasRoom('b')]).toEqual([false, true]);
    slots.take('b');
    expect(slots.hasRoom('c')).toBe(false);
    slots.release('a');
    expect([slots.hasRoom('a'), slots.hasRoom('c')]).toEqual([true, true]);
  });
});

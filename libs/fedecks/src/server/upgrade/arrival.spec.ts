import { type Arrival, isOlder } from './arrival.js';

const asked = (askedAt: number, process?: string, number = 1): Arrival => ({
  askedAt,
  attempt: process === undefined ? undefined : { process, number },
});

describe('isOlder', () => {
  it('compares attempt numbers of one process, whenever the upgrades arrived', () => {
    expect(isOlder(asked(20, 'a', 1), asked(10, 'a', 2))).toBe(true);
    expect(isOlder(asked(10, 'a', 2), asked(20, 'a', 1))).toBe(false);
  });

  it('does not treat a repeated attempt as older than itself, as when a proxy retries', () => {
    expect(isOlder(asked(10, 'a', 1), asked(20, 'a', 1))).toBe(false);
    expect(isOlder(asked(20, 'a', 1), asked(10, 'a', 1))).toBe(false);
  });

  it('compares arrival times of different processes, and without an attempt header', () => {
    expect(isOlder(asked(10, 'a', 9), asked(20, 'b', 1))).toBe(true);
    expect(isOlder(asked(20, 'a', 1), asked(10, 'b', 9))).toBe(false);
    expect(isOlder(asked(10), asked(20))).toBe(true);
    expect(isOlder(asked(20), asked(10, 'a'))).toBe(false);
  });
});

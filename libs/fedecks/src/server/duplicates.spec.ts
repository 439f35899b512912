import { type Arrival, Flapping, isOlder } from './duplicates.js';

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

describe('Flapping', () => {
  it('is reported once, at the fifth replacement within a minute', () => {
    const flapping = new Flapping();
    const noticed = Array.from({ length: 20 }, (_, index) => flapping.onReplaced('a', index * 1_000));
    expect(noticed.flatMap((yes, index) => (yes ? [index] : []))).toEqual([4]);
  });

  it('is reported again in the next minute in which it continues', () => {
    const flapping = new Flapping();
    const times = Array.from({ length: 120 }, (_, index) => index * 1_000);
    expect(times.filter((time) => flapping.onReplaced('a', time))).toEqual([4_000, 64_000]);
  });

  it('is not reported for a device that reconnects now and then', () => {
    const flapping = new Flapping();
    const times = Array.from({ length: 100 }, (_, index) => index * 20_000);
    expect(times.filter((time) => flapping.onReplaced('a', time))).toEqual([]);
  });

  it('is counted per device', () => {
    const flapping = new Flapping();
    const ids = ['a', 'b', 'c', 'd', 'e', 'f'];
    expect(ids.filter((id) => flapping.onReplaced(id, 0))).toEqual([]);
  });
});

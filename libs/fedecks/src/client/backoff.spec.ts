import { backoff, delayOf } from './backoff.js';

const BOUNDS = { minMs: 1_000, maxMs: 60_000 };

describe('backoff', () => {
  it('returns a random part of a bound that doubles with every failure, up to the maximum', () => {
    const bounds = [0, 1, 2, 3, 4, 5, 6, 7].map((attempt) => backoff(attempt, BOUNDS, () => 1));
    expect(bounds).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
    expect(backoff(3, BOUNDS, () => 0.25)).toBe(2_000);
    expect(backoff(3, BOUNDS, () => 0)).toBe(0);
  });

  it('stays within its bounds after any number of failures', () => {
    for (const attempt of [0, 31, 32, 1_000, 1e6]) {
      const delay = backoff(attempt, BOUNDS);
      expect(delay).toBeGreaterThanOrEqual(0);
      expect(delay).toBeLessThanOrEqual(60_000);
    }
  });
});

describe('the delay before an attempt', () => {
  const times = {
    startDelayMs: 5_000,
    retryMinMs: 1_000,
    retryMaxMs: 60_000,
    refusedRetryMs: 60_000,
    slowRetryMinMs: 900_000,
    slowRetryMaxMs: 3_600_000,
  };

  it('is random up to startDelayMs for the first attempt', () => {
    expect([0, 0.5, 1].map((share) => delayOf('start', 0, times, () => share))).toEqual([0, 2_500, 5_000]);
  });

  it('backs off after a failure', () => {
    expect(delayOf('backoff', 2, times, () => 0.5)).toBe(2_000);
  });

  it('is at least slowRetryMinMs when a quick retry is pointless', () => {
    expect([0, 1].map((share) => delayOf('slow', 9, times, () => share))).toEqual([900_000, 3_600_000]);
  });

  it('is 30 to 60 s after a first rejection, and doubles up to slowRetryMaxMs', () => {
    const range = (refusals: number): number[] =>
      [0, 1].map((share) => delayOf('refused', refusals, times, () => share));
    expect(range(0)).toEqual([30_000, 60_000]);
    expect(range(1)).toEqual([60_000, 120_000]);
    expect(range(5)).toEqual([960_000, 1_920_000]);
    expect(range(6)).toEqual([1_800_000, 3_600_000]);
    expect(range(2_000)).toEqual([1_800_000, 3_600_000]);
  });

  it('is a whole number', () => {
    expect(delayOf('backoff', 0, times, () => 0.123456)).toBe(123);
  });
});

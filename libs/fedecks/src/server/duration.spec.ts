import { durationMs } from './duration.js';

describe('durationMs', () => {
  it.each<[unknown, number]>([
    [1, 1],
    [1500.5, 1500.5],
    ['250ms', 250],
    ['90s', 90_000],
    ['15m', 900_000],
    ['1.5h', 5_400_000],
    ['28d', 2_419_200_000],
    ['3 h', 10_800_000],
    ['3H', 10_800_000],
  ])('parses %p as %d milliseconds', (value, millis) => {
    expect(durationMs(value)).toBe(millis);
  });

  it.each([
    ...['', '3', 'h', '3 bananas', '2 weeks', '-3h', '0h', '0.5ms', '3h 5m', '1e3s', '.5h', 'Infinityd'],
    ...[0, -1, 0.5, NaN, Infinity, null, undefined, {}, ['3h'], 3n, new Date(5)],
  ])('rejects %p', (value) => {
    expect(durationMs(value)).toBeUndefined();
  });
});

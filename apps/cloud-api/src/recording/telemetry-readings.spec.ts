import { float } from '@fedecks/nest/wire';
import { numbersIn, timeOfReading } from './telemetry-readings.js';

const NOW = new Date('2026-01-31T12:00:00Z');
const ago = (ms: number): Date => new Date(NOW.getTime() - ms);
const DAY = 86_400_000;

describe('numbersIn', () => {
  it('takes numbers of all kinds that terms have, and nothing else', () => {
    const payload = { a: 1, b: 2n, c: float(3), text: '4', none: null, list: [5], map: { d: 6 }, 'a\0b': 7 };
    expect([...numbersIn(payload)]).toEqual([
      ['a', 1],
      ['b', 2],
      ['c', 3],
      ['a\ufffdb', 7],
    ]);
  });

  it('leaves out integers beyond what a double can hold', () => {
    expect([...numbersIn({ huge: 10n ** 400n })]).toEqual([]);
  });

  it('takes a list of load averages only where it has three', () => {
    expect([...numbersIn({ loadAverages: [1, 'x', 3] })]).toEqual([
      ['load1', 1],
      ['load15', 3],
    ]);
    expect([...numbersIn({ loadAverages: [1, 2] })]).toEqual([]);
  });

  it.each([null, 1, 'x', [['a', 1]], new Map([[1, 2]]), new Date()])('finds none in %p', (payload) => {
    expect(numbersIn(payload).size).toBe(0);
  });
});

describe('timeOfReading', () => {
  it('is when the device put it into its outbox, and otherwise now', () => {
    expect(timeOfReading(ago(3 * DAY), NOW)).toEqual(ago(3 * DAY));
    expect(timeOfReading(undefined, NOW)).toBe(NOW);
  });

  it('is undefined in the future beyond 5 minutes, and before what is kept', () => {
    expect(timeOfReading(ago(-5 * 60_000), NOW)).toBeDefined();
    expect(timeOfReading(ago(-5 * 60_000 - 1), NOW)).toBeUndefined();
    expect(timeOfReading(ago(730 * DAY - 1), NOW)).toBeDefined();
    expect(timeOfReading(ago(730 * DAY), NOW)).toBeUndefined();
  });
});

import { lastUpTo, trim } from './epochs.js';
import { append, firstAfter, has, remove, splitAfter } from './numbers.js';

const NUMBERS = [
  { from: 1, to: 3 },
  { from: 6, to: 6 },
];

it('appends to the last range, or begins another', () => {
  expect(append(NUMBERS, 7)).toEqual([NUMBERS[0], { from: 6, to: 7 }]);
  expect(append(NUMBERS, 9)).toEqual([...NUMBERS, { from: 9, to: 9 }]);
});

it.each([
  [1, [{ from: 2, to: 3 }, NUMBERS[1]]],
  [2, [{ from: 1, to: 1 }, { from: 3, to: 3 }, NUMBERS[1]]],
  [4, NUMBERS],
  [6, [NUMBERS[0]]],
])('removes %i', (number, left) => {
  expect(remove(NUMBERS, number)).toEqual(left);
});

it('splits within a range', () => {
  expect(splitAfter(NUMBERS, 2)).toEqual({
    upTo: [{ from: 1, to: 2 }],
    after: [{ from: 3, to: 3 }, NUMBERS[1]],
  });
});

it.each([
  [0, 1],
  [2, 3],
  [3, 6],
  [6, undefined],
])('finds the first number after %i', (number, next) => {
  expect(firstAfter(NUMBERS, number)).toBe(next);
});

it('knows which numbers it has', () => {
  expect([1, 3, 4, 6, 7].filter((number) => has(NUMBERS, number))).toEqual([1, 3, 6]);
});

const SPANS = [
  { epoch: 'A', from: 1 },
  { epoch: 'B', from: 5 },
  { epoch: 'C', from: 5 },
];

it.each([
  ['A', 3, 3],
  ['A', 7, 4],
  ['B', 6, 4],
  ['C', 9, 9],
  ['C', 4, undefined],
  ['D', 9, undefined],
])('takes position %s/%i for %s of its own', (epoch, seq, last) => {
  expect(lastUpTo(SPANS, { epoch, seq })).toBe(last);
});

it('forgets the spans before the first number held', () => {
  expect(trim(SPANS, 4)).toEqual(SPANS);
  expect(trim(SPANS, 5)).toEqual([SPANS[2]]);
});

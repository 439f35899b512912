/** All numbers from the first to the last. */
export interface Range {
  /** The first one. */
  readonly from: number;
  /** The last one. */
  readonly to: number;
}

/** A set of numbers as ascending ranges with gaps between them: a million numbers in a row take one object. */
export type Numbers = readonly Range[];

/** Adds a number greater than all others. */
export function append(numbers: Numbers, number: number): Numbers {
  const last = numbers.at(-1);
  return last?.to === number - 1
    ? [...numbers.slice(0, -1), { from: last.from, to: number }]
    : [...numbers, { from: number, to: number }];
}

export function remove(numbers: Numbers, number: number): Numbers {
  return numbers.flatMap((range) =>
    number < range.from || number > range.to
      ? [range]
      : [
          { from: range.from, to: number - 1 },
          { from: number + 1, to: range.to },
        ].filter(({ from, to }) => from <= to),
  );
}

/** Splits the set after a number. */
export function splitAfter(numbers: Numbers, number: number): { upTo: Numbers; after: Numbers } {
  const upTo: Range[] = [];
  const after: Range[] = [];
  for (const { from, to } of numbers) {
    if (from <= number) upTo.push({ from, to: Math.min(to, number) });
    if (to > number) after.push({ from: Math.max(from, number + 1), to });
  }
  return { upTo, after };
}

export function has(numbers: Numbers, number: number): boolean {
  return numbers.some(({ from, to }) => from <= number && number <= to);
}

/** The first number greater than the given one. */
export function firstAfter(numbers: Numbers, number: number): number | undefined {
  const range = numbers.find(({ to }) => to > number);
  return range && Math.max(range.from, number + 1);
}

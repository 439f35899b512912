import { BadRequestException } from '@nestjs/common';
import { MAX_POINTS, type RangeDto } from './readings.dto.js';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** What the points of a plot are made of. */
export type Source = 'readings' | 'minutes' | 'hours';

/** Steps that people can read, in ms. */
const STEPS = [
  ...[1, 2, 5, 10, 30].map((seconds) => seconds * SECOND),
  ...[1, 2, 5, 10, 30].map((minutes) => minutes * MINUTE),
  ...[1, 2, 6, 12].map((hours) => hours * HOUR),
  ...[1, 7, 30, 365].map((days) => days * DAY),
];
/** How many points a plot has where no step is given. */
const ENOUGH_POINTS = 400;

/**
 * Completes a range.
 * @throws {BadRequestException} if it ends before it begins.
 */
export function rangeOf({ from, to }: RangeDto): { readonly from: Date; readonly to: Date } {
  const end = to ?? new Date();
  const start = from ?? new Date(end.getTime() - DAY);
  if (start >= end) throw new BadRequestException(['from must be before to']);
  return { from: start, to: end };
}

/**
 * The step of a plot, in ms.
 * @param given undefined: one that gives some hundred points.
 * @throws {BadRequestException} for more than 2,000 points.
 */
export function stepOf(from: Date, to: Date, given?: number): number {
  const range = to.getTime() - from.getTime();
  const step = given ?? STEPS.find((each) => range / each <= ENOUGH_POINTS) ?? 365 * DAY;
  if (range / step > MAX_POINTS) {
    const least = Math.ceil(range / MAX_POINTS);
    throw new BadRequestException([`step must be at least ${least}: there are at most ${MAX_POINTS} points`]);
  }
  return step;
}

/** The coarsest source that has whole points of this step, in ms. */
export function sourceOf(step: number): Source {
  if (step % HOUR === 0) return 'hours';
  return step % MINUTE === 0 ? 'minutes' : 'readings';
}

/** The beginning of the step that a time is in. */
export function beginOf(time: Date, step: number): Date {
  return new Date(Math.floor(time.getTime() / step) * step);
}

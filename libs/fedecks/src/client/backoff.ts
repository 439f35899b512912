/** The bounds of a delay, in milliseconds. */
export interface DelayRange {
  readonly minMs: number;
  readonly maxMs: number;
}

/**
 * How long to wait before trying again: full jitter, which is a random share of a bound that doubles with every
 * failure. It spreads a fleet that lost its server at one moment over the whole bound
 * (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
 *
 * @param attempt how many tries have failed before: the bound is `minMs` for 0, and at most `maxMs`.
 * @returns milliseconds, from 0 up to the bound.
 */
export function backoff(
  attempt: number,
  { minMs, maxMs }: DelayRange,
  random: () => number = Math.random,
): number {
  return random() * Math.min(maxMs, minMs * 2 ** attempt);
}

/**
 * The pace of an attempt: the first of a process, after a failure, after a rejected token, or when a quick retry is
 * pointless.
 */
export type Pace = 'start' | 'backoff' | 'refused' | 'slow';

/** The options that say how long that is. */
export interface RetryTimes {
  readonly startDelayMs: number;
  readonly retryMinMs: number;
  readonly retryMaxMs: number;
  readonly refusedRetryMs: number;
  readonly slowRetryMinMs: number;
  readonly slowRetryMaxMs: number;
}

/**
 * How long to wait before an attempt, in whole milliseconds.
 * @param failures how many tries have failed, or were refused, before.
 */
export function delayOf(
  pace: Pace,
  failures: number,
  times: RetryTimes,
  random: () => number = Math.random,
): number {
  switch (pace) {
    case 'start':
      return Math.round(between({ minMs: 0, maxMs: times.startDelayMs }, random));
    case 'backoff':
      return Math.round(backoff(failures, { minMs: times.retryMinMs, maxMs: times.retryMaxMs }, random));
    case 'refused': {
      const maxMs = Math.min(times.refusedRetryMs * 2 ** failures, times.slowRetryMaxMs);
      return Math.round(between({ minMs: maxMs / 2, maxMs }, random));
    }
    case 'slow':
      return Math.round(between({ minMs: times.slowRetryMinMs, maxMs: times.slowRetryMaxMs }, random));
  }
}

function between({ minMs, maxMs }: DelayRange, random: () => number): number {
  return minMs + random() * (maxMs - minMs);
}

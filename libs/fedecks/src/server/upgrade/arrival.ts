import { type Attempt } from '../../wire/index.js';

/** When a connection was asked for, and by which attempt of the device if it has named it. */
export interface Arrival {
  /** By a monotonic clock, in ms. */
  readonly askedAt: number;
  readonly attempt: Attempt | undefined;
}

/**
 * Whether one upgrade is older than another of the same device. The network may deliver attempts in another order than
 * they were made in, and an authenticator may answer in another order than it was asked: neither makes an old attempt
 * the newer one.
 */
export function isOlder(one: Arrival, other: Arrival): boolean {
  if (one.attempt && other.attempt && one.attempt.process === other.attempt.process) {
    return one.attempt.number < other.attempt.number;
  }
  return one.askedAt < other.askedAt;
}

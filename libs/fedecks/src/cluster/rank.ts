import { type BackplaneEndpoint } from '../server/index.js';

/** Where a connection stands among all of its device, on whichever nodes: no two have the same. */
export interface Rank {
  /** When it was opened, by the clock that the nodes share: see {@link SharedClock}. */
  readonly time: number;
  /** The node that holds it. */
  readonly node: string;
}

/** The maximum time that other clocks adopt, in the year 2243, which leaves twelve years of safe integers. */
const MAX_TIME = Date.UTC(2243, 0) * 1_000;

/** Whether it is a time of a {@link SharedClock} that others may follow. */
export function isTime(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= MAX_TIME;
}

/** Whether the first connection was opened later than the other. A total order: of two that differ, one is later. */
export function isLater(one: Rank, other: Rank): boolean {
  return one.time === other.time ? one.node > other.node : one.time > other.time;
}

/**
 * Whether, of two connections of a device, the first stays: the only rule for it, on all nodes. Where 'allow' lets both
 * stay, presence shows the one that it names.
 */
export function staysOver(one: Rank, other: Rank, duplicates: BackplaneEndpoint['duplicates']): boolean {
  return duplicates === 'oldest' ? isLater(other, one) : isLater(one, other);
}

/**
 * A clock that orders what happens on several nodes, in microseconds since 1970, more or less. It starts from the wall
 * clock, and adopts the greatest time of any node, so a wrong wall clock does not change the
 * order. What happens on one node after it has heard of what happened on another has a greater time.
 */
export class SharedClock {
  private last = 0;
  private offset: number;

  /**
   * @param elapsed milliseconds of a monotonic clock.
   * @param startedAt the wall clock's time, in milliseconds since 1970.
   */
  constructor(
    private readonly elapsed = () => performance.now(),
    startedAt = Date.now(),
  ) {
    const start = Math.min(Math.max(Math.round(startedAt * 1_000), 0), MAX_TIME);
    this.offset = start - this.running();
  }

  /** A time greater than all it has given or seen. */
  now(): number {
    this.last = Math.max(this.last + 1, this.running() + this.offset);
    return this.last;
  }

  /** Follows a time of another node. One that {@link isTime} refuses is no time to follow. */
  observe(time: number): void {
    if (!isTime(time)) return;
    this.offset = Math.max(this.offset, time - this.running());
    this.last = Math.max(this.last, time);
  }

  private running(): number {
    return Math.floor(this.elapsed() * 1_000);
  }
}

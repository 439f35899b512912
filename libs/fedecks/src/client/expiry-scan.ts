import { MAX_TIMER_MS } from './client-options.js';
import { type OutboxGuard } from './outbox-guard.js';
import { type OutboxStore } from './outbox/outbox-store.js';

const MAX_AT_ONCE = 1_000;
/** Messages that expire close together are found by one scan. */
const MIN_DELAY_MS = 100;
/** How long until a store that has failed is asked again. */
const RETRY_MS = 5_000;

/** Removes messages from a store when their time has passed. Has a timer only while some will expire. */
export class ExpiryScan {
  private timer: NodeJS.Timeout | undefined;
  private dueAtMs = Infinity;
  private isStopped = false;

  constructor(
    private readonly store: OutboxStore,
    private readonly guard: OutboxGuard,
    private readonly onExpired: (lane: string, seq: number) => void,
  ) {}

  /** A message expires after so many milliseconds. */
  within(ms: number): void {
    const atMs = performance.now() + ms;
    if (atMs >= this.dueAtMs || this.isStopped) return;
    clearTimeout(this.timer);
    this.dueAtMs = atMs;
    const delayMs = Math.min(Math.max(ms, MIN_DELAY_MS), MAX_TIMER_MS);
    // What expires in a week keeps no program from ending.
    this.timer = setTimeout(() => this.scan(), delayMs).unref();
  }

  scan(): void {
    this.dueAtMs = Infinity;
    const expired = this.guard.attempt(() => this.store.expired(MAX_AT_ONCE));
    for (const { lane, seq } of expired?.due ?? []) {
      this.guard.attempt(() => {
        this.store.remove(lane, seq);
        this.onExpired(lane, seq);
      });
    }
    const nextInMs = expired?.nextInMs ?? RETRY_MS;
    if (nextInMs !== Infinity) this.within(nextInMs);
  }

  stop(): void {
    this.isStopped = true;
    clearTimeout(this.timer);
  }
}

import { networkOf } from '@fedecks/nest';

const WINDOW_MS = 60_000;
/** Addresses beyond that share one count, so that many addresses cannot take the memory. */
const MAX_NETWORKS = 10_000;
const OTHERS = 'others';

/** Counts HTTP requests by address, in minutes that begin for all at once. An IPv6 address counts by its /64. */
export class RequestLimit {
  private readonly counts = new Map<string, number>();
  private windowEnds = 0;

  constructor(private readonly perMinute: number) {}

  /**
   * Counts a request. Undefined if it may be answered; otherwise in how many seconds the next one may.
   * @param now monotonic time in ms.
   */
  retryAfter(address: string, now = performance.now()): number | undefined {
    if (now >= this.windowEnds) {
      this.windowEnds = now + WINDOW_MS;
      this.counts.clear();
    }
    const network = networkOf(address);
    const key = this.counts.has(network) || this.counts.size < MAX_NETWORKS ? network : OTHERS;
    const count = (this.counts.get(key) ?? 0) + 1;
    this.counts.set(key, count);
    return count <= this.perMinute ? undefined : Math.ceil((this.windowEnds - now) / 1_000);
  }
}

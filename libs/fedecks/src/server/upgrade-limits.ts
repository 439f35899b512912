/** How many upgrades are let through to authentication. A limit of 0 is none. */
export interface UpgradeLimits {
  readonly upgradesPerSecond: number;
  readonly upgradesPerAddressPerMinute: number;
}

const SECOND_MS = 1_000;
const MINUTE_MS = 60_000;

/**
 * Counts upgrades before any work is done for them. Windows are fixed: a counter and a map that are emptied
 * are all there is to keep, and the map holds no more addresses than the rate of a minute lets through.
 */
export class UpgradeLimiter {
  private secondEnds = 0;
  private inSecond = 0;
  private minuteEnds = 0;
  private readonly byAddress = new Map<string, number>();

  constructor(private readonly limits: UpgradeLimits) {}

  /** Undefined if the upgrade may go on, else the seconds after which it may come again. */
  refuse(address: string, now: number, random = Math.random): number | undefined {
    const { upgradesPerSecond, upgradesPerAddressPerMinute } = this.limits;
    if (now >= this.secondEnds) {
      this.secondEnds = now + SECOND_MS;
      this.inSecond = 0;
    }
    if (upgradesPerSecond > 0 && ++this.inSecond > upgradesPerSecond) {
      // Spread over the time the overflow will take, so that those refused together do not come back together.
      return 1 + Math.ceil(random() * Math.min(60, 2 * (this.inSecond / upgradesPerSecond)));
    }
    if (now >= this.minuteEnds) {
      this.minuteEnds = now + MINUTE_MS;
      this.byAddress.clear();
    }
    if (upgradesPerAddressPerMinute === 0) return undefined;
    const count = (this.byAddress.get(address) ?? 0) + 1;
    if (count <= upgradesPerAddressPerMinute) {
      this.byAddress.set(address, count);
      return undefined;
    }
    return Math.ceil((this.minuteEnds - now) / 1_000) + Math.ceil(random() * 10);
  }
}

/** How many upgrades are let through to authentication. A limit of 0 is none. */
export interface UpgradeLimits {
  readonly upgradesPerSecond: number;
  readonly upgradesPerAddressPerMinute: number;
}

const SECOND_MS = 1_000;
const MINUTE_MS = 60_000;

/**
 * Counts upgrades before any work is done for them. Windows are fixed: a counter and a map that are emptied are
 * all there is to keep. Only what is let through is counted by address, so that the map holds no more of them
 * than the rate of a minute; and one address that is over its limit takes nothing of what is left for the others.
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
    if (now >= this.minuteEnds) {
      this.minuteEnds = now + MINUTE_MS;
      this.byAddress.clear();
    }
    const ofAddress = this.byAddress.get(address) ?? 0;
    if (upgradesPerAddressPerMinute > 0 && ofAddress >= upgradesPerAddressPerMinute) {
      return Math.ceil((this.minuteEnds - now) / SECOND_MS) + Math.ceil(random() * 10);
    }
    if (now >= this.secondEnds) {
      this.secondEnds = now + SECOND_MS;
      this.inSecond = 0;
    }
    if (upgradesPerSecond > 0 && ++this.inSecond > upgradesPerSecond) {
      // Spread over the time the overflow will take, so that those refused together do not come back together.
      return 1 + Math.ceil(random() * Math.min(60, 2 * (this.inSecond / upgradesPerSecond)));
    }
    if (upgradesPerAddressPerMinute > 0) this.byAddress.set(address, ofAddress + 1);
    return undefined;
  }
}

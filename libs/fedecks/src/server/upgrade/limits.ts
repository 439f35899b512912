/** How many upgrades are let through to authentication. A limit of 0 is none. */
export interface UpgradeLimits {
  readonly upgradesPerSecond: number;
  readonly upgradesPerAddressPerMinute: number;
}

const SECOND_MS = 1_000;
const MINUTE_MS = 60_000;

/** How many keys a window counts one by one; all others share one count. */
const MAX_KEYS = 100_000;
const OTHERS = '';

/** Counts by key in fixed windows, with one map that is cleared per window. 0 means unlimited. */
class RateWindow {
  private endsAt = 0;
  private readonly counts = new Map<string, number>();

  constructor(
    private readonly lengthMs: number,
    private readonly limit: number,
  ) {}

  /** How long, in ms, the key has to wait until it is let through; 0 if it is now. */
  waitMs(key: string, now: number): number {
    if (now >= this.endsAt) {
      this.endsAt = now + this.lengthMs;
      this.counts.clear();
    }
    const isOver = this.limit > 0 && (this.counts.get(this.counted(key)) ?? 0) >= this.limit;
    return isOver ? this.endsAt - now : 0;
  }

  add(key: string): void {
    if (this.limit === 0) return;
    const counted = this.counted(key);
    this.counts.set(counted, (this.counts.get(counted) ?? 0) + 1);
  }

  private counted(key: string): string {
    return this.counts.size < MAX_KEYS || this.counts.has(key) ? key : OTHERS;
  }
}

/**
 * The rates of one kind of upgrades: of those with a good token, or of all others. Only what is let through is
 * counted, so an address over its limit does not reduce the limit of the others.
 */
export class UpgradeLimiter {
  private secondEndsAt = 0;
  private inSecond = 0;
  private readonly byAddress: RateWindow;

  /** @param share the most one address, or one device, may take of the others' limit. */
  constructor(
    private readonly limits: UpgradeLimits,
    private readonly share: RateWindow,
  ) {
    this.byAddress = new RateWindow(MINUTE_MS, limits.upgradesPerAddressPerMinute);
  }

  /** For upgrades with a good token: one device that comes over and over does not use up its address's limit. */
  static ofTokens(limits: UpgradeLimits): UpgradeLimiter {
    const perDevice =
      limits.upgradesPerAddressPerMinute && Math.max(10, limits.upgradesPerAddressPerMinute / 10);
    return new UpgradeLimiter(limits, new RateWindow(MINUTE_MS, perDevice));
  }

  /** For all others: one address does not use up the second of the rest. */
  static ofStrangers(limits: UpgradeLimits): UpgradeLimiter {
    return new UpgradeLimiter(limits, new RateWindow(SECOND_MS, Math.ceil(limits.upgradesPerSecond / 2)));
  }

  /**
   * Undefined if the upgrade may go on, else the seconds after which it may come again.
   * @param sharer what the share is counted by.
   * @param now by a monotonic clock.
   */
  refuse(address: string, sharer: string, now: number, random = Math.random): number | undefined {
    const waitMs = Math.max(this.byAddress.waitMs(address, now), this.share.waitMs(sharer, now));
    if (waitMs > 0) return Math.ceil(waitMs / SECOND_MS) + Math.ceil(random() * 10);
    const { upgradesPerSecond } = this.limits;
    if (now >= this.secondEndsAt) {
      this.secondEndsAt = now + SECOND_MS;
      this.inSecond = 0;
    }
    if (upgradesPerSecond > 0 && ++this.inSecond > upgradesPerSecond) {
      // Spread over the time the overflow will take, so that those refused together do not come back together.
      return 1 + Math.ceil(random() * Math.min(60, 2 * (this.inSecond / upgradesPerSecond)));
    }
    this.byAddress.add(address);
    this.share.add(sharer);
    return undefined;
  }
}

/** The upgrades of one kind that are being looked at: how many there may be at once, in all and of one address. */
export class Places {
  private taken = 0;
  private readonly byAddress = new Map<string, number>();

  constructor(
    private readonly size: number,
    private readonly perAddress: number,
  ) {}

  hasRoom(address: string): boolean {
    return this.taken < this.size && (this.byAddress.get(address) ?? 0) < this.perAddress;
  }

  take(address: string): void {
    this.taken++;
    this.byAddress.set(address, (this.byAddress.get(address) ?? 0) + 1);
  }

  release(address: string): void {
    this.taken--;
    const left = (this.byAddress.get(address) ?? 0) - 1;
    if (left > 0) this.byAddress.set(address, left);
    else this.byAddress.delete(address);
  }
}

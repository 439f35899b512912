/** The limits of upgrades accepted for authentication. 0 disables a limit. */
export interface UpgradeLimits {
  readonly upgradesPerSecond: number;
  readonly upgradesPerAddressPerMinute: number;
}

const SECOND_MS = 1_000;
const MINUTE_MS = 60_000;

/** How many keys a window counts separately; all others share one count. */
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

  /** How long, in ms, the key must wait; 0 if it is below the limit. */
  waitMs(key: string, now: number): number {
    if (now >= this.endsAt) {
      this.endsAt = now + this.lengthMs;
      this.counts.clear();
    }
    const isOver = this.limit > 0 && (this.counts.get(this.keyOf(key)) ?? 0) >= this.limit;
    return isOver ? this.endsAt - now : 0;
  }

  add(key: string): void {
    if (this.limit === 0) return;
    const countedKey = this.keyOf(key);
    this.counts.set(countedKey, (this.counts.get(countedKey) ?? 0) + 1);
  }

  private keyOf(key: string): string {
    return this.counts.size < MAX_KEYS || this.counts.has(key) ? key : OTHERS;
  }
}

/**
 * The rate limits of one kind of upgrades: those with a valid token, or all others. Counts only accepted upgrades, so an
 * address over its limit does not use up the limit of the others.
 */
export class UpgradeLimiter {
  private secondEndsAt = 0;
  private inSecond = 0;
  private readonly byAddress: RateWindow;

  /** @param share limits what one address, or one device, may take of the common limit. */
  constructor(
    private readonly limits: UpgradeLimits,
    private readonly share: RateWindow,
  ) {
    this.byAddress = new RateWindow(MINUTE_MS, limits.upgradesPerAddressPerMinute);
  }

  /** For upgrades with a valid token: one device that retries repeatedly does not use up the limit of its address. */
  static ofTokens(limits: UpgradeLimits): UpgradeLimiter {
    const perDevice =
      limits.upgradesPerAddressPerMinute && Math.max(10, limits.upgradesPerAddressPerMinute / 10);
    return new UpgradeLimiter(limits, new RateWindow(MINUTE_MS, perDevice));
  }

  /** For all others: one address does not use up the limit per second. */
  static ofStrangers(limits: UpgradeLimits): UpgradeLimiter {
    return new UpgradeLimiter(limits, new RateWindow(SECOND_MS, Math.ceil(limits.upgradesPerSecond / 2)));
  }

  /**
   * Undefined if the upgrade is accepted, otherwise the seconds after which to try again.
   * @param sharer the key of the share: the address, or the device id.
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
      // Spread over the time the overflow takes, so that devices rejected together do not retry together.
      return 1 + Math.ceil(random() * Math.min(60, 2 * (this.inSecond / upgradesPerSecond)));
    }
    this.byAddress.add(address);
    this.share.add(sharer);
    return undefined;
  }
}

/** Limits how many upgrades of one kind may be in progress, in total and per address. */
export class UpgradeSlots {
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

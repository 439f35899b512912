/** Where revocations are kept. In memory by default; an app with several processes, or restarts, gives its own. */
export interface RevocationStore {
  /**
   * Tokens of the device issued at or before `at` stop working.
   * @param at in milliseconds since 1970.
   * @param until when the last of them will have expired by itself, so that this may be forgotten.
   */
  revoke(deviceId: string, at: number, until: number): void | Promise<void>;
  /** The latest `at` of the device, or undefined. Asked at every upgrade with a token; where it throws, the upgrade is refused with 503. */
  revokedAt(deviceId: string): number | undefined | Promise<number | undefined>;
}

/** Revocations of this process: a restart forgets them. */
export class MemoryRevocations implements RevocationStore {
  private readonly entries = new Map<string, { readonly at: number; readonly until: number }>();

  revoke(deviceId: string, at: number, until: number): void {
    for (const [id, entry] of this.entries) if (entry.until <= at) this.entries.delete(id);
    this.entries.set(deviceId, { at, until });
  }

  revokedAt(deviceId: string): number | undefined {
    return this.entries.get(deviceId)?.at;
  }
}

/** The revocations of an endpoint: what its store keeps, and what was revoked while an upgrade was being looked at. */
export class Revocations {
  private store: RevocationStore = new MemoryRevocations();
  private readonly recent = new Map<string, number>();

  /**
   * @param tokenExpiryMs after which a revocation may be forgotten.
   * @param upgradeTimeoutMs how long an upgrade may be looked at.
   */
  constructor(
    private readonly tokenExpiryMs: number,
    private readonly upgradeTimeoutMs: number,
  ) {}

  keepIn(store: RevocationStore): void {
    this.store = store;
  }

  async revoke(deviceId: string, now = Date.now()): Promise<void> {
    for (const [id, at] of this.recent) if (at < now - this.upgradeTimeoutMs) this.recent.delete(id);
    this.recent.set(deviceId, now);
    await this.store.revoke(deviceId, now, now + this.tokenExpiryMs);
  }

  /** Whether a token of that time no longer works. */
  async covers(deviceId: string, issuedAt: number): Promise<boolean> {
    // The store may still be writing what has just been revoked.
    if (issuedAt <= (this.recent.get(deviceId) ?? -Infinity)) return true;
    const at = await this.store.revokedAt(deviceId);
    return at !== undefined && issuedAt <= at;
  }

  /** Whether the device was revoked after its upgrade began: its token was still good when it was looked at. */
  since(deviceId: string, upgradeBegan: number): boolean {
    const at = this.recent.get(deviceId);
    return at !== undefined && at >= upgradeBegan;
  }
}

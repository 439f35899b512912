import { type Tokens } from './token.js';

/**
 * Stores revocations. In memory by default; an app with several processes, or that must survive restarts, provides its own.
 *
 * A revocation is a number, its generation, and each token carries that of the last revocation known when its
 * connection was authenticated. Tokens of a lower generation than the one kept are revoked. So no clock decides what
 * is revoked, and those of several processes may differ.
 */
export interface RevocationStore {
  /**
   * Keeps the generation of the device's latest revocation. Where several processes may revoke a device at once, keep
   * the greatest.
   * @param at the generation: the time of the revocation in milliseconds since 1970, or a little more where that
   * would not be greater than the one before it.
   * @param until when this may be forgotten, in milliseconds since 1970: the tokens it revokes have long expired by
   * then. Never forget it earlier than `until - at` milliseconds from now, in case the clock that told `at` was
   * behind. With the option `phoenix` it is the last moment there is, 8.64e15: how long those tokens live is not known.
   */
  revoke(deviceId: string, at: number, until: number): void | Promise<void>;
  /**
   * The `at` that is kept for the device, or undefined. Asked at each upgrade and each `revoke`. Where it throws, an
   * upgrade with a token is refused with 503, and one with credentials goes on as if nothing was kept.
   */
  revokedAt(deviceId: string): number | undefined | Promise<number | undefined>;
}

/** The last time a `Date` can hold. */
const END_OF_TIME = 8.64e15;

/**
 * For how many lives of a token a revocation is kept. More than one, since tokens issued by a clock that was ahead
 * expire later than the clock that revokes them can know.
 */
const TOKEN_LIVES = 2;

/** Revocations of this process: a restart forgets them. */
export class MemoryRevocations implements RevocationStore {
  private readonly entries = new Map<
    string,
    { readonly at: number; readonly until: number; readonly keptAt: number }
  >();

  revoke(deviceId: string, at: number, until: number): void {
    const keptAt = performance.now();
    for (const [id, entry] of this.entries) {
      // In insertion order: the rest is newer.
      if (keptAt - entry.keptAt < entry.until - entry.at) break;
      if (entry.until <= Date.now()) this.entries.delete(id);
    }
    this.entries.delete(deviceId);
    this.entries.set(deviceId, { at, until, keptAt });
  }

  revokedAt(deviceId: string): number | undefined {
    return this.entries.get(deviceId)?.at;
  }
}

/** The revocations of an endpoint: what its store keeps, and what was revoked while an upgrade was being looked at. */
export class Revocations {
  private store: RevocationStore = new MemoryRevocations();
  private readonly recent = new Map<string, { readonly generation: number; readonly observedAt: number }>();
  /** The highest generation of all revocations and tokens this process has seen, of whatever device. */
  private highest = 0;

  /**
   * @param tokenLifeMs how long a token is good.
   * @param upgradeTimeoutMs how long an upgrade may be looked at.
   */
  constructor(
    private readonly tokenLifeMs: number,
    private readonly upgradeTimeoutMs: number,
    private readonly tokens: Pick<Tokens, 'latestExpiry'>,
  ) {}

  keepIn(store: RevocationStore): void {
    this.store = store;
  }

  /**
   * Revokes all tokens of the device issued until now. Effective on this node at once, before the store has written it.
   * @throws what the store throws.
   */
  async revoke(deviceId: string): Promise<void> {
    // Greater than that of any token the device was given, also if a clock was ahead then.
    let generation = Math.max(Date.now(), this.highest + 1);
    this.observe(deviceId, generation);
    const reading = this.readKept(deviceId);
    generation = Math.max(generation, 1 + (await reading.catch(() => 0)));
    this.observe(deviceId, generation);
    await this.store.revoke(deviceId, generation, this.forgetAt(generation));
    this.observe(deviceId, generation);
    // If the read failed, the stored generation may be lower than the previous one.
    await reading;
  }

  /** Takes note of a revocation, of this node or another: an upgrade may be looked at here meanwhile. */
  observe(deviceId: string, generation: number): void {
    this.highest = Math.max(this.highest, generation);
    const now = performance.now();
    for (const [id, { observedAt }] of this.recent) {
      // With 'oldest', an upgrade may wait as long again for its place.
      if (now - observedAt <= 2 * this.upgradeTimeoutMs) break;
      this.recent.delete(id);
    }
    const known = this.recent.get(deviceId)?.generation ?? 0;
    this.recent.delete(deviceId);
    this.recent.set(deviceId, { generation: Math.max(known, generation), observedAt: now });
  }

  /** Whether a token of that generation no longer works. */
  async isRevoked(deviceId: string, generation: number): Promise<boolean> {
    this.highest = Math.max(this.highest, generation);
    // The store may still be writing what has just been revoked.
    if (this.wasRevokedMeanwhile(deviceId, generation)) return true;
    return generation < (await this.readKept(deviceId));
  }

  /** Whether a connection of that generation was revoked while its upgrade was looked at. Waits for nothing. */
  wasRevokedMeanwhile(deviceId: string, generation: number): boolean {
    return generation < (this.recent.get(deviceId)?.generation ?? 0);
  }

  /**
   * The generation of a login that begins now. Where the store fails it is 0, as if the device was never revoked: its
   * tokens work unless the store has a revocation.
   */
  async generationOf(deviceId: string): Promise<number> {
    const recent = this.recent.get(deviceId)?.generation ?? 0;
    return Math.max(recent, await this.readKept(deviceId).catch(() => 0));
  }

  private async readKept(deviceId: string): Promise<number> {
    const at = await this.store.revokedAt(deviceId);
    if (at === undefined) return 0;
    if (typeof at !== 'number' || !(at >= 0 && at <= END_OF_TIME))
      throw new TypeError(
        "revokedAt() of the 'revocations' store must return what revoke() was given as 'at'",
      );
    this.highest = Math.max(this.highest, at);
    return at;
  }

  private forgetAt(generation: number): number {
    const expired = generation + TOKEN_LIVES * this.tokenLifeMs;
    return Math.min(Math.max(expired, this.tokens.latestExpiry), END_OF_TIME);
  }
}

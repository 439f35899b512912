import { type Tokens } from './token.js';

/**
 * Stores revocations. In memory by default; an app with several processes, or that must survive restarts, provides its own.
 *
 * A revocation has a number, its generation. Each token carries the generation of the last revocation known when its
 * connection was authenticated. A token is revoked if its generation is lower than the stored one. So the clocks of
 * several processes may differ.
 */
export interface RevocationStore {
  /**
   * Stores the generation of the device's latest revocation. If several processes revoke a device at once, store the
   * greatest.
   * @param at the generation: the time of the revocation in milliseconds since 1970, or slightly more, so that it is
   * greater than the previous one.
   * @param until when you may delete the entry, in milliseconds since 1970: the revoked tokens have expired by then. Keep
   * it for at least `until - at` milliseconds from now, in case the clock behind `at` was slow. With the option `phoenix`
   * it is the last possible time, 8.64e15, because the lifetime of those tokens is unknown.
   */
  revoke(deviceId: string, at: number, until: number): void | Promise<void>;
  /**
   * The stored `at` of the device, or undefined. Called at each upgrade and each `revoke`. If it throws, the cloud rejects
   * an upgrade with a token with 503, and accepts one with credentials as if nothing was stored.
   */
  revokedAt(deviceId: string): number | undefined | Promise<number | undefined>;
}

/** The last time a `Date` can hold. */
const END_OF_TIME = 8.64e15;

/**
 * How long a revocation is stored, in token lifetimes. More than one, because tokens issued by a fast clock expire later
 * than the revoking clock can know.
 */
const TOKEN_LIVES = 2;

/** Revocations in memory, until a restart. */
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

/** The revocations of an endpoint: those in its store, and recent ones that may affect upgrades in progress. */
export class Revocations {
  private store: RevocationStore = new MemoryRevocations();
  private readonly recent = new Map<string, { readonly generation: number; readonly observedAt: number }>();
  /** The highest generation of all revocations and tokens that this process has seen, of any device. */
  private highest = 0;

  /**
   * @param tokenLifeMs how long a token is good.
   * @param upgradeTimeoutMs how long an upgrade may take.
   */
  constructor(
    private readonly tokenLifeMs: number,
    private readonly upgradeTimeoutMs: number,
    private readonly tokens: Pick<Tokens, 'latestExpiry'>,
  ) {}

  useStore(store: RevocationStore): void {
    this.store = store;
  }

  /**
   * Revokes all tokens of the device issued until now. Effective on this node at once, before the store has written it.
   * @throws what the store throws.
   */
  async revoke(deviceId: string): Promise<void> {
    // Greater than the generation of any token of the device, even if a clock was ahead.
    let generation = Math.max(Date.now(), this.highest + 1);
    this.observe(deviceId, generation);
    const reading = this.readStored(deviceId);
    generation = Math.max(generation, 1 + (await reading.catch(() => 0)));
    this.observe(deviceId, generation);
    await this.store.revoke(deviceId, generation, this.deletableFrom(generation));
    this.observe(deviceId, generation);
    // If the read failed, the stored generation may be lower than the previous one.
    await reading;
  }

  /** Records a revocation by any node, for upgrades in progress on this one. */
  observe(deviceId: string, generation: number): void {
    this.highest = Math.max(this.highest, generation);
    const now = performance.now();
    for (const [id, { observedAt }] of this.recent) {
      // With 'oldest', an upgrade may wait for its claim as long again.
      if (now - observedAt <= 2 * this.upgradeTimeoutMs) break;
      this.recent.delete(id);
    }
    const known = this.recent.get(deviceId)?.generation ?? 0;
    this.recent.delete(deviceId);
    this.recent.set(deviceId, { generation: Math.max(known, generation), observedAt: now });
  }

  /** Whether tokens of this generation are revoked. */
  async isRevoked(deviceId: string, generation: number): Promise<boolean> {
    this.highest = Math.max(this.highest, generation);
    // The store may still be writing a recent revocation.
    if (this.wasRevokedMeanwhile(deviceId, generation)) return true;
    return generation < (await this.readStored(deviceId));
  }

  /** Whether a connection of this generation was revoked during its upgrade. Synchronous. */
  wasRevokedMeanwhile(deviceId: string, generation: number): boolean {
    return generation < (this.recent.get(deviceId)?.generation ?? 0);
  }

  /**
   * The generation of a login that begins now. If the store fails it is 0: the tokens of the login are valid unless the
   * store has a revocation.
   */
  async generationOf(deviceId: string): Promise<number> {
    const recent = this.recent.get(deviceId)?.generation ?? 0;
    return Math.max(recent, await this.readStored(deviceId).catch(() => 0));
  }

  private async readStored(deviceId: string): Promise<number> {
    const at = await this.store.revokedAt(deviceId);
    if (at === undefined) return 0;
    if (typeof at !== 'number' || !(at >= 0 && at <= END_OF_TIME))
      throw new TypeError(
        "revokedAt() of the 'revocations' store must return the number that revoke() received as 'at'",
      );
    this.highest = Math.max(this.highest, at);
    return at;
  }

  private deletableFrom(generation: number): number {
    const expired = generation + TOKEN_LIVES * this.tokenLifeMs;
    return Math.min(Math.max(expired, this.tokens.latestExpiry), END_OF_TIME);
  }
}

/**
 * Where revocations are kept. In memory by default; an app with several processes, or restarts, gives its own.
 * Times are of the process that issued or revoked: the clocks of several must agree.
 */
export interface RevocationStore {
  /**
   * Tokens of the device issued at or before `at` stop working.
   * @param at in milliseconds since 1970.
   * @param until when the last of them will have expired by itself, so that this may be forgotten. With the option
   * `phoenix` that is not known, and it is the last moment there is: 8.64e15.
   */
  revoke(deviceId: string, at: number, until: number): void | Promise<void>;
  /** The latest `at` of the device, or undefined. Asked at every upgrade with a token; where it throws, the upgrade is refused with 503. */
  revokedAt(deviceId: string): number | undefined | Promise<number | undefined>;
}

/** The last time a `Date` can hold. */
const END_OF_TIME = 8.64e15;

/** Revocations of this process: a restart forgets them. */
export class MemoryRevocations implements RevocationStore {
  private readonly entries = new Map<string, { readonly at: number; readonly until: number }>();

  revoke(deviceId: string, at: number, until: number): void {
    forgetOldest(this.entries, (entry) => entry.until <= at);
    this.entries.delete(deviceId);
    this.entries.set(deviceId, { at, until });
  }

  revokedAt(deviceId: string): number | undefined {
    return this.entries.get(deviceId)?.at;
  }
}

/** The revocations of an endpoint: what its store keeps, and what was revoked while an upgrade was being looked at. */
export class Revocations {
  private store: RevocationStore = new MemoryRevocations();
  private readonly recent = new Map<
    string,
    { readonly at: number; readonly turn: number; readonly seen: number }
  >();
  private turn = 0;

  /**
   * @param tokenLifeMs after which a revocation may be forgotten.
   * @param upgradeTimeoutMs how long an upgrade may be looked at.
   */
  constructor(
    private readonly tokenLifeMs: number,
    private readonly upgradeTimeoutMs: number,
  ) {}

  keepIn(store: RevocationStore): void {
    this.store = store;
  }

  /** How many revocations there have been: {@link since} tells those after it. */
  get count(): number {
    return this.turn;
  }

  async revoke(deviceId: string, now = Date.now()): Promise<void> {
    this.noticed(deviceId, now, now);
    // A token expires at a full second.
    const until = Math.ceil((now + this.tokenLifeMs) / 1_000) * 1_000;
    await this.store.revoke(deviceId, now, Math.min(until, END_OF_TIME));
  }

  /** Counts what another node revoked, too: an upgrade may be looked at here meanwhile. */
  noticed(deviceId: string, at: number, now = Date.now()): void {
    forgetOldest(this.recent, ({ seen }) => seen < now - this.upgradeTimeoutMs);
    this.recent.delete(deviceId);
    this.recent.set(deviceId, { at, turn: ++this.turn, seen: now });
  }

  /** Whether a token of that time no longer works. */
  async covers(deviceId: string, issuedAt: number): Promise<boolean> {
    // The store may still be writing what has just been revoked.
    if (issuedAt <= (this.recent.get(deviceId)?.at ?? -Infinity)) return true;
    const at = await this.store.revokedAt(deviceId);
    return at !== undefined && issuedAt <= at;
  }

  /**
   * Whether the device was revoked after so many revocations: its token, or its login, was still good when it was
   * looked at. Counted, since a device may well log in again within the millisecond.
   */
  since(deviceId: string, count: number): boolean {
    return (this.recent.get(deviceId)?.turn ?? 0) > count;
  }

  /** The time to issue a token of the device at: now, or just after a revocation that is as late as that. */
  issueAt(deviceId: string, now = Date.now()): number {
    return Math.max(now, (this.recent.get(deviceId)?.at ?? 0) + 1);
  }
}

/** Entries are in the order of their time: what comes after the first that is kept is kept as well. */
function forgetOldest<Entry>(entries: Map<string, Entry>, old: (entry: Entry) => boolean): void {
  for (const [id, entry] of entries) {
    if (!old(entry)) return;
    entries.delete(id);
  }
}

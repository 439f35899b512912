import { type BackplaneEndpoint, type RevocationStore } from '../server/index.js';
import { type Bucket, type Kept } from './bucket.js';
import { unavailable } from './link.js';
import { type Subjects } from './subjects.js';

/** What is kept of a device whose tokens were revoked: see `RevocationStore`. */
export interface Revocation {
  readonly at: number;
  readonly until: number;
}

interface Known extends Revocation {
  /** The last revision that is known of its entry, which this may still have to follow. 0 for none. */
  readonly revision: number;
  /** By the clock of the store. Infinity until that is known. */
  readonly writtenAt: number;
}

export function isRevocation(value: unknown): value is Revocation {
  const { at, until } = (value ?? {}) as Record<string, unknown>;
  return Number.isSafeInteger(at) && Number.isSafeInteger(until);
}

/** How often a write is tried again because other nodes have revoked the same device meanwhile. */
const MAX_WRITES = 10;
/** How many revocations are written back together to a bucket that lacks them. */
const WRITTEN_TOGETHER = 64;

/**
 * The revocations of an endpoint: kept in a bucket, and all of them in the memory of each node, so that upgrades are
 * checked without a query, even while the store is unavailable. Revocations that the bucket lacks are
 * written back, with retries, so a bucket that lost everything is restored.
 */
export class RevocationBucket implements RevocationStore {
  private readonly known = new Map<string, Known>();
  /** The devices whose revocation the bucket may lack. */
  private readonly unsaved = new Set<string>();
  private bucket: Bucket<Revocation> | undefined;
  private unwatch: () => void = () => undefined;
  /** The revision up to which everything was read. */
  private seen = 0;
  /** The last revision there was at the check before. */
  private due = 0;
  private read = false;
  private forgetting = false;

  /** @param onLost called when the watch has ended, or has left something out: {@link resume} is called for. */
  constructor(
    private readonly endpoint: BackplaneEndpoint,
    private readonly subjects: Subjects,
    private readonly onLost: (error: unknown) => void = () => undefined,
  ) {}

  async revoke(deviceId: string, at: number, until: number): Promise<void> {
    const known = this.known.get(deviceId);
    const revocation = exceed(known, { at, until });
    this.known.set(deviceId, { ...revocation, revision: known?.revision ?? 0, writtenAt: Infinity });
    if (revocation.at !== at) this.endpoint.revoked(deviceId, revocation.at);
    try {
      if (!this.bucket) throw unavailable('revocations cannot be stored');
      await this.keep(this.bucket, deviceId, revocation);
    } catch (error) {
      this.unsaved.add(deviceId);
      throw error;
    }
  }

  revokedAt(deviceId: string): number | undefined {
    if (!this.read) throw unavailable('this node has not read the revocations yet');
    return this.known.get(deviceId)?.at;
  }

  /** Reads all of them, listens for more, and writes what the bucket does not have. @throws {BackplaneError} */
  async resume(bucket: Bucket<Revocation>): Promise<void> {
    this.pause();
    const { revision } = await bucket.state();
    const unread = new Set(this.known.keys());
    for await (const entry of bucket.scan(this.subjects.keys)) {
      unread.delete(this.subjects.textOf(entry.key));
      this.onEntry(entry);
    }
    for (const id of unread) {
      this.changeRevision(id, 0);
      this.unsaved.add(id);
    }
    this.seen = this.due = revision;
    this.unwatch = await bucket.watch(
      this.subjects.keys,
      {
        changed: (entry) => {
          this.seen = Math.max(this.seen, entry.revision);
          this.onEntry(entry);
        },
        ended: (error) => this.onLost(error),
      },
      revision,
    );
    await this.save(bucket);
    this.bucket = bucket;
    this.read = true;
  }

  /**
   * Looks at what the watch may have left out, and writes what could not be written. Called from time to time.
   * @param revision the last one in the bucket.
   * @throws {BackplaneError}
   */
  async check(revision: number): Promise<void> {
    const { bucket, due } = this;
    if (!bucket) return;
    this.due = revision;
    // Written before the check before, and not told since: by another endpoint, or lost on the way.
    if (due > this.seen) {
      for await (const entry of bucket.scan(this.subjects.keys, this.seen + 1)) {
        if (entry.revision > due) break;
        if (entry.revision <= this.seen) continue;
        this.onLost(unavailable('a watch missed a revocation'));
        return;
      }
      this.seen = Math.max(this.seen, due);
    }
    await this.save(bucket);
    await this.forget();
  }

  /** Deletes expired revocations, in memory and in the bucket. Called periodically. */
  async forget(): Promise<void> {
    if (this.forgetting) return;
    this.forgetting = true;
    try {
      for (const [id, known] of this.known) {
        if (!hasExpired(known)) continue;
        // One that could not be removed is tried again the next time, and a newer one stays.
        await this.bucket?.remove(this.subjects.key(id), known.revision);
        if (this.known.get(id) !== known) continue;
        this.known.delete(id);
        this.unsaved.delete(id);
      }
    } finally {
      this.forgetting = false;
    }
  }

  pause(): void {
    this.unwatch();
    this.unwatch = () => undefined;
    this.bucket = undefined;
  }

  /** Writes a new revocation after the newest one, which it has to exceed. */
  private async keep(bucket: Bucket<Revocation>, id: string, revocation: Revocation): Promise<void> {
    const key = this.subjects.key(id);
    let revision = this.known.get(id)?.revision ?? 0;
    for (let written = 0; written < MAX_WRITES; written++) {
      const own = await bucket.put(key, revocation, revision);
      if (own !== undefined) {
        this.onSaved(id, revocation.at, own);
        return;
      }
      const newest = await bucket.get(key);
      revision = newest.revision;
      revocation = exceed(newest.value, revocation);
      this.observe(id, { ...revocation, revision, writtenAt: Infinity });
    }
    throw unavailable('other nodes keep revoking the same device');
  }

  /** Writes what the bucket lacks. @throws {BackplaneError} */
  private async save(bucket: Bucket<Revocation>): Promise<void> {
    const ids = [...this.unsaved];
    while (ids.length > 0)
      await Promise.all(ids.splice(0, WRITTEN_TOGETHER).map((id) => this.saveOne(bucket, id)));
  }

  private async saveOne(bucket: Bucket<Revocation>, id: string): Promise<void> {
    const known = this.known.get(id);
    if (!known || hasExpired(known)) {
      this.unsaved.delete(id);
      return;
    }
    const key = this.subjects.key(id);
    const { value, revision, writtenAt } = await bucket.get(key);
    if (value && value.at >= known.at) {
      this.observe(id, { ...value, revision, writtenAt });
      return;
    }
    const own = await bucket.put(key, { at: known.at, until: known.until }, revision);
    // A concurrent write of another node: checked next time.
    if (own !== undefined) this.onSaved(id, known.at, own);
  }

  private onSaved(id: string, at: number, revision: number): void {
    if (this.known.get(id)?.at !== at) return;
    this.changeRevision(id, revision);
    this.unsaved.delete(id);
  }

  private changeRevision(id: string, revision: number): void {
    const known = this.known.get(id);
    if (known) this.known.set(id, { ...known, revision });
  }

  private onEntry({ key, value, revision, writtenAt }: Kept<Revocation>): void {
    const id = this.subjects.textOf(key);
    if (value) this.observe(id, { ...value, revision, writtenAt });
    // Somebody else has written over it.
    else if (this.known.has(id)) this.unsaved.add(id);
  }

  /** Records an entry of the bucket. */
  private observe(id: string, entry: Known): void {
    const known = this.known.get(id);
    if (known && entry.at < known.at) {
      this.changeRevision(id, entry.revision);
      this.unsaved.add(id);
      return;
    }
    this.known.set(id, entry);
    if (entry.revision > 0) this.unsaved.delete(id);
    if (entry.at !== known?.at) this.endpoint.revoked(id, entry.at);
  }
}

/** Whether all it revokes has expired: both the node that revoked and the store may have a clock that is behind. */
function hasExpired({ at, until, writtenAt }: Known): boolean {
  return Math.max(until, writtenAt + until - at) <= Date.now();
}

/** A revocation after another one: that node may have given the device tokens of its generation since. */
function exceed(other: Revocation | undefined, { at, until }: Revocation): Revocation {
  if (!other || other.at < at) return { at, until };
  return { at: other.at + 1, until: Math.max(until + other.at + 1 - at, other.until) };
}

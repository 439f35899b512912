import { type BackplaneEndpoint, type RevocationStore } from '../server/index.js';
import { type Bucket } from './bucket.js';
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

const MAX_UNSAVED = 10_000;
/** How often a write is tried again because other nodes have revoked the same device meanwhile. */
const MAX_WRITES = 10;

/**
 * The revocations of an endpoint: kept in a bucket, and all of them in the memory of each node, so that upgrades are
 * judged without asking anybody, and go on while the store is away.
 */
export class RevocationBucket implements RevocationStore {
  private readonly known = new Map<string, Known>();
  /** What could not be kept, and was rejected: kept after all as soon as it can be. */
  private readonly unsaved = new Map<string, Revocation>();
  private bucket: Bucket<Revocation> | undefined;
  private unwatch: () => void = () => undefined;
  private read = false;
  private forgetting = false;

  constructor(
    private readonly endpoint: BackplaneEndpoint,
    private readonly subjects: Subjects,
  ) {}

  async revoke(deviceId: string, at: number, until: number): Promise<void> {
    const known = this.known.get(deviceId);
    const revocation = exceed(known, { at, until });
    this.known.set(deviceId, { ...revocation, revision: known?.revision ?? 0, writtenAt: Infinity });
    if (revocation.at !== at) this.endpoint.revoked(deviceId, revocation.at);
    try {
      if (!this.bucket) throw unavailable('revocations cannot be kept');
      await this.keep(this.bucket, deviceId, revocation);
    } catch (error) {
      if (this.unsaved.size < MAX_UNSAVED) this.unsaved.set(deviceId, revocation);
      throw error;
    }
  }

  revokedAt(deviceId: string): number | undefined {
    if (!this.read) throw unavailable('the revocations have not been read yet');
    return this.known.get(deviceId)?.at;
  }

  /** Reads all of them, and listens for more. */
  async resume(bucket: Bucket<Revocation>): Promise<void> {
    this.pause();
    this.unwatch = await bucket.watch(
      this.subjects.keys,
      ({ key, value, ...entry }) => value && this.noticed(key, { ...value, ...entry }),
    );
    for await (const { key, value, revision, writtenAt } of bucket.scan(this.subjects.keys)) {
      if (value) this.noticed(key, { ...value, revision, writtenAt });
    }
    for (const [id, revocation] of this.unsaved) {
      const { value } = await bucket.get(this.subjects.key(id));
      if (!value || value.at < revocation.at) await this.keep(bucket, id, revocation);
      this.unsaved.delete(id);
    }
    this.bucket = bucket;
    this.read = true;
  }

  /** Forgets, here and in the bucket, what revokes only tokens that have expired. Called from time to time. */
  async forget(): Promise<void> {
    if (this.forgetting) return;
    this.forgetting = true;
    try {
      for (const [id, known] of this.known) {
        // Both the node that revoked and the store may have a clock that is behind.
        if (Math.max(known.until, known.writtenAt + known.until - known.at) > Date.now()) continue;
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

  /** Writes a revocation after the newest one, which it has to exceed. */
  private async keep(bucket: Bucket<Revocation>, id: string, revocation: Revocation): Promise<void> {
    const key = this.subjects.key(id);
    let revision = this.known.get(id)?.revision ?? 0;
    for (let written = 0; written < MAX_WRITES; written++) {
      const own = await bucket.put(key, revocation, revision);
      if (own !== undefined) {
        const known = this.known.get(id);
        if (known?.at === revocation.at) this.known.set(id, { ...known, revision: own });
        return;
      }
      const newest = await bucket.get(key);
      revision = newest.revision;
      revocation = exceed(newest.value, revocation);
      this.noticed(key, { ...revocation, revision, writtenAt: Infinity });
    }
    throw unavailable('other nodes keep revoking the same device');
  }

  private noticed(key: string, { at, until, revision, writtenAt }: Known): void {
    const id = this.subjects.textOf(key);
    const known = this.known.get(id);
    if (known && at < known.at) return;
    this.known.set(id, { at, until, revision, writtenAt });
    if (at !== known?.at) this.endpoint.revoked(id, at);
  }
}

/** A revocation after another one: that node may have given the device tokens of its generation since. */
function exceed(other: Revocation | undefined, { at, until }: Revocation): Revocation {
  if (!other || other.at < at) return { at, until };
  return { at: other.at + 1, until: Math.max(until + other.at + 1 - at, other.until) };
}

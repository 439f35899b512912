import { type BackplaneEndpoint, type RevocationStore } from '../server/index.js';
import { type Bucket } from './bucket.js';
import { unavailable } from './link.js';
import { type Subjects } from './subjects.js';

/** What is kept of a device whose tokens were revoked: until when they were issued, and when the last has expired. */
export interface Revocation {
  readonly at: number;
  readonly until: number;
}

/** With the revision it is kept at: 0 until it is. */
interface Known extends Revocation {
  readonly revision: number;
}

export function isRevocation(value: unknown): value is Revocation {
  const { at, until } = (value ?? {}) as Record<string, unknown>;
  return Number.isSafeInteger(at) && Number.isSafeInteger(until);
}

const MAX_UNSAVED = 10_000;

/**
 * The revocations of an endpoint: kept in a bucket, and all of them in the memory of each node, so that upgrades are
 * judged without asking anybody, and go on while NATS is away.
 */
export class RevocationBucket implements RevocationStore {
  private readonly known = new Map<string, Known>();
  /** What could not be kept, and was rejected: kept after all as soon as it can be. */
  private readonly unsaved = new Map<string, Revocation>();
  private bucket: Bucket<Revocation> | undefined;
  private unwatch: () => void = () => undefined;
  private read = false;
  private forgetting = false;
  /** What was revoked earlier is no news to anybody who connects after it was read. */
  private readonly since = Date.now();

  constructor(
    private readonly endpoint: BackplaneEndpoint,
    private readonly subjects: Subjects,
  ) {}

  async revoke(deviceId: string, at: number, until: number): Promise<void> {
    const revocation = { at, until };
    this.known.set(deviceId, { ...revocation, revision: 0 });
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
      ({ key, value, revision }) => value && this.noticed(key, value, revision),
    );
    for await (const { key, value, revision } of bucket.scan(this.subjects.keys)) {
      if (value) this.noticed(key, value, revision);
    }
    for (const [id, revocation] of this.unsaved) {
      await this.keep(bucket, id, revocation);
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
        if (known.until > Date.now()) continue;
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

  private async keep(bucket: Bucket<Revocation>, id: string, revocation: Revocation): Promise<void> {
    const revision = (await bucket.put(this.subjects.key(id), revocation)) ?? 0;
    if (this.known.get(id)?.at === revocation.at) this.known.set(id, { ...revocation, revision });
  }

  private noticed(key: string, revocation: Revocation, revision: number): void {
    const id = this.subjects.textOf(key);
    const known = this.known.get(id);
    if (known && revocation.at < known.at) return;
    this.known.set(id, { ...revocation, revision });
    if (revocation.at === known?.at) return;
    if (this.read || revocation.at >= this.since) this.endpoint.revoked(id, revocation.at);
  }
}

import { type BackplaneEndpoint, type RevocationStore } from '../server/index.js';
import { type Bucket } from './bucket.js';
import { unavailable } from './link.js';
import { type Subjects } from './subjects.js';

/** What is kept of a device whose tokens were revoked: until when they were issued, and when the last has expired. */
export interface Revocation {
  readonly at: number;
  readonly until: number;
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
  private readonly known = new Map<string, Revocation>();
  /** What could not be kept, and was rejected: kept after all as soon as it can be. */
  private readonly unsaved = new Map<string, Revocation>();
  private bucket: Bucket<Revocation> | undefined;
  private unwatch: () => void = () => undefined;
  private read = false;
  /** What was revoked earlier is no news to anybody who connects after it was read. */
  private readonly since = Date.now();

  constructor(
    private readonly endpoint: BackplaneEndpoint,
    private readonly subjects: Subjects,
  ) {}

  async revoke(deviceId: string, at: number, until: number): Promise<void> {
    const revocation = { at, until };
    this.known.set(deviceId, revocation);
    try {
      if (!this.bucket) throw unavailable('revocations cannot be kept');
      await this.bucket.put(this.subjects.key(deviceId), revocation);
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
      ({ key, value }) => value && this.noticed(key, value),
    );
    for await (const { key, value } of bucket.scan(this.subjects.keys)) {
      if (!value) continue;
      if (value.until > Date.now()) this.noticed(key, value);
      else await bucket.remove(key);
    }
    for (const [id, { until }] of this.known) if (until <= Date.now()) this.known.delete(id);
    for (const [id, revocation] of this.unsaved) {
      await bucket.put(this.subjects.key(id), revocation);
      this.unsaved.delete(id);
    }
    this.bucket = bucket;
    this.read = true;
  }

  pause(): void {
    this.unwatch();
    this.unwatch = () => undefined;
    this.bucket = undefined;
  }

  private noticed(key: string, revocation: Revocation): void {
    const id = this.subjects.textOf(key);
    if (revocation.at <= (this.known.get(id)?.at ?? 0)) return;
    this.known.set(id, revocation);
    if (this.read || revocation.at >= this.since) this.endpoint.revoked(id, revocation.at);
  }
}

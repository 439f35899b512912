import {
  claimAfter,
  type DeliveryClaim,
  type DeviceQueue,
  type HandledPosition,
  isDeliveryClaim,
  withHandled,
} from '../delivery/index.js';
import { type DeliveryStore } from '../server/index.js';
import { type Bucket, type Entries, type Kept, type Store } from './bucket.js';
import { DueQueues, isWatchman, type QueueBucketEntry } from './due-queues.js';
import { LazyBucket } from './lazy-bucket.js';
import { unavailable } from './link.js';
import { isQueueRecord, queueOf } from './queue-record.js';
import { type Subjects } from './subjects.js';

/** How often a write is tried again because others have written the same entry meanwhile. */
const MAX_WRITES = 10;
/** What `QueueStore` promises, and what a NATS server carries by default. */
const MAX_QUEUE_BYTES = 1_024 * 1_024;
/** 256 KiB in base64, in quotes. */
const MAX_MESSAGE_BYTES = 4 * Math.ceil((256 * 1_024) / 3) + 2;
const MESSAGE_RETENTION_MS = 31 * 24 * 3_600_000;
const REMOVED_TOGETHER = 16;

/**
 * What the devices of an endpoint have delivered, and what waits for them, on any node. Each of the three buckets exists
 * from its first write on:
 *
 * - `deliveries`: what was handled, one entry for each device, written with compare-and-set;
 * - `queues`: the same for what waits. An entry that is none counts as none, and the next write replaces it;
 * - `messages`: their bytes, in base64.
 */
export class DeliveryBucket implements DeliveryStore {
  private readonly claims: LazyBucket<DeliveryClaim>;
  private readonly queues: LazyBucket<QueueBucketEntry>;
  private readonly messages: LazyBucket<string>;
  private readonly due: DueQueues;

  /**
   * @param node the name of this process.
   * @param onStray called for each entry that is read and is none.
   */
  constructor(
    node: string,
    private readonly subjects: Subjects,
    store: Pick<Store, 'open' | 'find'>,
    onStray: (bucket: string, key: string) => void,
  ) {
    const lazy = <T>(name: string, entries: Omit<Entries<T>, 'stray'>): LazyBucket<T> =>
      new LazyBucket(store, name, { ...entries, stray: (key) => onStray(name, key) });
    this.claims = lazy(subjects.bucket('deliveries'), {
      retentionMs: undefined,
      isOne: (key, value): value is DeliveryClaim => subjects.isKey(key) && isDeliveryClaim(value),
    });
    // One for each endpoint, as all of it is read at times.
    this.queues = lazy(subjects.bucket(`queues_${subjects.endpoint}`), {
      retentionMs: undefined,
      keys: subjects.keys,
      maxBytes: MAX_QUEUE_BYTES,
      isOne: (key, value): value is QueueBucketEntry =>
        isWatchman(key, value) || (subjects.isKey(key) && isQueueRecord(value)),
    });
    this.messages = lazy(subjects.bucket('messages'), {
      retentionMs: MESSAGE_RETENTION_MS,
      maxBytes: MAX_MESSAGE_BYTES,
      isOne: (_key, value): value is string => isBase64(value),
    });
    this.due = new DueQueues(node, subjects);
  }

  /** @throws {BackplaneError} */
  async claim(_endpoint: string, deviceId: string): Promise<DeliveryClaim> {
    return (await this.changeClaim(deviceId, claimAfter)) as DeliveryClaim;
  }

  /** @throws {BackplaneError} when it may have been written or not. */
  async setHandled(
    _endpoint: string,
    deviceId: string,
    generation: number,
    handled: HandledPosition,
  ): Promise<boolean> {
    const changed = await this.changeClaim(deviceId, (last) => withHandled(last, generation, handled));
    return changed !== undefined;
  }

  /** @throws {BackplaneError} */
  async readQueue(_endpoint: string, deviceId: string): Promise<DeviceQueue | undefined> {
    const kept = await this.queues.read((bucket) => bucket.get(this.subjects.key(deviceId)));
    return queueOf(kept?.value);
  }

  /** @throws {BackplaneError} when it may have been written or not. */
  writeQueue(
    _endpoint: string,
    deviceId: string,
    queue: DeviceQueue | undefined,
    after: number | undefined,
  ): Promise<boolean> {
    const key = this.subjects.key(deviceId);
    return this.queues.write((bucket) => writeQueue(bucket, key, queue, after));
  }

  /**
   * As `QueueStore.dueQueues`, on one node of all that ask; nothing on the others.
   * @throws {BackplaneError}
   */
  async dueQueues(_endpoint: string, now: number, limit: number): Promise<readonly string[]> {
    return (await this.queues.read((bucket) => this.due.find(bucket, now, limit))) ?? [];
  }

  /** @throws {BackplaneError} */
  async writeMessage(_endpoint: string, deviceId: string, name: string, message: Uint8Array): Promise<void> {
    const base64 = Buffer.from(message.buffer, message.byteOffset, message.byteLength).toString('base64');
    await this.messages.write((bucket) => bucket.put(this.subjects.keyOfMessage(deviceId, name), base64));
  }

  /** @throws {BackplaneError} */
  async readMessage(_endpoint: string, deviceId: string, name: string): Promise<Uint8Array | undefined> {
    const kept = await this.messages.read((bucket) => bucket.get(this.subjects.keyOfMessage(deviceId, name)));
    return kept?.value === undefined ? undefined : Buffer.from(kept.value, 'base64');
  }

  /** @throws {BackplaneError} */
  async removeMessages(_endpoint: string, deviceId: string, names: readonly string[]): Promise<void> {
    const keys = names.map((name) => this.subjects.keyOfMessage(deviceId, name));
    await this.messages.read(async (bucket) => {
      while (keys.length > 0)
        await Promise.all(keys.splice(0, REMOVED_TOGETHER).map((key) => bucket.remove(key)));
    });
  }

  /** Another node has written the queue of a device: there is a bucket, whatever was found before. */
  onQueueChange(): void {
    this.queues.forgetAbsence();
    this.messages.forgetAbsence();
  }

  /** The connection is lost: buckets are opened anew. */
  pause(): void {
    for (const bucket of [this.claims, this.queues, this.messages]) bucket.pause();
  }

  private changeClaim(
    deviceId: string,
    next: (last: DeliveryClaim | undefined) => DeliveryClaim | undefined,
  ): Promise<DeliveryClaim | undefined> {
    return this.claims.write((bucket) => changeClaim(bucket, this.subjects.key(deviceId), next));
  }
}

async function changeClaim(
  bucket: Bucket<DeliveryClaim>,
  key: string,
  next: (last: DeliveryClaim | undefined) => DeliveryClaim | undefined,
): Promise<DeliveryClaim | undefined> {
  for (let written = 0; written < MAX_WRITES; written++) {
    const { value, revision }: Kept<DeliveryClaim> = await bucket.get(key);
    const changed = next(value);
    if (changed === value || changed === undefined) return changed;
    if ((await bucket.put(key, changed, revision)) !== undefined) return changed;
  }
  throw unavailable('other nodes keep writing what the same device has delivered');
}

/** @returns false if the queue that is kept is another one than that with the revision `after`. */
async function writeQueue(
  bucket: Bucket<QueueBucketEntry>,
  key: string,
  queue: DeviceQueue | undefined,
  after: number | undefined,
): Promise<boolean> {
  for (let written = 0; written < MAX_WRITES; written++) {
    const kept = await bucket.get(key);
    if (queueOf(kept.value)?.revision !== after) return false;
    const own = await bucket.put(key, queue ?? { removed: true }, kept.revision);
    // Another node has written a queue, or only deleted the entry of one that was removed.
    if (own === undefined) continue;
    // One that stays counts as none, and is replaced by the next queue.
    if (!queue) await bucket.remove(key, own).catch(() => undefined);
    return true;
  }
  throw unavailable('other nodes keep writing the queue of the same device');
}

function isBase64(value: unknown): boolean {
  return typeof value === 'string' && /^[A-Za-z0-9+/]*={0,2}$/.test(value);
}

import { claimAfter, type DeliveryClaim, type HandledPosition, withHandled } from '../delivery/index.js';
import { type DeliveryStore } from '../server/index.js';
import { type Bucket, type Kept } from './bucket.js';
import { unavailable } from './link.js';
import { type Subjects } from './subjects.js';

/** How often a write is tried again because others have written the same entry meanwhile. */
const MAX_WRITES = 10;

/**
 * What the devices of an endpoint have delivered, to any node: one entry for each device, written with compare-and-set.
 * The bucket is opened when the first device delivers.
 */
export class DeliveryBucket implements DeliveryStore {
  private bucket: Promise<Bucket<DeliveryClaim>> | undefined;

  constructor(
    private readonly subjects: Subjects,
    private readonly open: () => Promise<Bucket<DeliveryClaim>>,
  ) {}

  /** @throws {BackplaneError} */
  async claim(_endpoint: string, deviceId: string): Promise<DeliveryClaim> {
    return (await this.change(deviceId, claimAfter)) as DeliveryClaim;
  }

  /** @throws {BackplaneError} when it may have been written or not. */
  async setHandled(
    _endpoint: string,
    deviceId: string,
    generation: number,
    handled: HandledPosition,
  ): Promise<boolean> {
    const changed = await this.change(deviceId, (last) => withHandled(last, generation, handled));
    return changed !== undefined;
  }

  /** The connection is lost: buckets are opened anew. */
  pause(): void {
    this.bucket = undefined;
  }

  private async change(
    deviceId: string,
    next: (last: DeliveryClaim | undefined) => DeliveryClaim | undefined,
  ): Promise<DeliveryClaim | undefined> {
    const opening = (this.bucket ??= this.open());
    try {
      return await change(await opening, this.subjects.key(deviceId), next);
    } catch (error) {
      // Somebody may have deleted the bucket: it is made anew.
      if (this.bucket === opening) this.bucket = undefined;
      throw error;
    }
  }
}

async function change(
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

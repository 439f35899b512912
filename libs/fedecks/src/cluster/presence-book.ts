import { type BackplaneEndpoint, type ConnectedDevice, type DisconnectCause } from '../server/index.js';
import { type Bucket } from './bucket.js';
import { type Gone, type PresenceRecord, recordOf } from './presence-record.js';
import { type Subjects } from './subjects.js';

/** How many writes may wait for their answers. */
const MAX_IN_FLIGHT = 256;
/** How many devices that left while nothing could be written are remembered one by one. */
const MAX_GONE = 100_000;
const RETRY_MS = 500;
/** How often, within the time that departed devices are kept, those that stay connected are written again. */
const RENEWALS = 3;

/** What the book asks of the backplane it is for. */
export interface BookEvents {
  /** Whether that node lives. */
  lives(node: string): boolean;
  /** Tells other nodes that hold the device that the connection written at this revision is newer than theirs. */
  announce(deviceId: string, epoch: number): void;
  /** Whether another node holds the device too, and has its own connection written instead. */
  handOver(deviceId: string): Promise<boolean>;
  /** A write has failed and will be tried again, or all is well again. */
  trouble(error: unknown): void;
}

/** A device whose place in the bucket is this node's to write. */
interface Held {
  device: ConnectedDevice;
  /** Set when its last connection here has ended. */
  gone: Gone | undefined;
  /** The revision of what this node wrote last, where that is known: no other may be written over. */
  epoch: number | undefined;
  /** It has just connected, and nothing was tried: whatever is written there is older. */
  fresh: boolean;
  /** The newest revision another node has announced. */
  announced: number;
  state: 'idle' | 'queued' | 'busy';
  /** What is to be written has changed while it was written. */
  again: boolean;
}

/**
 * Writes who is connected to this node. The revision of what is written when a device connects is the epoch of its
 * connection: what is written when it ends must follow that very revision, so that a late end takes nothing from a
 * newer connection on another node. Writes of one device are one after another, and only the newest matters; those
 * of all are under way together, within a limit, and never hold up a connection.
 */
export class PresenceBook {
  private readonly devices = new Map<string, Held>();
  private readonly claims = new Set<string>();
  private readonly queue = new Set<Held>();
  private bucket: Bucket<PresenceRecord> | undefined;
  private inFlight = 0;
  private gone = 0;
  private overflowed = false;
  private readonly renewEveryMs: number;
  private renewedAt = performance.now();
  private idle: () => void = () => undefined;

  constructor(
    private readonly node: string,
    retentionMs: number,
    private readonly endpoint: BackplaneEndpoint,
    private readonly subjects: Subjects,
    private readonly events: BookEvents,
    private readonly maxGone = MAX_GONE,
  ) {
    this.renewEveryMs = retentionMs / RENEWALS;
  }

  /** There is a bucket to write to, perhaps again: whatever is written there is compared with what is true. */
  async resume(bucket: Bucket<PresenceRecord>): Promise<void> {
    this.bucket = bucket;
    this.compare();
    if (!this.overflowed) return;
    this.overflowed = false;
    const stray = ({ node }: PresenceRecord, id: string): boolean =>
      node === this.node && !this.devices.has(id);
    await this.sweep(stray, { cause: 'connection_lost', at: Date.now() }).catch((error: unknown) => {
      this.overflowed = true;
      throw error;
    });
  }

  pause(): void {
    this.bucket = undefined;
  }

  /** Looks again at what is written of every device of this node. */
  compare(): void {
    for (const { id } of this.endpoint.all()) this.lookAt(id);
    this.pump();
  }

  /** Looks again at what is written of a device, if this node holds it. */
  lookAt(deviceId: string): void {
    const device = this.endpoint.held(deviceId);
    if (!device) return;
    const held = this.heldOf(device);
    held.epoch = undefined;
    held.fresh = false;
    this.enqueue(held);
    this.pump();
  }

  /**
   * Has each connected device looked at, and so written again, once in a third of the time the store keeps entries: each at
   * its own time. Called from time to time, more often than that.
   */
  renew(now = performance.now()): void {
    // When a device connected only spreads the fleet: what passes is measured by a clock that nobody sets.
    const turn = (device: ConnectedDevice, at: number): number =>
      Math.floor((at + (device.since % this.renewEveryMs)) / this.renewEveryMs);
    for (const device of this.endpoint.all()) {
      if (turn(device, now) !== turn(device, this.renewedAt)) this.lookAt(device.id);
    }
    this.renewedAt = now;
  }

  opened(device: ConnectedDevice): void {
    const claimed = this.claims.delete(device.id);
    const held = this.heldOf(device);
    const newest = device.since >= held.device.since;
    if (held.gone) this.gone--;
    held.gone = undefined;
    held.device = device;
    // Of an earlier connection: what was announced since then does not make this one old.
    if (newest && !claimed) held.epoch = undefined;
    held.fresh = !claimed && newest && this.bucket !== undefined && this.endpoint.duplicates !== 'oldest';
    this.enqueue(held);
    this.pump();
  }

  closed(device: ConnectedDevice, cause: DisconnectCause): void {
    this.close(this.heldOf(device), { cause: cause.type, at: Date.now() });
  }

  /** Takes the place of a device that must not be connected already. What cannot be asked is no obstacle. */
  async claim(device: ConnectedDevice): Promise<boolean> {
    const { id } = device;
    if (this.claims.has(id)) return false;
    const { bucket } = this;
    if (!bucket) return true;
    this.claims.add(id);
    try {
      const key = this.subjects.key(id);
      const { value, revision } = await bucket.get(key);
      const taken = value?.state === 'online' && value.node !== this.node && this.events.lives(value.node);
      const epoch = taken ? undefined : await bucket.put(key, recordOf(device, this.node), revision);
      if (epoch === undefined) {
        this.claims.delete(id);
        return false;
      }
      const held = this.heldOf(device);
      held.epoch = epoch;
      held.fresh = false;
      return true;
    } catch (error) {
      this.events.trouble(error);
      return true;
    }
  }

  unclaim(deviceId: string): void {
    if (!this.claims.delete(deviceId)) return;
    const held = this.devices.get(deviceId);
    if (held && !this.endpoint.held(deviceId)) this.close(held, { cause: 'connection_lost', at: Date.now() });
  }

  /** Another node has announced a connection of the device. */
  announced(deviceId: string, epoch: number): void {
    const held = this.devices.get(deviceId);
    if (!held) return;
    held.announced = Math.max(held.announced, epoch);
    this.yieldTo(held);
  }

  /** Another node that wrote the device lets go of it: what this one holds is written instead. */
  takeOver(deviceId: string): void {
    const device = this.endpoint.held(deviceId);
    if (!device) return;
    const held = this.heldOf(device);
    held.fresh = true;
    this.enqueue(held);
    this.pump();
  }

  /** Marks as offline what is written as online and `matches`, unless it changes meanwhile. */
  async sweep(matches: (record: PresenceRecord, id: string) => boolean, gone: Gone): Promise<void> {
    const { bucket } = this;
    if (!bucket) throw new Error('the store is away');
    const writing = new Set<Promise<void>>();
    let failure: unknown;
    for await (const { key, value, revision } of bucket.scan(this.subjects.keys)) {
      if (value?.state !== 'online' || !matches(value, this.subjects.textOf(key))) continue;
      const record: PresenceRecord = { ...value, state: 'offline', ...gone };
      const written = bucket.put(key, record, revision).then(
        () => void writing.delete(written),
        (error: unknown) => {
          failure = error;
          writing.delete(written);
        },
      );
      writing.add(written);
      if (writing.size >= MAX_IN_FLIGHT) await Promise.race(writing);
    }
    await Promise.all(writing);
    if (failure !== undefined) throw failure as Error;
  }

  /** Resolves when everything is written, true; after `deadlineMs`, or at once where nothing can be, false. */
  async written(deadlineMs: number): Promise<boolean> {
    if (!this.bucket) return false;
    if (!this.isIdle()) {
      let timer: NodeJS.Timeout | undefined;
      await new Promise<void>((resolve) => {
        this.idle = resolve;
        timer = setTimeout(resolve, deadlineMs);
      });
      clearTimeout(timer);
    }
    return this.isIdle() && !this.overflowed;
  }

  private isIdle(): boolean {
    return this.queue.size === 0 && this.inFlight === 0;
  }

  private heldOf(device: ConnectedDevice): Held {
    let held = this.devices.get(device.id);
    if (!held) {
      held = {
        device,
        gone: undefined,
        epoch: undefined,
        fresh: false,
        announced: 0,
        state: 'idle',
        again: false,
      };
      this.devices.set(device.id, held);
    }
    return held;
  }

  private close(held: Held, gone: Gone): void {
    held.gone = gone;
    // Whatever is written there may be newer than what has just ended.
    held.fresh = false;
    this.gone++;
    if (this.gone > this.maxGone && !this.bucket) {
      // Found again by what is written of it, once something can be written.
      this.overflowed = true;
      this.forget(held);
      return;
    }
    this.enqueue(held);
    this.pump();
  }

  private forget(held: Held): void {
    if (held.gone) this.gone--;
    this.queue.delete(held);
    if (this.devices.get(held.device.id) === held) this.devices.delete(held.device.id);
  }

  private enqueue(held: Held): void {
    if (held.state === 'busy') held.again = true;
    if (held.state !== 'idle') return;
    held.state = 'queued';
    this.queue.add(held);
  }

  private pump(): void {
    while (this.bucket && this.inFlight < MAX_IN_FLIGHT) {
      const [held] = this.queue;
      if (!held) break;
      this.queue.delete(held);
      held.state = 'busy';
      this.inFlight++;
      void this.write(this.bucket, held);
    }
    if (this.isIdle()) this.idle();
  }

  private async write(bucket: Bucket<PresenceRecord>, held: Held): Promise<void> {
    const { device, gone } = held;
    held.again = false;
    try {
      const done = await this.step(bucket, held, device, gone);
      held.again ||= !done;
      this.events.trouble(undefined);
      if (done && gone && held.gone === gone) this.forget(held);
      else this.yieldTo(held);
    } catch (error) {
      // It may have been written or not: next time it is looked at first.
      held.epoch = undefined;
      held.fresh = false;
      held.again = true;
      this.events.trouble(error);
      if (this.bucket) await new Promise((resolve) => setTimeout(resolve, RETRY_MS).unref());
    }
    this.inFlight--;
    held.state = 'idle';
    if (held.again) this.enqueue(held);
    this.pump();
  }

  /** Writes what is so of a device. False if it has to be done anew. */
  private async step(
    bucket: Bucket<PresenceRecord>,
    held: Held,
    device: ConnectedDevice,
    gone: Gone | undefined,
  ): Promise<boolean> {
    const key = this.subjects.key(device.id);
    const record = recordOf(device, this.node, gone);
    const allow = this.endpoint.duplicates === 'allow';
    if (gone && allow && (await this.events.handOver(device.id).catch(() => false))) return true;
    if (held.fresh) {
      held.fresh = false;
      return this.wrote(held, await bucket.put(key, record));
    }
    if (held.epoch !== undefined) {
      const revision = await bucket.put(key, record, held.epoch);
      if (revision !== undefined) return this.wrote(held, revision);
      // Another node's, or nobody's: that is looked at.
      held.epoch = undefined;
      return false;
    }
    const { value, revision, writtenAt } = await bucket.get(key);
    if (value && !gone && sameConnection(value, record)) {
      held.epoch = revision;
      // By the clock of the store: where ours is far from it, on either side, it is better written once too often.
      if (Math.abs(Date.now() - writtenAt) < this.renewEveryMs / 2) return true;
      return this.wrote(held, await bucket.put(key, { ...record, renewed: true }, revision));
    }
    if (value && this.outranks(value, record)) {
      if (!gone && !allow) this.endpoint.replace(device.id);
      return true;
    }
    return this.wrote(held, await bucket.put(key, record, revision));
  }

  private wrote(held: Held, revision: number | undefined): boolean {
    if (revision === undefined) return false;
    held.epoch = revision;
    if (!held.gone && this.endpoint.duplicates !== 'allow') this.events.announce(held.device.id, revision);
    return true;
  }

  /** Whether what is written of the device stays, beside what this node knows. */
  private outranks(theirs: PresenceRecord, ours: PresenceRecord): boolean {
    if (theirs.node === this.node) return theirs.since > ours.since;
    if (theirs.state === 'offline') return ours.state === 'offline' && theirs.at >= ours.at;
    if (!this.events.lives(theirs.node)) return false;
    if (ours.state === 'offline') return true;
    return this.endpoint.duplicates === 'oldest' ? theirs.since < ours.since : theirs.since > ours.since;
  }

  /** Closes what this node holds if another has a newer connection. */
  private yieldTo(held: Held): void {
    const { epoch, announced, gone, device } = held;
    if (gone || epoch === undefined || announced <= epoch) return;
    if (this.endpoint.duplicates !== 'allow') this.endpoint.replace(device.id);
  }
}

function sameConnection(theirs: PresenceRecord, ours: PresenceRecord): boolean {
  return theirs.state === 'online' && theirs.node === ours.node && theirs.since === ours.since;
}

import {
  type BackplaneEndpoint,
  type CloneTrace,
  type ConnectedDevice,
  type DisconnectCause,
} from '../server/index.js';
import { type Bucket, type Kept } from './bucket.js';
import { LastWrites } from './last-writes.js';
import { connectionOf, type Gone, type PresenceRecord, rankOf, recordOf } from './presence-record.js';
import { isLater, type Rank, type SharedClock, staysOver } from './rank.js';
import { type Subjects } from './subjects.js';

/** The maximum number of pending writes, and of pending queries. */
const MAX_IN_FLIGHT = 256;
/** The maximum number of queued offline writes while the store is unavailable. */
const MAX_GONE = 100_000;
/** The number of cached last revisions of devices that left: 100 to 200 bytes each. */
const MAX_LAST_WRITES = 10_000;
const RETRY_MS = 500;
/** The period within which every device of this node is checked, in case a watch event was lost. */
const LOOK_EVERY_MS = 600_000;
/** How often, at least, at how many are looked: 50,000 devices are 83 a second. */
const LOOKS_MS = 1_000;
/** How often, within the time that departed devices are kept, those that stay connected are written again. */
const RENEWALS = 3;
/** The number of retries of a claim after a concurrent write. */
const CLAIM_ATTEMPTS = 3;

/** What the book asks of the backplane it is for. */
export interface PresenceWriterEvents {
  /** Whether that node lives. */
  lives(node: string): boolean;
  /** Whether that node holds a connection of the device that stays over this one. Rejects if it does not answer. */
  holds(node: string, deviceId: string, over: Rank): Promise<boolean>;
  /** Whether another node holds the device too, and has its own connection written instead. */
  handOver(deviceId: string): Promise<boolean>;
  /** Sends the device's replaced processes to its new node, at most once. */
  tellTrace(node: string, deviceId: string, trace: CloneTrace): void;
  /** A write has failed and will be tried again, or all is well again. */
  trouble(error: unknown): void;
}

/** A device whose entry this node writes. */
interface Held {
  device: ConnectedDevice;
  /** The time of the rank of its connection. */
  time: number;
  /** Two machines use the device id, and the one that this node holds keeps it. */
  refusesClones: boolean;
  /** Set when its last connection here has ended. */
  gone: Gone | undefined;
  /**
   * The connection's epoch: the revision of this node's last write, while no later one is known. The next write is a
   * compare-and-set on it.
   */
  epoch: number | undefined;
  /** The revision that was read or written last. */
  seen: number;
  /** The newest revision of which the store has told since the last look began. */
  committed: number;
  /** When this node wrote it last, by `performance.now()`. */
  wroteAt: number;
  /** The result of a write is unknown: it may still take effect. */
  isUnsure: boolean;
  /** The entry must be read before the next write. */
  mustLook: boolean;
  /** 'allow': the node of the current entry releases the device. */
  takesOver: boolean;
  /** 'allow': other nodes were asked to take over. */
  handedOver: boolean;
  state: 'idle' | 'queued' | 'busy';
  /** The target state changed during a write. */
  again: boolean;
}

/**
 * Writes the presence of this node's devices. Each write is a compare-and-set, so a late one fails.
 * The store publishes each write to the nodes that hold the device, and each corrects a wrong entry: the
 * entry follows {@link staysOver}, the only order, and a connection is closed only for one that its node
 * confirms. Writes of one device are one after another, and only the newest matters; those of all are under way
 * concurrent, within a limit, and never block a connection. In case an event was missed, every device is checked
 * periodically.
 */
export class PresenceWriter {
  private readonly devices = new Map<string, Held>();
  /** Devices that may be about to connect, with the time of the rank that is being written for them. */
  private readonly claims = new Map<string, number | undefined>();
  private readonly queue = new Set<Held>();
  private readonly lastWrites = new LastWrites(MAX_LAST_WRITES);
  private bucket: Bucket<PresenceRecord> | undefined;
  private inFlight = 0;
  private questions = 0;
  /** How many devices wait for another node, or for their next attempt. */
  private waiting = 0;
  private gone = 0;
  private overflowed = false;
  private readonly renewAfterMs: number;
  private readonly lookEveryMs: number;
  private looking: NodeJS.Timeout | undefined;
  private looks: Iterator<Held> | undefined;
  private lookedAt = 0;
  private due = 0;
  private idle: () => void = () => undefined;

  constructor(
    private readonly node: string,
    private readonly clock: SharedClock,
    retentionMs: number,
    private readonly endpoint: BackplaneEndpoint,
    private readonly subjects: Subjects,
    private readonly events: PresenceWriterEvents,
    private readonly maxGone = MAX_GONE,
  ) {
    // One that is a little younger at one look is written again at the next.
    this.renewAfterMs = retentionMs / RENEWALS / 2;
    this.lookEveryMs = Math.min(LOOK_EVERY_MS, this.renewAfterMs);
  }

  /** Resumes with an open bucket: compares its entries with the actual state. */
  async resume(bucket: Bucket<PresenceRecord>): Promise<void> {
    this.bucket = bucket;
    // It may be another bucket, whose revisions begin anew.
    this.lastWrites.clear();
    for (const held of this.devices.values()) {
      held.seen = 0;
      this.look(held);
    }
    this.compare();
    this.lookedAt = performance.now();
    clearInterval(this.looking);
    const everyMs = Math.min(LOOKS_MS, this.lookEveryMs / 2);
    this.looking = setInterval(() => this.lookAround(), everyMs).unref();
    if (!this.overflowed) return;
    this.overflowed = false;
    const stray = ({ node }: PresenceRecord, id: string): Gone | undefined =>
      node === this.node && !this.devices.has(id) ? { cause: 'connection_lost', at: Date.now() } : undefined;
    await this.sweep(stray).catch((error: unknown) => {
      this.overflowed = true;
      throw error;
    });
  }

  pause(): void {
    this.bucket = undefined;
    clearInterval(this.looking);
  }

  /** Looks again at what is written of every device of this node. */
  compare(): void {
    for (const { id } of this.endpoint.all()) this.lookAt(id);
    this.pump();
  }

  /** Looks again at what is written of a device, if this node holds it. */
  lookAt(deviceId: string): void {
    const device = this.endpoint.held(deviceId);
    if (device) this.look(this.heldOf(device));
  }

  /** The store has committed a write of the device, perhaps one of this node's own. */
  onCommitted(deviceId: string, revision: number): void {
    const held = this.devices.get(deviceId);
    if (!held || revision <= held.seen) return;
    held.committed = Math.max(held.committed, revision);
    // While something is written it may be just that.
    if (held.state === 'idle') this.look(held);
  }

  /** Whether this node holds a connection of the device, or claims its place for one, that stays over that one. */
  holds(deviceId: string, over: Rank): boolean {
    const held = this.devices.get(deviceId);
    const time = held && !held.gone ? held.time : this.claims.get(deviceId);
    return time !== undefined && staysOver({ node: this.node, time }, over, this.endpoint.duplicates);
  }

  opened(device: ConnectedDevice): void {
    const isClaimed = this.claims.delete(device.id);
    const held = this.heldOf(device);
    if (!held.gone && held.device === device && held.epoch !== undefined) return;
    this.fill(held, device, isClaimed || held.device === device ? held.time : this.clock.now());
    held.epoch ??= this.lastWrites.take(device.id);
    this.enqueue(held);
    this.pump();
  }

  closed(device: ConnectedDevice, cause: DisconnectCause): void {
    this.close(this.heldOf(device), { cause: cause.type, at: Date.now() });
  }

  /** Claims a device that must not be connected elsewhere. An unavailable store does not prevent it. */
  async claim(device: ConnectedDevice): Promise<boolean> {
    const { id } = device;
    if (this.claims.has(id)) return false;
    const { bucket } = this;
    if (!bucket) return true;
    this.claims.set(id, undefined);
    try {
      for (let attempt = 1; attempt <= CLAIM_ATTEMPTS; attempt++) {
        const { value, revision } = await this.read(bucket, id);
        if (value && (await this.isTaken(id, value))) break;
        const time = this.clock.now();
        this.claims.set(id, time);
        const record = recordOf(device, { node: this.node, time });
        const written = await bucket.put(this.subjects.key(id), record, revision);
        if (written === undefined) continue;
        const held = this.heldOf(device);
        this.fill(held, device, time);
        held.epoch = held.seen = written;
        held.wroteAt = performance.now();
        return true;
      }
      this.claims.delete(id);
      return false;
    } catch (error) {
      const held = this.heldOf(device);
      this.fill(held, device, this.claims.get(id) ?? this.clock.now());
      held.epoch = undefined;
      held.isUnsure = true;
      this.events.trouble(error);
      return true;
    }
  }

  unclaim(deviceId: string): void {
    if (!this.claims.delete(deviceId)) return;
    const held = this.devices.get(deviceId);
    if (held && !this.endpoint.held(deviceId)) this.close(held, { cause: 'connection_lost', at: Date.now() });
  }

  /** Another node that wrote the device lets go of it: what this one holds is written instead. */
  takeOver(deviceId: string): void {
    const device = this.endpoint.held(deviceId);
    if (!device) return;
    const held = this.heldOf(device);
    held.takesOver = true;
    this.look(held);
  }

  /** Marks as offline what is written as online and `goneOf` knows to have left, unless it changes meanwhile. */
  async sweep(goneOf: (record: PresenceRecord, id: string) => Gone | undefined): Promise<void> {
    const { bucket } = this;
    if (!bucket) throw new Error('the store is unavailable');
    const writing = new Set<Promise<void>>();
    let failure: unknown;
    for await (const { key, value, revision } of bucket.scan(this.subjects.keys)) {
      const gone = value?.state === 'online' ? goneOf(value, this.subjects.textOf(key)) : undefined;
      if (!value || !gone) continue;
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

  /** Checks the next devices: each once per period, spread evenly, by a monotonic clock. */
  private lookAround(now = performance.now()): void {
    const { size } = this.devices;
    this.due = Math.min(this.due + (size * (now - this.lookedAt)) / this.lookEveryMs, size);
    this.lookedAt = now;
    for (; this.due >= 1; this.due--) {
      let next = this.looks?.next();
      if (!next || next.done) {
        this.looks = this.devices.values();
        next = this.looks.next();
      }
      if (!next.done) this.look(next.value);
    }
  }

  private isIdle(): boolean {
    return this.queue.size === 0 && this.inFlight === 0 && this.waiting === 0;
  }

  private heldOf(device: ConnectedDevice): Held {
    let held = this.devices.get(device.id);
    if (!held) {
      held = {
        device,
        time: this.clock.now(),
        refusesClones: false,
        gone: undefined,
        epoch: undefined,
        seen: 0,
        committed: 0,
        wroteAt: -Infinity,
        isUnsure: false,
        mustLook: false,
        takesOver: false,
        handedOver: false,
        state: 'idle',
        again: false,
      };
      this.devices.set(device.id, held);
    }
    return held;
  }

  /** The device is connected here, or about to be. */
  private fill(held: Held, device: ConnectedDevice, time: number): void {
    if (held.gone) this.gone--;
    held.gone = undefined;
    held.handedOver = false;
    if (held.device !== device) held.refusesClones = false;
    held.device = device;
    held.time = time;
  }

  private close(held: Held, gone: Gone): void {
    if (!held.gone) this.gone++;
    held.gone = gone;
    held.takesOver = false;
    if (this.gone > this.maxGone && !this.bucket) {
      // Found again by scanning the bucket, once it is available.
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

  private look(held: Held): void {
    held.mustLook = true;
    this.enqueue(held);
    this.pump();
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
    const { gone } = held;
    held.again = false;
    if (held.mustLook) held.epoch = undefined;
    held.mustLook = false;
    try {
      const isDone = gone ? await this.leave(bucket, held, gone) : await this.stay(bucket, held);
      this.events.trouble(undefined);
      if (!isDone) held.again = true;
      else if (gone && held.gone === gone) {
        if (held.epoch !== undefined) this.lastWrites.keep(held.device.id, held.epoch);
        this.forget(held);
        held.again = false;
      } else if (held.committed > held.seen) held.again = held.mustLook = true;
    } catch (error) {
      held.again = held.mustLook = true;
      this.events.trouble(error);
      if (this.bucket) await sleep(RETRY_MS);
    }
    this.inFlight--;
    held.state = 'idle';
    if (held.again) this.enqueue(held);
    this.pump();
  }

  /**
   * Writes that the device is connected here, or closes it where another node's connection stays. False if it has to be
   * done anew.
   */
  private async stay(bucket: Bucket<PresenceRecord>, held: Held): Promise<boolean> {
    const { device } = held;
    if (held.epoch !== undefined) return this.put(bucket, held, this.onlineRecord(held), held.epoch);
    const { value, revision } = await this.readHeld(bucket, held);
    if (value?.state === 'online' && value.node === this.node && value.rank === held.time) {
      held.epoch = revision;
      if (performance.now() - held.wroteAt < this.renewAfterMs) return true;
      return this.put(bucket, held, { ...this.onlineRecord(held), renewed: true }, revision);
    }
    const other = value && this.isHeldElsewhere(value) ? value : undefined;
    if (other) this.orderByAttempt(held, other);
    const rank = { node: this.node, time: held.time };
    if (!other || staysOver(rank, rankOf(other), this.endpoint.duplicates)) {
      return this.put(bucket, held, this.onlineRecord(held), revision);
    }
    if (this.endpoint.duplicates === 'allow')
      return held.takesOver ? this.put(bucket, held, this.onlineRecord(held), revision) : true;
    const isHeld = await this.ask(device.id, other.node, rank);
    // The connection may have been replaced meanwhile.
    if (isHeld === undefined || held.gone || held.time !== rank.time) return false;
    if (!isHeld) return this.put(bucket, held, this.onlineRecord(held), revision);
    const newer = connectionOf(other);
    if (!newer.refusesClones && this.endpoint.refuse(device.id, newer)) {
      held.refusesClones = true;
      held.time = this.clock.now();
      return this.put(bucket, held, this.onlineRecord(held), revision);
    }
    const trace = this.endpoint.replace(device.id, newer);
    if (trace) this.events.tellTrace(other.node, device.id, trace);
    return true;
  }

  private onlineRecord({ device, time, refusesClones }: Held): PresenceRecord {
    return recordOf(device, { node: this.node, time }, undefined, refusesClones);
  }

  /**
   * The network may deliver attempts of a device in another order than it made them in, and to several nodes. Then a
   * connection's time is corrected, and all else goes by that: the order of connections stays a total one, however
   * many of them name no attempt.
   */
  private orderByAttempt(held: Held, other: PresenceRecord): void {
    if (this.endpoint.duplicates !== 'newest') return;
    const { attempt: ours } = held.device;
    const { attempt: theirs, refusesClones } = connectionOf(other);
    if (!ours || !theirs) return;
    const isSame = ours.process === theirs.process;
    const isLate = isSame ? ours.number < theirs.number : refusesClones;
    const isFirst = isLater({ node: this.node, time: held.time }, rankOf(other));
    if (isLate && isFirst) held.time = Math.max(0, rankOf(other).time - 1);
    else if (isSame && ours.number > theirs.number && !isFirst) held.time = this.clock.now();
  }

  /** Writes that the device has left, unless that is written, or something newer. False if it has to be done anew. */
  private async leave(bucket: Bucket<PresenceRecord>, held: Held, gone: Gone): Promise<boolean> {
    const { device, time } = held;
    const rank = { node: this.node, time };
    const ours = recordOf(device, rank, gone);
    if (this.endpoint.duplicates === 'allow' && !held.handedOver) {
      held.handedOver = true;
      if (await this.outside(this.events.handOver(device.id).catch(() => false))) {
        // Only if nobody has written then, this node does.
        held.mustLook = true;
        await this.outside(sleep(RETRY_MS));
        return false;
      }
    }
    if (held.epoch !== undefined) return this.put(bucket, held, ours, held.epoch);
    const { value, revision } = await this.readHeld(bucket, held);
    const isNewer =
      value &&
      (this.isHeldElsewhere(value) ||
        isLater(rankOf(value), rank) ||
        (value.state === 'offline' && value.node === this.node && value.rank === time));
    if (!isNewer) return this.put(bucket, held, ours, revision);
    // A pending write could follow a read, but not another write.
    return held.isUnsure ? this.put(bucket, held, { ...value, renewed: true }, revision) : true;
  }

  /** True if it was written, false if somebody else has written. */
  private async put(
    bucket: Bucket<PresenceRecord>,
    held: Held,
    record: PresenceRecord,
    after: number,
  ): Promise<boolean> {
    held.epoch = undefined;
    held.isUnsure = true;
    held.wroteAt = performance.now();
    const revision = await bucket.put(this.subjects.key(held.device.id), record, after);
    held.isUnsure = false;
    if (revision === undefined) return false;
    held.epoch = held.seen = revision;
    held.takesOver = false;
    return true;
  }

  private async readHeld(bucket: Bucket<PresenceRecord>, held: Held): Promise<Kept<PresenceRecord>> {
    held.committed = 0;
    const kept = await this.read(bucket, held.device.id);
    held.seen = kept.revision;
    return kept;
  }

  private async read(bucket: Bucket<PresenceRecord>, deviceId: string): Promise<Kept<PresenceRecord>> {
    const kept = await bucket.get(this.subjects.key(deviceId));
    if (kept.value) this.clock.observe(rankOf(kept.value).time);
    return kept;
  }

  private isHeldElsewhere({ state, node }: PresenceRecord): boolean {
    return state === 'online' && node !== this.node && this.events.lives(node);
  }

  /** Whether a device may not come in where it is written as connected. A node that does not answer keeps it. */
  private async isTaken(deviceId: string, record: PresenceRecord): Promise<boolean> {
    if (!this.isHeldElsewhere(record)) return false;
    const any: Rank = { node: '', time: Number.MAX_SAFE_INTEGER };
    return this.events.holds(record.node, deviceId, any).catch(() => true);
  }

  /** Whether that node holds a connection that stays over this one; undefined where that cannot be known now. */
  private async ask(deviceId: string, node: string, over: Rank): Promise<boolean | undefined> {
    if (this.questions < MAX_IN_FLIGHT) {
      this.questions++;
      const answer = await this.outside(this.events.holds(node, deviceId, over).catch(() => undefined));
      this.questions--;
      if (answer !== undefined) return answer;
    }
    // At most 512 retries per second in total.
    await this.outside(sleep(RETRY_MS * (1 + this.waiting / MAX_IN_FLIGHT)));
    return undefined;
  }

  /** Awaits something other than the store, without occupying a write slot. */
  private async outside<T>(work: Promise<T>): Promise<T> {
    this.waiting++;
    this.inFlight--;
    this.pump();
    try {
      return await work;
    } finally {
      this.waiting--;
      this.inFlight++;
    }
  }
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms).unref());
}

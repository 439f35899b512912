import { randomBytes } from 'node:crypto';
import {
  cancel,
  type DeviceQueue,
  type Ending,
  enqueue,
  expire,
  find,
  type LanePosition,
  markSent,
  type QueueEntry,
  settle,
  type WaitingDelivery,
} from '../../delivery/index.js';
import { DeliveryQueueFullError } from '../errors.js';
import { type QueueStore } from './delivery-store.js';
import { inTime, insist } from '../../receiving/index.js';
import { type Changed, QueueWriter, type Written } from './queue-writer.js';

/** The time between two looks for messages whose time has passed; how many devices one takes at a time, and how often. */
const SWEEP_MS = 60_000;
const SWEEP_DEVICES = 100;
const MAX_ROUNDS = 1_000;
/** How many devices are remembered of which the other nodes could not be told. */
const MAX_UNANNOUNCED = 10_000;

/** What else has to know of the queues. */
export interface QueuesOwner {
  /** Tells the other nodes; false if they are not reachable. */
  announce(deviceId: string, entries: readonly QueueEntry[]): boolean;
  /** This node has put a message in, is about to send it, or has made it final. */
  onChange(deviceId: string, entry: QueueEntry): void;
  /** It has looked for what has expired. Called once a minute. */
  onSwept(): Promise<void>;
  /** Something failed that is tried again, or that nobody waits for. */
  onFailure(what: string, error: unknown): void;
}

/** A message for a device. */
export interface Outgoing {
  readonly event: string;
  readonly lane: string;
  readonly key: string | undefined;
  readonly ttlMs: number;
  /** Encoded, with its version byte. */
  readonly message: Uint8Array;
}

/** The queues of the devices of an endpoint, in the store: each change of a message's state, by this node. */
export class DeviceQueues {
  private readonly writer: QueueWriter;
  /** Names this process in the numbers that it gives. */
  private readonly epoch = randomBytes(9).toString('base64url');
  private lastSeq = 0;
  private store!: QueueStore;
  private warn: (() => void) | undefined;
  private sweepTimer: NodeJS.Timeout | undefined;
  private isClosed = false;
  private readonly unannounced = new Set<string>();

  constructor(
    private readonly endpoint: string,
    private readonly owner: QueuesOwner,
  ) {
    this.writer = new QueueWriter(endpoint, (deviceId, changes) => this.onWritten(deviceId, changes));
  }

  /** @param warn called when the first message is put in, where a restart forgets what is kept. */
  keepIn(store: QueueStore, warn?: () => void): void {
    this.store = store;
    this.writer.keepIn(store);
    this.warn = warn;
    if (!warn) this.beginToSweep();
  }

  /** A store of this process has nothing before something is put in. */
  private beginToSweep(): void {
    this.sweepTimer ??= setTimeout(() => void this.sweep(), SWEEP_MS).unref();
  }

  /** Waits for what is being written. @param timeoutMs how long at most. */
  async close(timeoutMs: number): Promise<void> {
    this.isClosed = true;
    clearTimeout(this.sweepTimer);
    await this.writer.quiet(timeoutMs);
  }

  /**
   * Keeps a message for a device.
   * @throws {DeliveryQueueFullError} and what the store throws.
   */
  async put(deviceId: string, { message, ...facts }: Outgoing): Promise<QueueEntry> {
    this.warn?.();
    this.warn = undefined;
    this.beginToSweep();
    const name = randomBytes(16).toString('base64url');
    const kept = inTime(async () => this.store.writeMessage(this.endpoint, deviceId, name, message));
    const tried: LanePosition[] = [];
    const enqueueOnce = (queue: DeviceQueue, now: number): Changed<QueueEntry> =>
      putInBefore(queue, tried) ?? this.enqueue(deviceId, queue, { ...facts, message: name }, tried, now);
    try {
      return await this.writer.change(deviceId, enqueueOnce, kept);
    } catch (error) {
      // Otherwise the store removes it some day, as no queue names it.
      kept.then(() => this.removeMessages(deviceId, [name])).catch(() => undefined);
      throw error;
    }
  }

  private enqueue(
    deviceId: string,
    queue: DeviceQueue,
    delivery: Parameters<typeof enqueue>[1],
    tried: LanePosition[],
    now: number,
  ): Changed<QueueEntry> {
    this.lastSeq = Math.max(this.lastSeq + 1, now);
    const change = enqueue(queue, delivery, { epoch: this.epoch, seq: this.lastSeq }, now);
    if (typeof change === 'string') throw new DeliveryQueueFullError(deviceId, change);
    this.lastSeq = change.added.seq;
    tried.push(change.added);
    return { ...change, entry: change.added, result: change.added };
  }

  /** The queue of a device, without what has expired. @throws what the store throws. */
  async read(deviceId: string): Promise<DeviceQueue | undefined> {
    const queue = await this.writer.read(deviceId);
    if (!queue || queue.dueAt > Date.now()) return queue;
    return this.writer.change(deviceId, (found, now) => {
      const change = expire(found, now);
      return { ...change, result: change.queue };
    });
  }

  /**
   * A message is about to be sent.
   * @returns undefined if it waits no more, is cancelled, or its time has passed.
   */
  take(deviceId: string, position: LanePosition): Promise<WaitingDelivery | undefined> {
    return this.writer.change(deviceId, (queue, now) => {
      const sent = markSent(queue, position, now);
      if (sent) {
        const entry = find(sent, position);
        return { queue: sent, entry, result: entry };
      }
      const isCancelled = find(queue, position)?.isCancelled;
      const change = isCancelled
        ? settle(queue, [position], { state: 'cancelled' }, now)
        : expire(queue, now);
      return { ...change, result: undefined };
    });
  }

  /** The bytes of a message; undefined if the store has lost them. @throws what the store throws. */
  async readMessage(deviceId: string, name: string): Promise<Uint8Array | undefined> {
    return (await inTime(async () => this.store.readMessage(this.endpoint, deviceId, name))) ?? undefined;
  }

  /** Gives messages their final state, unless they have one. @throws what the store throws. */
  settle(deviceId: string, positions: readonly LanePosition[], ending: Ending): Promise<void> {
    return this.writer.change(deviceId, (queue, now) => ({
      ...settle(queue, positions, ending, now),
      result: undefined,
    }));
  }

  /** @returns the message afterwards; undefined if nothing is known of it. @throws what the store throws. */
  cancel(deviceId: string, position: LanePosition): Promise<QueueEntry | undefined> {
    return this.writer.change(deviceId, (queue, now) => {
      const change = cancel(queue, position, now);
      return { ...change, result: entryAt(change.queue, position) };
    });
  }

  /** Calls with backoff until it is done. Undefined if it is wanted no more, or this process ends. */
  insist<T>(
    what: string,
    call: () => Promise<T>,
    isWanted: () => boolean = () => true,
  ): Promise<T | undefined> {
    return insist(
      call,
      () => !this.isClosed && isWanted(),
      (error) => this.owner.onFailure(what, error),
    );
  }

  /** The other nodes are reachable again: tells them what they have missed. */
  async announceMissed(): Promise<void> {
    const missed = [...this.unannounced];
    this.unannounced.clear();
    for (const deviceId of missed) {
      const queue = await this.insist('reading what other nodes have to know', () => this.read(deviceId));
      if (queue) this.announce(deviceId, [...queue.waiting.map(withoutMessage), ...queue.final]);
    }
  }

  private onWritten(deviceId: string, changes: readonly Written[]): void {
    const ended = changes.flatMap((change) => change.ended ?? []);
    const entries = [
      ...ended.map(withoutMessage),
      ...changes.flatMap(({ entry }) => (entry ? [withoutMessage(entry)] : [])),
    ];
    if (entries.length === 0) return;
    for (const entry of entries) this.owner.onChange(deviceId, entry);
    this.announce(deviceId, entries);
    if (ended.length > 0)
      void this.removeMessages(
        deviceId,
        ended.map(({ message }) => message),
      );
  }

  private announce(deviceId: string, entries: readonly QueueEntry[]): void {
    if (this.owner.announce(deviceId, entries)) return;
    this.unannounced.add(deviceId);
    const [oldest] = this.unannounced;
    if (this.unannounced.size > MAX_UNANNOUNCED && oldest !== undefined) this.unannounced.delete(oldest);
  }

  private async removeMessages(deviceId: string, names: readonly string[]): Promise<void> {
    try {
      await inTime(async () => this.store.removeMessages(this.endpoint, deviceId, names));
    } catch (error) {
      this.owner.onFailure('removing messages that are no longer needed', error);
    }
  }

  /** Makes final what has expired while nobody looked. */
  private async sweep(): Promise<void> {
    try {
      for (const deviceId of this.writer.unsureDevices) await this.read(deviceId);
      let found = SWEEP_DEVICES;
      for (let rounds = 0; found === SWEEP_DEVICES && rounds < MAX_ROUNDS && !this.isClosed; rounds++) {
        const now = Date.now();
        const due = await inTime(async () => this.store.dueQueues(this.endpoint, now, SWEEP_DEVICES));
        for (const deviceId of due) await this.read(deviceId);
        found = due.length;
      }
    } catch (error) {
      this.owner.onFailure('looking for messages that have expired', error);
    }
    if (!this.isClosed) await this.owner.onSwept();
    if (!this.isClosed) this.sweepTimer = setTimeout(() => void this.sweep(), SWEEP_MS).unref();
  }
}

/** A message that is in the queue at one of these positions, as a write that was not answered was done. */
function putInBefore(queue: DeviceQueue, tried: readonly LanePosition[]): Changed<QueueEntry> | undefined {
  for (const position of tried) {
    const result = entryAt(queue, position);
    if (result) return { queue, entry: find(queue, position), result };
  }
  return undefined;
}

function withoutMessage<T extends { readonly message: string }>(entry: T): Omit<T, 'message'> {
  const { message: _message, ...rest } = entry;
  return rest;
}

/** The message of a position, in whichever state. */
export function entryAt(queue: DeviceQueue, position: LanePosition): QueueEntry | undefined {
  const waiting = find(queue, position);
  if (waiting) return withoutMessage(waiting);
  const { lane, epoch, seq } = position;
  return queue.final.find((each) => each.seq === seq && each.lane === lane && each.epoch === epoch);
}

import { type Observable, Subject } from 'rxjs';
import {
  type DeviceQueue,
  type FinalDelivery,
  type LanePosition,
  type QueueEntry,
} from '../../delivery/index.js';
import { type QueueStore } from './delivery-store.js';
import { DeviceDelivery, type DeviceDeliveryState, idOf, stateOf } from './device-delivery.js';
import { DeviceQueues, entryAt, type Outgoing } from './device-queues.js';
import { DeviceSender, type SenderPeer } from './device-sender.js';

/** How long, in ms, states may take to be kept when the app ends. */
const CLOSING_MS = 1_000;
/** How many of those that wait for a final state are looked at in a minute. */
const MAX_TOLD = 1_000;

/** What it needs of its endpoint. */
export interface ToDevicesOwner {
  /** The newest connection of the device to this node. */
  peerOf(deviceId: string): SenderPeer | undefined;
  /** The devices that are connected to this node. */
  deviceIds(): string[];
  /** Tells the other nodes; false if they are not reachable. */
  announce(deviceId: string, entries: readonly QueueEntry[]): boolean;
  /** A message has a new state, given by this node. */
  onState(state: DeviceDeliveryState): void;
  onFailure(what: string, error: unknown): void;
}

interface Waiter {
  readonly id: string;
  readonly deviceId: string;
  readonly position: LanePosition;
  readonly promise: Promise<FinalDelivery>;
  resolve(final: FinalDelivery): void;
  reject(error: unknown): void;
}

/** The messages for the devices of an endpoint: keeps them, sends them to devices of this node, and tells their states. */
export class ToDevices {
  /** Each change of a state, on whichever node. */
  readonly changes$: Observable<DeviceDelivery>;
  private readonly changes = new Subject<DeviceDelivery>();
  private readonly queues: DeviceQueues;
  /** Of each device the newest connection, if something waits for it. */
  private readonly senders = new Map<string, { readonly peer: SenderPeer; readonly sender: DeviceSender }>();
  private readonly waiters = new Map<string, Waiter>();
  private isClosing = false;

  constructor(
    endpoint: string,
    private readonly owner: ToDevicesOwner,
  ) {
    this.changes$ = this.changes.asObservable();
    this.queues = new DeviceQueues(endpoint, {
      announce: (deviceId, entries) => owner.announce(deviceId, entries),
      onChange: (deviceId, entry) => {
        owner.onState(stateOf(entry));
        this.onChange(deviceId, entry);
      },
      onSwept: () => this.tellSome(),
      onFailure: (what, error) => owner.onFailure(what, error),
    });
  }

  /** @param warn called when the first message is put in, where a restart forgets what is kept. */
  keepIn(store: QueueStore, warn?: () => void): void {
    this.queues.keepIn(store, warn);
  }

  /** The app ends: nothing is sent any more. */
  beginToClose(): void {
    this.isClosing = true;
    for (const { sender } of this.senders.values()) sender.stop();
    this.senders.clear();
  }

  /** Waits until the states are kept, but not for long. */
  async close(): Promise<void> {
    await this.queues.close(CLOSING_MS);
    this.changes.complete();
  }

  // --- For the application ---------------------------------------------------------------------------------

  /** @throws {DeliveryQueueFullError} and what the store throws. */
  async put(deviceId: string, outgoing: Outgoing): Promise<DeviceDelivery> {
    return this.deliveryOf(deviceId, await this.queues.put(deviceId, outgoing));
  }

  /** @throws what the store throws. */
  async get(deviceId: string, position: LanePosition): Promise<DeviceDelivery | undefined> {
    const queue = await this.queues.read(deviceId);
    const entry = queue && entryAt(queue, position);
    return entry && this.deliveryOf(deviceId, entry);
  }

  /** The final ones, and then those that wait. @throws what the store throws. */
  async of(deviceId: string): Promise<DeviceDelivery[]> {
    const queue = await this.queues.read(deviceId);
    const entries = queue ? [...queue.final, ...queue.waiting] : [];
    return entries.map((entry) => this.deliveryOf(deviceId, entry));
  }

  /** @throws what the store throws. */
  async cancel(deviceId: string, position: LanePosition): Promise<DeviceDelivery | undefined> {
    const entry = await this.queues.cancel(deviceId, position);
    return entry && this.deliveryOf(deviceId, entry);
  }

  private deliveryOf(deviceId: string, entry: QueueEntry): DeviceDelivery {
    const delivery: DeviceDelivery = new DeviceDelivery(deviceId, entry, async () =>
      'finalAt' in entry ? delivery : this.deliveryOf(deviceId, await this.whenFinal(deviceId, entry)),
    );
    return delivery;
  }

  private async whenFinal(deviceId: string, position: LanePosition): Promise<FinalDelivery> {
    const waiter = this.waiterOf(deviceId, position);
    try {
      this.tell(waiter, await this.queues.read(deviceId));
    } catch (error) {
      this.waiters.delete(waiter.id);
      waiter.reject(error);
    }
    return waiter.promise;
  }

  private waiterOf(deviceId: string, position: LanePosition): Waiter {
    const id = idOf(deviceId, position);
    const known = this.waiters.get(id);
    if (known) return known;
    let resolve!: Waiter['resolve'];
    let reject!: Waiter['reject'];
    const promise = new Promise<FinalDelivery>((...both) => ([resolve, reject] = both));
    const waiter: Waiter = { id, deviceId, position, promise, resolve, reject };
    this.waiters.set(id, waiter);
    return waiter;
  }

  /** Tells those that wait for a message what the queue of its device says. */
  private tell(waiter: Waiter, queue: DeviceQueue | undefined): void {
    const entry = queue && entryAt(queue, waiter.position);
    if (entry && !('finalAt' in entry)) return;
    this.waiters.delete(waiter.id);
    if (entry) waiter.resolve(entry);
    else waiter.reject(new Error(`Nothing is known of delivery '${waiter.id}' any more.`));
  }

  // --- For connections of this node ------------------------------------------------------------------------

  /** A connection of the device is open. It is the newest one. */
  onConnected(deviceId: string, peer: SenderPeer): void {
    this.senders.get(deviceId)?.sender.stop();
    this.senders.delete(deviceId);
    if (this.isClosing) return;
    void this.lookIfAnyWaits(deviceId, peer);
  }

  private async lookIfAnyWaits(deviceId: string, peer: SenderPeer): Promise<void> {
    const isOpen = (): boolean => this.owner.peerOf(deviceId) === peer;
    const what = 'reading what waits for a device';
    const queue = await this.queues.insist(what, () => this.queues.read(deviceId), isOpen);
    if (queue && queue.waiting.length > 0) this.look(deviceId);
  }

  /** The device has sent its resume, or something may wait for it. */
  look(deviceId: string): void {
    if (this.isClosing) return;
    const peer = this.owner.peerOf(deviceId);
    if (!peer) return;
    let current = this.senders.get(deviceId);
    if (current?.peer !== peer) {
      current?.sender.stop();
      current = { peer, sender: new DeviceSender(deviceId, peer, this.queues) };
      this.senders.set(deviceId, current);
    }
    current.sender.look();
  }

  /** The sender of a connection, if something was to be sent on it. */
  senderOf(deviceId: string, peer: SenderPeer): DeviceSender | undefined {
    const current = this.senders.get(deviceId);
    return current?.peer === peer ? current.sender : undefined;
  }

  /** A connection of the device has ended. */
  onEnded(deviceId: string, peer: SenderPeer): void {
    const current = this.senders.get(deviceId);
    if (current?.peer !== peer) return;
    current.sender.stop();
    this.senders.delete(deviceId);
  }

  // --- For changes -----------------------------------------------------------------------------------------

  /** A message has a new state, on this node or another. */
  onChange(deviceId: string, entry: QueueEntry): void {
    if (this.changes.observed) this.changes.next(this.deliveryOf(deviceId, entry));
    if (!('finalAt' in entry)) {
      if (entry.attempts === 0) this.look(deviceId);
      return;
    }
    const id = idOf(deviceId, entry);
    this.waiters.get(id)?.resolve(entry);
    this.waiters.delete(id);
  }

  /** Another node has changed the queue. */
  onChangeElsewhere(deviceId: string, entries: readonly QueueEntry[]): void {
    for (const entry of entries) this.onChange(deviceId, entry);
  }

  /** The other nodes are reachable again: what happened meanwhile was missed, on both sides. */
  async onReachable(): Promise<void> {
    await this.queues.announceMissed();
    await this.lookForAll();
    await this.tellAll([...this.waiters.values()]);
  }

  /** One after another: a store that is just back has enough to do. */
  private async lookForAll(): Promise<void> {
    for (const deviceId of this.owner.deviceIds()) {
      const peer = this.owner.peerOf(deviceId);
      if (peer && !this.isClosing) await this.lookIfAnyWaits(deviceId, peer);
    }
  }

  /** A node that is killed may have written a state and told nobody. */
  private async tellSome(): Promise<void> {
    const some = [...this.waiters.values()].slice(0, MAX_TOLD);
    for (const waiter of some) {
      // The others come first the next time.
      this.waiters.delete(waiter.id);
      this.waiters.set(waiter.id, waiter);
    }
    await this.tellAll(some);
  }

  private async tellAll(waiters: readonly Waiter[]): Promise<void> {
    for (const waiter of waiters) {
      const what = 'reading what became of a message';
      const read = async (): Promise<{ queue: DeviceQueue | undefined }> => ({
        queue: await this.queues.read(waiter.deviceId),
      });
      const found = await this.queues.insist(what, read, () => this.waiters.has(waiter.id));
      if (found) this.tell(waiter, found.queue);
    }
  }
}

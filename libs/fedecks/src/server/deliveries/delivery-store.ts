import {
  claimAfter,
  type DeliveryClaim,
  type DeviceQueue,
  type HandledPosition,
  withHandled,
} from '../../delivery/index.js';

/**
 * Keeps what outlives a process of the cloud: which deliveries of each device were handled, and what waits for each
 * device. In memory by default, in the backplane where there is one, or your own: in a database, for example.
 *
 * Its methods may be called again when they have thrown, or have taken longer than 5 s.
 */
export interface DeliveryStore extends HandledStore, QueueStore {}

/** Remembers which deliveries of each device were handled, so that none is handled twice. */
export interface HandledStore {
  /**
   * A new connection of the device begins to deliver: from now on {@link setHandled} refuses those before.
   * @param endpoint the `path` of the endpoint: a device of another one is another device.
   */
  claim(endpoint: string, deviceId: string): DeliveryClaim | Promise<DeliveryClaim>;
  /**
   * Keeps the position as that of its lane, for ever. Keep what is there, and return true, where that has the same epoch
   * and a greater `seq`: a call that was slow may arrive after a later one.
   * @returns false, and nothing is changed, if there is a claim with a greater generation. Both in one step.
   */
  setHandled(
    endpoint: string,
    deviceId: string,
    generation: number,
    handled: HandledPosition,
  ): boolean | Promise<boolean>;
  /**
   * As {@link setHandled}, as a part of the transaction that a handler gives to `commit` of `@Delivery()`. It is called once
   * for each `commit`.
   */
  setHandledIn?(
    tx: unknown,
    endpoint: string,
    deviceId: string,
    generation: number,
    handled: HandledPosition,
  ): boolean | Promise<boolean>;
}

/** Keeps what waits for each device, and the bytes of the messages. */
export interface QueueStore {
  /** The queue of a device as it was written last, or undefined. */
  readQueue(endpoint: string, deviceId: string): DeviceQueue | undefined | Promise<DeviceQueue | undefined>;
  /**
   * Keeps the queue of a device in place of the one before, or removes that where `queue` is undefined. A queue is plain
   * JSON, of at most 800 KB. Resolves when it survives what the store is to survive.
   * @param after the `revision` of the one before; undefined if none is kept.
   * @returns false, and nothing is changed, if what is kept is another one. Both in one step.
   */
  writeQueue(
    endpoint: string,
    deviceId: string,
    queue: DeviceQueue | undefined,
    after: number | undefined,
  ): boolean | Promise<boolean>;
  /**
   * The devices of which `dueAt` of the queue is not after `now`, at most `limit`.
   * @param now in ms since 1970.
   */
  dueQueues(endpoint: string, now: number, limit: number): readonly string[] | Promise<readonly string[]>;
  /**
   * Keeps the bytes of a message, at most 256 KiB. They are written before the queue names them; what a crash left without
   * a queue may be removed after 31 days.
   * @param name up to 32 characters of `A-Za-z0-9_-`. It is used once.
   */
  writeMessage(endpoint: string, deviceId: string, name: string, message: Uint8Array): void | Promise<void>;
  /** The bytes of a message, or undefined if there are none. */
  readMessage(
    endpoint: string,
    deviceId: string,
    name: string,
  ): Uint8Array | undefined | Promise<Uint8Array | undefined>;
  /** Messages that are no longer needed, as far as they are there. */
  removeMessages(endpoint: string, deviceId: string, names: readonly string[]): void | Promise<void>;
}

/** The methods of a {@link DeliveryStore}. */
export const STORE_METHODS = [
  'claim',
  'setHandled',
  'readQueue',
  'writeQueue',
  'dueQueues',
  'writeMessage',
  'readMessage',
  'removeMessages',
] as const satisfies readonly (keyof DeliveryStore)[];

/** How many devices {@link MemoryDeliveryStore} remembers. */
const MAX_DEVICES = 100_000;

/** How many bytes of messages {@link MemoryDeliveryStore} keeps. */
const MAX_BYTES = 256 * 1_024 * 1_024;

/**
 * Keeps it in this process. A restart forgets it: a message of a device that was handled and not yet acknowledged is
 * handled again, and what waits for devices is lost. The 100,001st device has handled messages forgotten of the one of
 * which nothing came for longest. Of the messages for devices it takes 256 MiB in all.
 */
export class MemoryDeliveryStore implements DeliveryStore {
  /** The device that was written last is the last. */
  private readonly claims = new Map<string, DeliveryClaim>();
  private readonly queues = new Map<string, DeviceQueue>();
  private readonly messages = new Map<string, Uint8Array>();
  private bytes = 0;

  claim(endpoint: string, deviceId: string): DeliveryClaim {
    const key = keyOf(endpoint, deviceId);
    return this.set(key, claimAfter(this.claims.get(key)));
  }

  setHandled(endpoint: string, deviceId: string, generation: number, handled: HandledPosition): boolean {
    const key = keyOf(endpoint, deviceId);
    const claim = withHandled(this.claims.get(key), generation, handled);
    if (claim) this.set(key, claim);
    return claim !== undefined;
  }

  readQueue(endpoint: string, deviceId: string): DeviceQueue | undefined {
    return this.queues.get(keyOf(endpoint, deviceId));
  }

  writeQueue(
    endpoint: string,
    deviceId: string,
    queue: DeviceQueue | undefined,
    after: number | undefined,
  ): boolean {
    const key = keyOf(endpoint, deviceId);
    if (this.queues.get(key)?.revision !== after) return false;
    if (queue) this.queues.set(key, queue);
    else this.queues.delete(key);
    return true;
  }

  dueQueues(endpoint: string, now: number, limit: number): string[] {
    const due: string[] = [];
    for (const [key, { dueAt }] of this.queues) {
      if (dueAt > now || !key.startsWith(`${endpoint} `)) continue;
      if (due.push(key.slice(endpoint.length + 1)) === limit) break;
    }
    return due;
  }

  /** @throws {RangeError} when 256 MiB are kept. */
  writeMessage(endpoint: string, deviceId: string, name: string, message: Uint8Array): void {
    if (this.bytes + message.length > MAX_BYTES) {
      throw new RangeError(
        `Messages of ${this.bytes} bytes wait for devices in memory: set 'deliveryStore' to keep more.`,
      );
    }
    this.removeMessages(endpoint, deviceId, [name]);
    this.messages.set(`${keyOf(endpoint, deviceId)} ${name}`, message);
    this.bytes += message.length;
  }

  readMessage(endpoint: string, deviceId: string, name: string): Uint8Array | undefined {
    return this.messages.get(`${keyOf(endpoint, deviceId)} ${name}`);
  }

  removeMessages(endpoint: string, deviceId: string, names: readonly string[]): void {
    for (const name of names) {
      const key = `${keyOf(endpoint, deviceId)} ${name}`;
      this.bytes -= this.messages.get(key)?.length ?? 0;
      this.messages.delete(key);
    }
  }

  private set(key: string, claim: DeliveryClaim): DeliveryClaim {
    this.claims.delete(key);
    this.claims.set(key, claim);
    const [oldest] = this.claims.keys();
    if (this.claims.size > MAX_DEVICES && oldest !== undefined) this.claims.delete(oldest);
    return claim;
  }
}

/** A path has no space. */
function keyOf(endpoint: string, deviceId: string): string {
  return `${endpoint} ${deviceId}`;
}

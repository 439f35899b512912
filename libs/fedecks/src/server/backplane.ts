import { type Observable, Subject } from 'rxjs';
import { type Answered, type AskedRequest } from '../requests/index.js';
import { type Term } from '../wire/internal.js';
import { type QueueEntry } from '../delivery/index.js';
import { type DeliveryStore } from './deliveries/delivery-store.js';
import { type CloneTrace, type NewerConnection } from './clones.js';
import { type AuthenticatedDevice, type ConnectedDevice, type DisconnectCause } from './device.js';
import { type PresenceEntry, type PresencePage, type PresenceSource } from './presence.js';
import { type RevocationStore } from './revocations.js';

/**
 * The result of a push. `sent`: written to the device's socket, which does not mean that the device has read it.
 * `offline`: the device was not connected, or disconnected before the message was written.
 */
export type PushResult = 'sent' | 'offline';

/** The health of a backplane, with the reason if it is `degraded`. */
export type BackplaneHealth =
  { readonly status: 'up' } | { readonly status: 'degraded'; readonly reason: string };

/** What a backplane needs of its endpoint on this node. */
export interface BackplaneEndpoint {
  /** Its `path`. Endpoints with the same path on several nodes are one endpoint. */
  readonly path: string;
  /** Its option `duplicates`. */
  readonly duplicates: 'newest' | 'oldest' | 'allow';
  /** The newest connection of the device, if this node holds any. */
  held(deviceId: string): ConnectedDevice | undefined;
  /** Every connection of this node. */
  all(): Iterable<ConnectedDevice>;
  /** Writes a frame to the device. Undefined if this node does not hold it, false if it disconnected before the write. */
  write(deviceId: string, bytes: Buffer): boolean | Promise<boolean> | undefined;
  /**
   * Sends a request to the device. Undefined where this node does not hold it.
   * @param timeoutMs -1 for a stream, which has no deadline.
   * @throws {NotSupportedError} when the device speaks protocol 1.
   * @throws {RequestFailedError} `busy`, when too many are open.
   */
  ask(deviceId: string, message: Term, timeoutMs: number, answered: Answered): AskedRequest | undefined;
  /** Closes the connections of the device with 1000, and returns whether there was any. */
  disconnect(deviceId: string): boolean;
  /**
   * Closes the connections of the device with 4152: another node holds one that stays.
   * @returns the argument for {@link onTrace} of that node.
   */
  replace(deviceId: string, newer: NewerConnection): CloneTrace | undefined;
  /**
   * With `clones: 'refuse'`, whether this node keeps its connection and rejects the newer one, because it is from
   * another machine.
   */
  refuse(deviceId: string, newer: NewerConnection): boolean;
  /** Called with the earlier processes of the device, by the node whose connection this node has replaced. */
  onTrace(deviceId: string, trace: CloneTrace): void;
  /** Another node revoked the device's tokens of lower generations (`at` of {@link RevocationStore}). */
  revoked(deviceId: string, generation: number): void;
  /** Writes a frame to every member of the group, or to every device without a name. */
  writeToAll(bytes: Buffer, group?: string): void;
  /** Another node has put in messages for the device, or has changed their states. */
  onQueueChange(deviceId: string, entries: readonly QueueEntry[]): void;
  /** Called when the other nodes are reachable again: what they have announced meanwhile was missed. */
  onReachable(): void;
  /** Called when the health changes. */
  changed(health: BackplaneHealth): void;
  /** Reports a failure that the backplane retries, or that no caller awaits. */
  failed(what: string, error: unknown): void;
}

/**
 * The link between the nodes that serve one endpoint. The endpoint first does what it can on this node alone. So a
 * single node needs no link: the default only remembers which devices disconnected.
 */
export interface Backplane extends PresenceSource {
  /**
   * Connects, or starts to retry: it never waits for an unreachable server.
   * @throws {BackplaneError} when the server rejects this node.
   */
  start(): Promise<void>;
  /** Leaves the fleet, within a time limit. All connections of this node are already closed. */
  close(): Promise<void>;
  /** The current health. */
  readonly health: BackplaneHealth;
  /**
   * With `duplicates: 'oldest'`, called before the 101: true claims the device id. {@link unclaim} releases it if no
   * connection opens.
   */
  claim(device: AuthenticatedDevice): true | Promise<boolean>;
  /** Releases a claim for which no connection was opened. */
  unclaim(deviceId: string): void;
  /** Called when a connection has opened. */
  opened(device: ConnectedDevice): void;
  /** Called when the last connection of the device on this node has ended. */
  closed(device: ConnectedDevice, cause: DisconnectCause): void;
  /**
   * Has the node that holds the device write a frame.
   * @throws {BackplaneError} when the outcome is unknown.
   */
  push(deviceId: string, bytes: Buffer): Promise<PushResult>;
  /**
   * Has a request sent by the node that holds the device. Undefined when none does.
   * @param timeoutMs as with {@link BackplaneEndpoint.ask}.
   * @throws {BackplaneError} when it cannot be known whether it was sent.
   */
  ask(
    deviceId: string,
    message: Term,
    timeoutMs: number,
    answered: Answered,
  ): Promise<AskedRequest | undefined>;
  /** Closes the device's connections on other nodes. @throws {BackplaneError} */
  disconnect(deviceId: string): Promise<boolean>;
  /** Has all other nodes write a frame, to the members of a group or to every device. @throws {BackplaneError} */
  broadcast(bytes: Buffer, group?: string): Promise<void>;
  /** Called when this node gets its first member of the group, or loses its last. */
  hasMembers(group: string, any: boolean): void;
  /**
   * Tells the other nodes of messages for the device, with their new states, so that the one that holds the device
   * sends them. The queue is kept already; false where the others are not reachable.
   */
  announce(deviceId: string, entries: readonly QueueEntry[]): boolean;
  /** The store of revocations, unless this process keeps them. */
  readonly revocations: RevocationStore | undefined;
  /** Where it is kept which deliveries were handled and what waits for devices, if not in this process. */
  readonly deliveries: DeliveryStore | undefined;
}

/** Creates the link of one endpoint: the type of the option `backplane`. */
export type BackplaneFactory = (endpoint: BackplaneEndpoint) => Backplane;

/** The number of departed devices remembered without a server. */
const REMEMBERED = 10_000;

/** The backplane of a single node. It needs no server, and remembers the last departed devices. */
export class InProcessBackplane implements Backplane {
  readonly health = { status: 'up' } as const;
  readonly revocations = undefined;
  readonly deliveries = undefined;
  readonly presenceChanges$: Observable<PresenceEntry>;
  private readonly changes = new Subject<PresenceEntry>();
  private readonly left = new Map<string, PresenceEntry>();
  /** An iterator over `left` from the oldest; restarting it each time would skip all deleted slots again. */
  private readonly oldest = this.left.keys();
  /** The ids of `presenceList`, in order. Weak, so that an abandoned listing can be collected. */
  private ids: WeakRef<readonly string[]> | undefined;
  /** Whether devices have connected that `ids` does not contain. */
  private newcomers = false;

  constructor(private readonly endpoint: BackplaneEndpoint) {
    this.presenceChanges$ = this.changes.asObservable();
  }

  async start(): Promise<void> {
    // Nothing to connect to.
  }

  async close(): Promise<void> {
    this.changes.complete();
  }

  claim(): true {
    return true;
  }

  unclaim(): void {
    // Nothing was taken.
  }

  opened(device: ConnectedDevice): void {
    if (!this.left.delete(device.id)) this.newcomers = true;
    if (this.changes.observed) this.changes.next(entryOf(device, 'online', device.since, undefined));
  }

  closed(device: ConnectedDevice, cause: DisconnectCause): void {
    const entry = entryOf(device, 'offline', Date.now(), cause.type);
    this.left.delete(device.id);
    this.left.set(device.id, entry);
    if (this.left.size > REMEMBERED) this.forgetOldest();
    if (this.changes.observed) this.changes.next(entry);
  }

  async push(): Promise<PushResult> {
    return 'offline';
  }

  async ask(): Promise<undefined> {
    // The device is on no other node.
  }

  async disconnect(): Promise<boolean> {
    return false;
  }

  async broadcast(): Promise<void> {
    // There are no others.
  }

  hasMembers(): void {
    // Nobody else asks.
  }

  announce(): true {
    // There are no others.
    return true;
  }

  async presenceOf(deviceId: string): Promise<PresenceEntry | undefined> {
    return this.known(deviceId);
  }

  /** In the order of ids, so that a connect or disconnect does not move other devices to another page. */
  async presenceList(after: string | undefined, limit: number): Promise<PresencePage> {
    const ids = this.sortedIds(after === undefined);
    const entries: PresenceEntry[] = [];
    let index = after === undefined ? 0 : firstAfter(ids, after);
    for (; index < ids.length && entries.length < limit; index++) {
      const entry = this.known(ids[index] ?? '');
      if (entry) entries.push(entry);
    }
    return { entries, ...(index < ids.length && { cursor: ids[index - 1] }) };
  }

  /** Sorts for the first page only, and only if devices have connected since. */
  private sortedIds(first: boolean): readonly string[] {
    const known = this.ids?.deref();
    if (known && !(first && this.newcomers)) return known;
    const ids = new Set(this.left.keys());
    for (const { id } of this.endpoint.all()) ids.add(id);
    const sorted = [...ids].sort();
    this.ids = new WeakRef(sorted);
    this.newcomers = false;
    return sorted;
  }

  private known(deviceId: string): PresenceEntry | undefined {
    const device = this.endpoint.held(deviceId);
    return device ? entryOf(device, 'online', device.since, undefined) : this.left.get(deviceId);
  }

  private forgetOldest(): void {
    const { value, done } = this.oldest.next();
    if (!done) this.left.delete(value);
  }
}

/** The index of the first of the sorted `ids` that comes after `id`. */
function firstAfter(ids: readonly string[], id: string): number {
  let [low, high] = [0, ids.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((ids[middle] ?? '') > id) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** The presence entry of a device on this node. Written field by field, as a spread would give each entry its own shape. */
function entryOf(
  { id, remoteAddress, claims, endpoint, since, attempt }: ConnectedDevice,
  state: PresenceEntry['state'],
  at: number,
  cause: PresenceEntry['cause'],
): PresenceEntry {
  return { id, remoteAddress, claims, endpoint, since, attempt, node: 'local', state, at, cause };
}

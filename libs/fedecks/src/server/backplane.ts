import { type Observable, Subject } from 'rxjs';
import { type Answered, type AskedRequest } from '../requests/index.js';
import { type Term } from '../wire/internal.js';
import { type CloneTrace, type NewerConnection } from './clones.js';
import { type AuthenticatedDevice, type ConnectedDevice, type DisconnectCause } from './device.js';
import { type PresenceEntry, type PresencePage, type PresenceSource } from './presence.js';
import { type RevocationStore } from './revocations.js';

/**
 * What became of a push: `sent` when it was written to the device's socket, which is no promise that the device
 * has read it; `offline` when the device was not connected, or went before it was written.
 */
export type PushResult = 'sent' | 'offline';

/** The health of a backplane. `degraded` has the reason. */
export type BackplaneHealth =
  { readonly status: 'up' } | { readonly status: 'degraded'; readonly reason: string };

/** The endpoint of a backplane on this node. */
export interface BackplaneEndpoint {
  /** Its `path`: endpoints of the same path on other nodes are the same endpoint. */
  readonly path: string;
  /** Its option `duplicates`. */
  readonly duplicates: 'newest' | 'oldest' | 'allow';
  /** The newest connection of the device, if this node holds any. */
  held(deviceId: string): ConnectedDevice | undefined;
  /** Every connection of this node. */
  all(): Iterable<ConnectedDevice>;
  /** Writes a frame to the device; undefined where this node does not hold it, false if it went before that. */
  write(deviceId: string, bytes: Buffer): boolean | Promise<boolean> | undefined;
  /**
   * Sends a request to the device. Undefined where this node does not hold it.
   * @param timeoutMs -1 for a stream, which has no deadline.
   * @throws {NotSupportedError} when the device speaks protocol 1.
   * @throws {RequestFailedError} `busy`, when too many are open.
   */
  ask(deviceId: string, message: Term, timeoutMs: number, answered: Answered): AskedRequest | undefined;
  /** Closes the connections of the device with 1000, and tells whether there was any. */
  disconnect(deviceId: string): boolean;
  /**
   * Closes the connections of the device with 4152: another node holds one that stays.
   * @returns what to tell that node, for its {@link onTrace}.
   */
  replace(deviceId: string, newer: NewerConnection): CloneTrace | undefined;
  /**
   * With `clones: 'refuse'`, whether the connection of this node stays, and the newer one is refused as another
   * machine's.
   */
  refuse(deviceId: string, newer: NewerConnection): boolean;
  /** The node whose connection one of this node has replaced tells which processes of the device came before. */
  onTrace(deviceId: string, trace: CloneTrace): void;
  /** Another node revoked what the device was given before this generation (`at` of {@link RevocationStore}). */
  revoked(deviceId: string, generation: number): void;
  /** Writes a frame to every member of the group, or to every device where there is no name. */
  writeToAll(bytes: Buffer, group?: string): void;
  /** Called when the health changes. */
  changed(health: BackplaneHealth): void;
  /** Something failed that will be tried again, or that nobody waits for. */
  failed(what: string, error: unknown): void;
}

/**
 * The link between the nodes that serve one endpoint. What can be done on this node alone has been done before it
 * is asked; so a node without others needs none, and the default does nothing but remember who left.
 */
export interface Backplane extends PresenceSource {
  /**
   * Connects, or begins to try: it never waits for a server that is away.
   * @throws {BackplaneError} when one that is there does not let this node in.
   */
  start(): Promise<void>;
  /** Leaves the fleet, within a time limit. All connections of this node are already closed. */
  close(): Promise<void>;
  /** How it does at this moment. */
  readonly health: BackplaneHealth;
  /**
   * Called before the 101 with duplicates: 'oldest': true claims the device id.
   * What is not opened after that is given back with {@link unclaim}.
   */
  claim(device: AuthenticatedDevice): true | Promise<boolean>;
  /** Releases a claim for which no connection was opened. */
  unclaim(deviceId: string): void;
  /** A connection is open. */
  opened(device: ConnectedDevice): void;
  /** The last connection of the device that this node held has ended. */
  closed(device: ConnectedDevice, cause: DisconnectCause): void;
  /**
   * Has a frame written by the node that holds the device.
   * @throws {BackplaneError} when what became of it cannot be known.
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
  /** Has a frame written by all other nodes, to the members of a group or to everybody. @throws {BackplaneError} */
  broadcast(bytes: Buffer, group?: string): Promise<void>;
  /** This node holds members of the group from now on, or no more. */
  hasMembers(group: string, any: boolean): void;
  /** Where revocations are kept, if not in this process. */
  readonly revocations: RevocationStore | undefined;
}

/** Makes the link of one endpoint: what the option `backplane` takes. */
export type BackplaneFactory = (endpoint: BackplaneEndpoint) => Backplane;

/** The number of departed devices remembered without a server. */
const REMEMBERED = 10_000;

/** One node, which needs no server: it knows by itself who is connected, and remembers the last that left. */
export class InProcessBackplane implements Backplane {
  readonly health = { status: 'up' } as const;
  readonly revocations = undefined;
  readonly presenceChanges$: Observable<PresenceEntry>;
  private readonly changes = new Subject<PresenceEntry>();
  private readonly left = new Map<string, PresenceEntry>();
  /** An iterator over `left` from the oldest; restarting it each time would skip all deleted slots again. */
  private readonly oldest = this.left.keys();
  /** The ids of `presenceList`, in order. Weakly: a list that nobody reads on is no use to anybody. */
  private ids: WeakRef<readonly string[]> | undefined;
  /** Whether devices have come that `ids` does not have. */
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

  async presenceOf(deviceId: string): Promise<PresenceEntry | undefined> {
    return this.known(deviceId);
  }

  /** In the order of ids: whoever comes or goes meanwhile moves nobody else to another page. */
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

  /** Sorted for the first page, if anybody has come since, and not again for the others. */
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

/** Where in `ids`, which are sorted, those begin that come after `id`. */
function firstAfter(ids: readonly string[], id: string): number {
  let [low, high] = [0, ids.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((ids[middle] ?? '') > id) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** What is known of a device on this node, the only one. Field by field: a spread gives each entry a shape of its own. */
function entryOf(
  { id, remoteAddress, claims, endpoint, since, attempt }: ConnectedDevice,
  state: PresenceEntry['state'],
  at: number,
  cause: PresenceEntry['cause'],
): PresenceEntry {
  return { id, remoteAddress, claims, endpoint, since, attempt, node: 'local', state, at, cause };
}

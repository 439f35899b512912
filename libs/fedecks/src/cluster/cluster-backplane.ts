import { type Observable } from 'rxjs';
import { type Answered, type AskedRequest } from '../requests/index.js';
import {
  type AuthenticatedDevice,
  type Backplane,
  type BackplaneEndpoint,
  type BackplaneError,
  type BackplaneHealth,
  type ConnectedDevice,
  type DisconnectCause,
  type PresenceEntry,
  type PresencePage,
  type PushResult,
} from '../server/index.js';
import { type QueueEntry } from '../delivery/index.js';
import { beginsAsTerm, type Term } from '../wire/internal.js';
import { NodeResponder, REQUEST_KIND, encodeHoldsQuestion, encodeTrace } from './node-responder.js';
import { NodeRequests } from './node-requests.js';
import { type Bucket, type BucketState, type Entries, type Store } from './bucket.js';
import { type ClusterOptions } from './cluster-options.js';
import { DeliveryBucket } from './delivery-bucket.js';
import { IncomingRequests } from './incoming-requests.js';
import { isNodeEntry, Leases, type NodeEntry, type NodeMessage, readNodeMessage } from './leases.js';
import { type Link, Malformed, type Message, messageOf, unavailable } from './link.js';
import { OutgoingRequests } from './outgoing-requests.js';
import { PresenceReader } from './presence-reader.js';
import { isPresenceRecord, type PresenceRecord } from './presence-record.js';
import { PresenceWriter } from './presence-writer.js';
import { SharedClock } from './rank.js';
import { encodeQueueNews, readQueueNews } from './queue-messages.js';
import { readRequestMessage } from './request-messages.js';
import { isRevocation, type Revocation, RevocationBucket } from './revocation-bucket.js';
import { Subjects } from './subjects.js';

const PREPARE_AGAIN_MS = 500;
/**
 * The time without failures before it counts as recovered, longer than the retry interval. At
 * least two heartbeats, within which everything is checked.
 */
const CALM_MS = 5_000;

/** The parts that can fail while connected. */
type Part = 'presence' | 'changes' | 'store';

/** What was opened, by what it is for. */
interface OpenBuckets {
  readonly revocations: Opened<Revocation>;
  readonly nodes: Opened<NodeEntry>;
  readonly presence: Opened<PresenceRecord>;
}

interface Opened<T> {
  readonly bucket: Bucket<T>;
  readonly incarnation: string;
}

/** One endpoint of one node, linked to those of the same path on other nodes. */
export class ClusterBackplane implements Backplane {
  readonly revocations: RevocationBucket;
  readonly deliveries: DeliveryBucket;
  private readonly subjects: Subjects;
  private readonly requests: NodeRequests;
  private readonly responder: NodeResponder;
  private readonly outgoing: OutgoingRequests;
  private readonly incoming: IncomingRequests;
  private readonly leases: Leases;
  private readonly presence: PresenceWriter;
  private readonly reader: PresenceReader;
  private readonly calmMs: number;
  private tidying: NodeJS.Timeout | undefined;
  /** The connection's generation: work of earlier ones is aborted. */
  private generation = 0;
  private preparing: Promise<void> = Promise.resolve();
  private wake: () => void = () => undefined;
  private closing = false;
  private problem: string | undefined;
  private readonly troubles = new Map<Part, { readonly reason: string; readonly at: number }>();
  private reportedReason: string | undefined;
  private wasDown = false;
  private buckets: OpenBuckets | undefined;
  private checking = false;

  /** @param node a name that no other node has, and this one not again after a restart. */
  constructor(
    private readonly node: string,
    private readonly link: Link,
    private readonly store: Store,
    private readonly options: ClusterOptions,
    private readonly endpoint: BackplaneEndpoint,
  ) {
    this.problem = link.reason;
    this.calmMs = Math.max(CALM_MS, 2 * options.heartbeatMs);
    this.subjects = new Subjects(options.namespace, endpoint.path);
    this.requests = new NodeRequests(this.link, options);
    this.revocations = new RevocationBucket(endpoint, this.subjects, (error) => this.reopen(error));
    this.deliveries = new DeliveryBucket(node, this.subjects, store, (name, key) => this.onStray(name, key));
    const clock = new SharedClock();
    this.leases = new Leases(this.node, clock, this.subjects, options.heartbeatMs, {
      tell: (message) => this.tell(message),
      sweep: (silentForMs) =>
        this.presence.sweep(({ node }) => {
          const silentMs = this.leases.lives(node) ? undefined : silentForMs.get(node);
          if (silentMs === undefined) return undefined;
          return { cause: 'node_lost', at: Math.round(Date.now() - silentMs) };
        }),
      onDoubted: () => this.presence.compare(),
    });
    this.presence = new PresenceWriter(
      this.node,
      clock,
      options.presenceRetentionMs,
      endpoint,
      this.subjects,
      {
        lives: (node) => this.leases.lives(node),
        holds: (node, id, over) =>
          this.requests.ask(this.subjects.node(node), encodeHoldsQuestion(id, over), true),
        tellTrace: (node, id, trace) => {
          if (this.link.isUp) this.link.publish(this.subjects.node(node), encodeTrace(id, trace));
        },
        handOver: (id) => this.requests.ask(this.subjects.device(id), Uint8Array.of(REQUEST_KIND.handOver)),
        trouble: (error) => this.onTrouble('presence', error, 'presence cannot be written'),
      },
    );
    this.responder = new NodeResponder(this.link, this.subjects, endpoint, this.presence, this.node);
    this.outgoing = new OutgoingRequests(this.node, this.link, this.subjects, this.requests, options);
    this.incoming = new IncomingRequests(this.link, this.subjects, endpoint, () => this.responder.isStale());
    this.reader = new PresenceReader(endpoint.path, this.subjects, {
      lives: (node) => this.leases.lives(node),
      problem: () => this.problem ?? 'presence cannot be read',
      mend: (id) => this.mend(id),
      trouble: (error) => this.onTrouble('changes', error, 'presence changes are not delivered'),
    });
  }

  async start(): Promise<void> {
    this.link.subscribe(this.subjects.all, ({ data }) => this.writeToAll(data));
    this.link.subscribe(this.subjects.nodes, ({ data }) => this.leases.received(readNodeMessage(data)));
    this.link.subscribe(this.subjects.queues, ({ data }) => this.onQueueNews(data));
    this.link.subscribe(this.subjects.node(this.node), this.responder.onQuestion);
    this.link.subscribe(this.subjects.requests(this.node), (message) => this.onRequestMessage(message));
    this.responder.start(this.options.requestTimeoutMs);
    this.tidying = setInterval(() => this.tidy(), this.options.heartbeatMs).unref();
    await this.link.start({
      up: () => this.up(),
      down: () => this.down(),
      failed: (what, error) => this.endpoint.failed(what, error),
    });
    if (!this.link.isUp) return;
    // Waits for the store if it is available, but does not block the app's start otherwise.
    let late: NodeJS.Timeout | undefined;
    const timeIsUp = new Promise((resolve) => {
      late = setTimeout(resolve, this.options.requestTimeoutMs);
    });
    await Promise.race([this.preparing, timeIsUp]);
    clearTimeout(late);
  }

  async close(): Promise<void> {
    clearInterval(this.tidying);
    const clean = await this.presence.written(this.options.requestTimeoutMs);
    this.closing = true;
    this.generation++;
    this.wake();
    this.responder.stop();
    this.outgoing.close();
    await this.leases.stop(clean).catch(() => undefined);
    await this.responder.finish().catch(() => undefined);
    this.revocations.pause();
    this.presence.pause();
    this.requests.fail();
    await this.link.close();
    await this.preparing;
  }

  get health(): BackplaneHealth {
    const [trouble] = this.troubles.values();
    const reason = this.problem ?? trouble?.reason;
    return reason === undefined ? { status: 'up' } : { status: 'degraded', reason };
  }

  claim(device: AuthenticatedDevice): Promise<boolean> {
    return this.presence.claim({ ...device, since: Date.now() });
  }

  unclaim(deviceId: string): void {
    this.presence.unclaim(deviceId);
  }

  opened(device: ConnectedDevice): void {
    this.link.subscribe(this.subjects.device(device.id), this.responder.onRequest);
    this.presence.opened(device);
  }

  closed(device: ConnectedDevice, cause: DisconnectCause): void {
    this.link.unsubscribe(this.subjects.device(device.id));
    this.presence.closed(device, cause);
  }

  async push(deviceId: string, bytes: Buffer): Promise<PushResult> {
    const message = Buffer.allocUnsafe(bytes.length + 1);
    message[0] = REQUEST_KIND.push;
    bytes.copy(message, 1);
    return (await this.requests.ask(this.subjects.device(deviceId), message)) ? 'sent' : 'offline';
  }

  ask(
    deviceId: string,
    message: Term,
    timeoutMs: number,
    answered: Answered,
  ): Promise<AskedRequest | undefined> {
    return this.outgoing.ask(deviceId, message, timeoutMs, answered);
  }

  disconnect(deviceId: string): Promise<boolean> {
    return this.requests.ask(this.subjects.device(deviceId), Uint8Array.of(REQUEST_KIND.disconnect));
  }

  async broadcast(bytes: Buffer, group?: string): Promise<void> {
    this.link.publish(group === undefined ? this.subjects.all : this.subjects.group(group), bytes);
    await this.link.flush();
  }

  hasMembers(group: string, any: boolean): void {
    const subject = this.subjects.group(group);
    if (any) this.link.subscribe(subject, ({ data }) => this.writeToAll(data, group));
    else this.link.unsubscribe(subject);
  }

  announce(deviceId: string, entries: readonly QueueEntry[]): boolean {
    if (!this.link.isUp) return false;
    try {
      for (const bytes of encodeQueueNews({ device: deviceId, entries }))
        this.link.publish(this.subjects.queues, bytes);
      return true;
    } catch (error) {
      this.endpoint.failed('announce a delivery to a device', error);
      return false;
    }
  }

  presenceOf(deviceId: string): Promise<PresenceEntry | undefined> {
    return this.reader.presenceOf(deviceId);
  }

  presenceList(after: string | undefined, limit: number): Promise<PresencePage> {
    return this.reader.presenceList(after, limit);
  }

  get presenceChanges$(): Observable<PresenceEntry> {
    return this.reader.presenceChanges$;
  }

  private writeToAll(data: Uint8Array, group?: string): void {
    if (!beginsAsTerm(data)) throw new Malformed('not a message for devices');
    this.endpoint.writeToAll(Buffer.from(data), group);
  }

  private onQueueNews(data: Uint8Array): void {
    const { device, entries } = readQueueNews(data);
    this.deliveries.onQueueChange();
    this.endpoint.onQueueChange(device, entries);
  }

  private onRequestMessage({ data, reply }: Message): void {
    const { head, term } = readRequestMessage(data);
    if ('from' in head) this.incoming.onMessage(head, term, reply);
    else this.outgoing.onAnswer(head, term);
  }

  private tell(message: NodeMessage): void {
    if (this.link.isUp) this.link.publish(this.subjects.nodes, Buffer.from(JSON.stringify(message)));
  }

  private tidy(): void {
    this.outgoing.tick();
    this.incoming.tick();
    const now = performance.now();
    for (const [part, { at }] of this.troubles) if (now - at > this.calmMs) this.troubles.delete(part);
    this.reportHealth();
    void this.check();
  }

  /** NodeRequests the holder of the device to rewrite its presence after a foreign write. */
  private mend(id: string): void {
    this.presence.lookAt(id);
    if (this.link.isUp) this.link.publish(this.subjects.device(id), Uint8Array.of(REQUEST_KIND.compare));
  }

  // --- The connection --------------------------------------------------------------------------------------

  private up(): void {
    this.problem = 'the node is still reading presence and revocations';
    this.beginToPrepare();
    if (this.wasDown) this.endpoint.onReachable();
    this.wasDown = false;
  }

  private down(): void {
    this.wasDown = true;
    this.pauseAll();
    this.requests.fail();
    this.outgoing.fail();
    this.incoming.fail();
    this.problem = this.link.reason;
    this.reportHealth();
  }

  /** Reopens and compares all buckets, because one was recreated or a watch missed a write. */
  private reopen(error: unknown): void {
    if (!this.link.isUp || this.closing) return;
    this.pauseAll();
    this.problem = `${this.store.name} lost data or stopped reporting changes: ${messageOf(error)}`;
    this.reportHealth();
    this.beginToPrepare();
  }

  private pauseAll(): void {
    this.generation++;
    this.wake();
    this.buckets = undefined;
    this.reader.pause();
    this.presence.pause();
    this.leases.pause();
    this.revocations.pause();
    this.deliveries.pause();
  }

  private beginToPrepare(): void {
    const generation = ++this.generation;
    this.preparing = this.preparing.then(() => this.prepare(generation));
  }

  /**
   * Checks that the buckets are still those that were opened, and that the watches delivered every write: a
   * store may silently lose a bucket or end a watch.
   */
  private async check(): Promise<void> {
    const { buckets } = this;
    if (!buckets || this.checking) return;
    this.checking = true;
    try {
      const [revocations, presence] = await Promise.all([
        stateOf(buckets.revocations),
        stateOf(buckets.presence),
        stateOf(buckets.nodes),
      ]);
      if (buckets !== this.buckets) return;
      this.reader.check(presence.revision);
      await this.revocations.check(revocations.revision);
    } catch (error) {
      if (buckets !== this.buckets) return;
      if ((error as Partial<BackplaneError>).code === 'timeout')
        this.onTrouble('store', error, `${this.store.name} does not answer`);
      else this.reopen(error);
    } finally {
      this.checking = false;
    }
  }

  /** Opens the buckets, and sets right what has changed on either side. Tries until it is done or the connection is gone. */
  private async prepare(generation: number): Promise<void> {
    while (generation === this.generation) {
      try {
        const buckets: OpenBuckets = {
          revocations: await this.bucket('revocations', isRevocation),
          nodes: await this.bucket('nodes', isNodeEntry),
          // One for each endpoint, so that a list of it is a scan of everything in the bucket.
          presence: await this.bucket(`presence_${this.subjects.endpoint}`, isPresenceRecord, {
            retentionMs: this.options.presenceRetentionMs,
            keys: this.subjects.keys,
            publishAs: Subjects.writesOf(this.options.namespace),
          }),
        };
        await this.revocations.resume(buckets.revocations.bucket);
        await this.leases.resume(buckets.nodes.bucket);
        if (generation !== this.generation) return;
        this.reader.resume(buckets.presence.bucket);
        await this.presence.resume(buckets.presence.bucket);
        if (generation !== this.generation) return;
        this.buckets = buckets;
        this.troubles.clear();
        this.problem = undefined;
        this.reportHealth();
        return;
      } catch (error) {
        if (generation !== this.generation) return;
        this.problem = `${this.store.name} does not answer: ${messageOf(error)}`;
        this.reportHealth();
        await this.pause(PREPARE_AGAIN_MS);
      }
    }
  }

  private async bucket<T>(
    what: string,
    isOne: (value: unknown) => value is T,
    more: Partial<Entries<T>> = {},
  ): Promise<Opened<T>> {
    const name = this.subjects.bucket(what);
    const entries: Entries<T> = {
      retentionMs: undefined,
      ...more,
      isOne: (key, value): value is T => this.subjects.isKey(key) && isOne(value),
      stray: (key) => this.onStray(name, key),
    };
    const bucket = await this.store.open(name, entries);
    return { bucket, incarnation: (await bucket.state()).incarnation };
  }

  private onStray(bucket: string, key: string): void {
    this.endpoint.failed(`read ${JSON.stringify(key)} of ${bucket}`, new Malformed('not a valid entry'));
  }

  private async pause(ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** @param error undefined when that part works again; reported only after a time without failures. */
  private onTrouble(part: Part, error: unknown, what: string): void {
    if (error === undefined) return;
    const isNew = !this.troubles.has(part);
    this.troubles.set(part, { reason: `${what}: ${messageOf(error)}`, at: performance.now() });
    // Repeated failures are reported periodically only.
    if (isNew) this.reportHealth();
    if (part === 'presence') void this.check();
  }

  private reportHealth(): void {
    const { health } = this;
    const reason = health.status === 'up' ? undefined : health.reason;
    if (this.reportedReason === reason || this.closing) return;
    this.reportedReason = reason;
    this.endpoint.changed(health);
  }
}

/** @throws {BackplaneError} where it is another bucket by now, or none. */
async function stateOf({ bucket, incarnation }: Opened<unknown>): Promise<BucketState> {
  const state = await bucket.state();
  if (state.incarnation !== incarnation) throw unavailable('a bucket was recreated');
  return state;
}

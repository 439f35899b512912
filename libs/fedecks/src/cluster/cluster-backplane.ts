import { type Observable } from 'rxjs';
import {
  type AuthenticatedDevice,
  type Backplane,
  type BackplaneEndpoint,
  type BackplaneHealth,
  type ConnectedDevice,
  type DisconnectCause,
  type PresenceEntry,
  type PresencePage,
  type PushResult,
} from '../server/index.js';
import { beginsAsTerm } from '../wire/index.js';
import { Answers, KIND, questionOf } from './answers.js';
import { Asks } from './asks.js';
import { type Bucket, type Entries, type Store } from './bucket.js';
import { type ClusterOptions } from './cluster-options.js';
import { isNodeEntry, Leases, type NodeMessage, readNodeMessage } from './leases.js';
import { type Link, Malformed, messageOf } from './link.js';
import { PresenceBook } from './presence-book.js';
import { PresenceReader } from './presence-reader.js';
import { isPresenceRecord } from './presence-record.js';
import { SharedClock } from './rank.js';
import { isRevocation, RevocationBucket } from './revocation-bucket.js';
import { Subjects } from './subjects.js';

const PREPARE_AGAIN_MS = 500;

/** One endpoint of one node, linked to those of the same path on other nodes. */
export class ClusterBackplane implements Backplane {
  readonly revocations: RevocationBucket;
  private readonly subjects: Subjects;
  private readonly asks: Asks;
  private readonly answers: Answers;
  private readonly leases: Leases;
  private readonly book: PresenceBook;
  private readonly reader: PresenceReader;
  private tidying: NodeJS.Timeout | undefined;
  /** Counts connections, so that what belongs to an earlier one gives up. */
  private turn = 0;
  private preparing: Promise<void> = Promise.resolve();
  private wake: () => void = () => undefined;
  private closing = false;
  private problem: string | undefined;
  private trouble: string | undefined;
  private told: string | undefined;

  /** @param node a name that no other node has, and this one not again after a restart. */
  constructor(
    private readonly node: string,
    private readonly link: Link,
    private readonly store: Store,
    private readonly options: ClusterOptions,
    private readonly endpoint: BackplaneEndpoint,
  ) {
    this.problem = link.reason;
    this.subjects = new Subjects(options.namespace, endpoint.path);
    this.asks = new Asks(this.link, options);
    this.revocations = new RevocationBucket(endpoint, this.subjects);
    const clock = new SharedClock();
    this.leases = new Leases(this.node, clock, this.subjects, options.heartbeatMs, {
      tell: (message) => this.tell(message),
      sweep: (silentForMs) =>
        this.book.sweep(({ node }) => {
          const silentMs = this.leases.lives(node) ? undefined : silentForMs.get(node);
          if (silentMs === undefined) return undefined;
          return { cause: 'node_lost', at: Math.round(Date.now() - silentMs) };
        }),
      doubted: () => this.book.compare(),
    });
    this.book = new PresenceBook(this.node, clock, options.presenceRetentionMs, endpoint, this.subjects, {
      lives: (node) => this.leases.lives(node),
      holds: (node, id, over) => this.asks.ask(this.subjects.node(node), questionOf(id, over), true),
      handOver: (id) => this.asks.ask(this.subjects.device(id), Uint8Array.of(KIND.handOver)),
      trouble: (error) => this.troubled(error),
    });
    this.answers = new Answers(this.link, this.subjects, endpoint, this.book);
    this.reader = new PresenceReader(endpoint.path, this.subjects, {
      lives: (node) => this.leases.lives(node),
      problem: () => this.problem ?? 'presence cannot be read',
      mend: (id) => this.mend(id),
      failed: (what, error) => endpoint.failed(what, error),
    });
  }

  async start(): Promise<void> {
    this.link.subscribe(this.subjects.all, ({ data }) => this.writeToAll(data));
    this.link.subscribe(this.subjects.nodes, ({ data }) => this.leases.received(readNodeMessage(data)));
    this.link.subscribe(this.subjects.node(this.node), this.answers.onQuestion);
    this.answers.start(this.options.requestTimeoutMs);
    this.tidying = setInterval(() => this.tidy(), this.options.heartbeatMs).unref();
    await this.link.start({
      up: () => this.up(),
      down: () => this.down(),
      failed: (what, error) => this.endpoint.failed(what, error),
    });
    if (!this.link.isUp) return;
    // The app comes up with all it needs if that is there; it does not wait for what is not.
    let late: NodeJS.Timeout | undefined;
    const timeIsUp = new Promise((resolve) => {
      late = setTimeout(resolve, this.options.requestTimeoutMs);
    });
    await Promise.race([this.preparing, timeIsUp]);
    clearTimeout(late);
  }

  async close(): Promise<void> {
    clearInterval(this.tidying);
    const clean = await this.book.written(this.options.requestTimeoutMs);
    this.closing = true;
    this.turn++;
    this.wake();
    this.answers.stop();
    await this.leases.stop(clean).catch(() => undefined);
    await this.answers.finish().catch(() => undefined);
    this.revocations.pause();
    this.book.pause();
    this.asks.fail();
    await this.link.close();
    await this.preparing;
  }

  get health(): BackplaneHealth {
    const reason = this.problem ?? this.trouble;
    return reason === undefined ? { status: 'up' } : { status: 'degraded', reason };
  }

  claim(device: AuthenticatedDevice): Promise<boolean> {
    return this.book.claim({ ...device, since: Date.now() });
  }

  unclaim(deviceId: string): void {
    this.book.unclaim(deviceId);
  }

  opened(device: ConnectedDevice): void {
    this.link.subscribe(this.subjects.device(device.id), this.answers.asked);
    this.book.opened(device);
  }

  closed(device: ConnectedDevice, cause: DisconnectCause): void {
    this.link.unsubscribe(this.subjects.device(device.id));
    this.book.closed(device, cause);
  }

  async push(deviceId: string, bytes: Buffer): Promise<PushResult> {
    const message = Buffer.allocUnsafe(bytes.length + 1);
    message[0] = KIND.push;
    bytes.copy(message, 1);
    return (await this.asks.ask(this.subjects.device(deviceId), message)) ? 'sent' : 'offline';
  }

  disconnect(deviceId: string): Promise<boolean> {
    return this.asks.ask(this.subjects.device(deviceId), Uint8Array.of(KIND.disconnect));
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
    if (!beginsAsTerm(data)) throw new Malformed('it is no message for devices');
    this.endpoint.writeToAll(Buffer.from(data), group);
  }

  private tell(message: NodeMessage): void {
    if (this.link.isUp) this.link.publish(this.subjects.nodes, Buffer.from(JSON.stringify(message)));
  }

  private tidy(): void {
    this.revocations.forget().catch(() => undefined);
  }

  /** Has whoever holds the device write its presence again: somebody else has written over it. */
  private mend(id: string): void {
    this.book.lookAt(id);
    if (this.link.isUp) this.link.publish(this.subjects.device(id), Uint8Array.of(KIND.compare));
  }

  // --- The connection --------------------------------------------------------------------------------------

  private up(): void {
    const turn = ++this.turn;
    this.problem = 'presence and revocations are being read';
    this.preparing = this.preparing.then(() => this.prepare(turn));
  }

  private down(): void {
    this.turn++;
    this.wake();
    this.reader.pause();
    this.book.pause();
    this.leases.pause();
    this.revocations.pause();
    this.asks.fail();
    this.problem = this.link.reason;
    this.tellHealth();
  }

  /** Opens the buckets, and sets right what has changed on either side. Tries until it is done or the connection is gone. */
  private async prepare(turn: number): Promise<void> {
    while (turn === this.turn) {
      try {
        await this.revocations.resume(await this.bucket('revocations', isRevocation));
        await this.leases.resume(await this.bucket('nodes', isNodeEntry));
        const presence = await this.bucket('presence', isPresenceRecord, {
          retentionMs: this.options.presenceRetentionMs,
          publishAs: Subjects.writesOf(this.options.namespace),
        });
        if (turn !== this.turn) return;
        this.reader.resume(presence);
        await this.book.resume(presence);
        this.problem = undefined;
        this.tellHealth();
        return;
      } catch (error) {
        if (turn !== this.turn) return;
        this.problem = `${this.store.name} does not answer: ${messageOf(error)}`;
        this.tellHealth();
        await this.pause(PREPARE_AGAIN_MS);
      }
    }
  }

  private bucket<T>(
    what: string,
    isOne: (value: unknown) => value is T,
    more: Partial<Entries<T>> = {},
  ): Promise<Bucket<T>> {
    const name = `${this.options.namespace}_${what}`;
    const entries: Entries<T> = {
      retentionMs: undefined,
      ...more,
      isOne: (key, value): value is T => this.subjects.isKey(key) && isOne(value),
      stray: (key) =>
        this.endpoint.failed(
          `read ${JSON.stringify(key)} of ${name}`,
          new Malformed('it is not what nodes keep there'),
        ),
    };
    return this.store.open(name, entries);
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

  private troubled(error: unknown): void {
    if (error === undefined && this.trouble === undefined) return;
    this.trouble = error === undefined ? undefined : `presence cannot be written: ${messageOf(error)}`;
    this.tellHealth();
  }

  private tellHealth(): void {
    const { health } = this;
    const reason = health.status === 'up' ? undefined : health.reason;
    if (this.told === reason || this.closing) return;
    this.told = reason;
    this.endpoint.changed(health);
  }
}

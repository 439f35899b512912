import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { type Msg, type NatsConnection } from '@nats-io/transport-node';
import { Observable, share } from 'rxjs';
import {
  type AuthenticatedDevice,
  type Backplane,
  type BackplaneEndpoint,
  type BackplaneFactory,
  type BackplaneHealth,
  type ConnectedDevice,
  type DisconnectCause,
  type PresenceEntry,
  type PresencePage,
  type PushResult,
} from '../server/index.js';
import { Asks, DONE, GONE } from './asks.js';
import { Bucket } from './bucket.js';
import { Leases, type NodeEntry, type NodeMessage } from './leases.js';
import { Link, messageOf, unavailable } from './link.js';
import { type NatsBackplaneOptions, resolveNatsOptions, type ResolvedNatsOptions } from './nats-options.js';
import { PresenceBook } from './presence-book.js';
import { entryOf, type PresenceRecord } from './presence-record.js';
import { type Revocation, RevocationBucket } from './revocation-bucket.js';
import { Subjects } from './subjects.js';

/** The first byte of a message to the node that holds a device. */
const KIND = { push: 1, disconnect: 2, replaced: 3, handOver: 4 } as const;
const PREPARE_AGAIN_MS = 500;

/**
 * Links the nodes of a fleet over NATS with JetStream: what `FedecksModule.forRoot` takes as `backplane`.
 * @throws {InvalidOptionsError} naming everything that is wrong with the options.
 */
export function natsBackplane(given: NatsBackplaneOptions): BackplaneFactory {
  const options = resolveNatsOptions(given);
  return (endpoint) => new NatsBackplane(options, endpoint);
}

/** One endpoint of one node, on NATS. */
class NatsBackplane implements Backplane {
  readonly revocations: RevocationBucket;
  readonly presenceChanges$: Observable<PresenceEntry>;
  private readonly node = `${hostname()}-${randomBytes(6).toString('base64url')}`;
  private readonly subjects: Subjects;
  private readonly link: Link;
  private readonly asks: Asks;
  private readonly leases: Leases;
  private readonly book: PresenceBook;
  /** What became of pushes, by the address of their answer, so that one put twice is written once. */
  private outcomes = new Map<string, boolean | Promise<boolean>>();
  private outcomesBefore: typeof this.outcomes = new Map();
  private forgetting: NodeJS.Timeout | undefined;
  private presence: Bucket<PresenceRecord> | undefined;
  /** Restarts the watch of {@link presenceChanges$} while somebody subscribes. */
  private rewatch: (() => void) | undefined;
  /** Counts connections, so that what belongs to an earlier one gives up. */
  private turn = 0;
  private preparing: Promise<void> = Promise.resolve();
  private wake: () => void = () => undefined;
  private closing = false;
  private problem: string | undefined = 'NATS has not been reached yet';
  private trouble: string | undefined;
  private told: string | undefined;

  constructor(
    private readonly options: ResolvedNatsOptions,
    private readonly endpoint: BackplaneEndpoint,
  ) {
    this.subjects = new Subjects(options.namespace, endpoint.path);
    this.link = new Link(
      options,
      `fedecks ${this.node} ${endpoint.path}`,
      (nc) => this.up(nc),
      () => this.down(),
    );
    this.asks = new Asks(this.link, options);
    this.revocations = new RevocationBucket(endpoint, this.subjects);
    this.leases = new Leases(this.node, this.subjects, options.heartbeatMs, {
      tell: (message) => this.tell(message),
      sweep: (node, at) =>
        this.book.sweep((record) => record.node === node && !this.leases.lives(node), {
          cause: 'node_lost',
          at,
        }),
      doubted: () => this.book.compare(),
    });
    this.book = new PresenceBook(this.node, endpoint, this.subjects, {
      lives: (node) => this.leases.lives(node),
      announce: (id, epoch) => this.announce(id, epoch),
      handOver: (id) => this.asks.ask(this.subjects.device(id), Uint8Array.of(KIND.handOver)),
      trouble: (error) => this.troubled(error),
    });
    this.presenceChanges$ = new Observable<PresenceEntry>((subscriber) =>
      this.watchPresence((entry) => subscriber.next(entry)),
    ).pipe(share());
  }

  async start(): Promise<void> {
    this.link.subscribe(this.subjects.all, ({ data }) => this.endpoint.writeToAll(Buffer.from(data)));
    this.link.subscribe(this.subjects.nodes, (msg) => this.leases.received(msg.json<NodeMessage>()));
    this.forgetting = setInterval(() => {
      this.outcomesBefore = this.outcomes;
      this.outcomes = new Map();
    }, this.options.requestTimeoutMs).unref();
    await this.link.start();
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
    const clean = this.presence !== undefined && (await this.book.written(this.options.requestTimeoutMs));
    this.closing = true;
    this.turn++;
    this.wake();
    clearInterval(this.forgetting);
    await this.leases.stop(clean).catch(() => undefined);
    await this.finish().catch(() => undefined);
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
    this.link.subscribe(this.subjects.device(device.id), this.asked);
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
    if (any) this.link.subscribe(subject, ({ data }) => this.endpoint.writeToAll(Buffer.from(data), group));
    else this.link.unsubscribe(subject);
  }

  async presenceOf(deviceId: string): Promise<PresenceEntry | undefined> {
    const { value } = await this.reachable.get(this.subjects.key(deviceId));
    return value && this.entry(deviceId, value);
  }

  async presenceList(after: string | undefined, limit: number): Promise<PresencePage> {
    const entries: PresenceEntry[] = [];
    const from = after === undefined ? 0 : Number(after);
    if (!Number.isSafeInteger(from)) throw new RangeError("'cursor' must be one that presence.list() gave.");
    for await (const { key, value, revision, pending } of this.reachable.scan(this.subjects.keys, from + 1)) {
      if (value) entries.push(this.entry(this.subjects.textOf(key), value));
      if (entries.length === limit) return { entries, ...(pending > 0 && { cursor: String(revision) }) };
    }
    return { entries };
  }

  private get reachable(): Bucket<PresenceRecord> {
    if (!this.presence) throw unavailable(this.problem ?? 'presence cannot be read');
    return this.presence;
  }

  private entry(id: string, record: PresenceRecord): PresenceEntry {
    return entryOf(id, this.endpoint.path, record, this.leases.lives(record.node));
  }

  // --- What other nodes ask --------------------------------------------------------------------------------

  private readonly asked = (msg: Msg): void => {
    const id = this.subjects.textOf(msg.subject);
    const bytes = Buffer.from(msg.data.buffer, msg.data.byteOffset, msg.data.byteLength);
    switch (bytes[0]) {
      case KIND.push:
        this.write(id, bytes.subarray(1), msg);
        return;
      case KIND.disconnect:
        this.answer(msg, this.endpoint.disconnect(id));
        return;
      case KIND.replaced:
        this.book.announced(id, Number(bytes.readBigUInt64BE(1)));
        return;
      case KIND.handOver:
        this.book.takeOver(id);
        this.answer(msg, true);
        return;
    }
  };

  private write(id: string, bytes: Buffer, msg: Msg): void {
    const address = msg.reply ?? '';
    const outcome =
      this.outcomes.get(address) ?? this.outcomesBefore.get(address) ?? this.endpoint.write(id, bytes);
    if (outcome === undefined) {
      this.answer(msg, false);
      return;
    }
    this.outcomes.set(address, outcome);
    void Promise.resolve(outcome).then((written) => {
      // It was not written, that is sure: should it come again, it may be.
      if (!written) this.outcomes.delete(address);
      // What is written in one tick leaves at its end: the answer must not be ahead of it, should this process die.
      process.nextTick(() => this.answer(msg, written));
    });
  }

  /** Answers what other nodes had asked before they knew that this one holds nothing any more. */
  private async finish(): Promise<void> {
    await this.link.flush();
    await Promise.all([...this.outcomes.values(), ...this.outcomesBefore.values()]);
    await this.link.flush();
  }

  private answer(msg: Msg, done: boolean): void {
    // Where the connection went meanwhile, so did the one who asked.
    if (this.link.isUp) msg.respond(done ? DONE : GONE);
  }

  private announce(id: string, epoch: number): void {
    const message = Buffer.allocUnsafe(9);
    message[0] = KIND.replaced;
    message.writeBigUInt64BE(BigInt(epoch), 1);
    if (this.link.isUp) this.link.publish(this.subjects.device(id), message);
  }

  private tell(message: NodeMessage): void {
    if (this.link.isUp) this.link.publish(this.subjects.nodes, Buffer.from(JSON.stringify(message)));
  }

  private watchPresence(changed: (entry: PresenceEntry) => void): () => void {
    let unwatch = (): void => undefined;
    let watched = 0;
    const watch = (): void => {
      const turn = ++watched;
      unwatch();
      this.presence
        ?.watch(this.subjects.keys, ({ key, value }) => {
          if (value) changed(this.entry(this.subjects.textOf(key), value));
        })
        .then(
          (stop) => (turn === watched ? (unwatch = stop) : stop()),
          (error: unknown) => this.endpoint.failed('watch presence', error),
        );
    };
    this.rewatch = watch;
    watch();
    return () => {
      this.rewatch = undefined;
      watched++;
      unwatch();
    };
  }

  // --- The connection --------------------------------------------------------------------------------------

  private up(nc: NatsConnection): void {
    const turn = ++this.turn;
    this.problem = 'presence and revocations are being read';
    this.preparing = this.preparing.then(() => this.prepare(nc, turn));
  }

  private down(): void {
    this.turn++;
    this.wake();
    this.presence = undefined;
    this.book.pause();
    this.leases.pause();
    this.revocations.pause();
    this.asks.fail();
    this.problem = this.link.reason;
    this.tellHealth();
  }

  /** Opens the buckets, and sets right what has changed on either side. Tries until it is done or the connection is gone. */
  private async prepare(nc: NatsConnection, turn: number): Promise<void> {
    const { namespace } = this.options;
    while (turn === this.turn) {
      try {
        const revocations = await Bucket.open<Revocation>(nc, `${namespace}_revocations`, this.options);
        await this.revocations.resume(revocations);
        const nodes = await Bucket.open<NodeEntry>(nc, `${namespace}_nodes`, this.options);
        await this.leases.resume(nodes);
        const presence = await Bucket.open<PresenceRecord>(nc, `${namespace}_presence`, this.options);
        if (turn !== this.turn) return;
        this.presence = presence;
        await this.book.resume(presence);
        this.rewatch?.();
        this.problem = undefined;
        this.tellHealth();
        return;
      } catch (error) {
        if (turn !== this.turn) return;
        this.problem = `JetStream does not answer: ${messageOf(error)}`;
        this.tellHealth();
        await this.pause(PREPARE_AGAIN_MS);
      }
    }
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

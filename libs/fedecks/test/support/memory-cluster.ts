/**
 * An in-memory server that links the nodes of a simulation and stores their buckets. A test can make it fail as a real
 * one does. All events and their times depend on the seed of the simulation only.
 *
 *     const cluster = new MemoryCluster(simulation);
 *     const node = cluster.join();          // a process with a link and a store
 *     node.process.run(() => new ClusterBackplane('one', node.link, node.store, options, endpoint));
 *     node.link.cut();  node.link.restore();                  // resets its connection, and restores it
 *     node.link.hold('up');  node.link.release('up');         // holds what it sends, as a stalled network does
 *     cluster.stall();  cluster.goOn();     // the store delays all requests until `goOn`
 *     cluster.lose();                       // deletes the buckets; their revisions start again
 *     cluster.endWatches();                 // ends all watches, some of them without an error
 */
import { type SimulatedProcess, type Simulation } from './simulation.js';
import {
  type Bucket,
  type BucketState,
  type Entries,
  type Kept,
  type Link,
  type LinkEvents,
  type Message,
  type Scanned,
  type Store,
  timeout,
  unavailable,
  type Watcher,
} from '../../src/cluster/index.js';

export interface MemoryFaults {
  /** Minimum and maximum latency between a node and the server, in milliseconds. @default [0.1, 2] */
  readonly delayMs?: readonly [number, number];
  /** The probability that a write is applied late, after later ones. @default 0 */
  readonly lateWrites?: number;
  /** The maximum delay of late writes, in milliseconds. @default 50 */
  readonly lateMs?: number;
  /**
   * The probability that two concurrent compare-and-sets on one revision are both accepted, as a bucket with
   * replicas may do. @default 0
   */
  readonly bothAccepted?: number;
  /** The timeout of a node's requests, in milliseconds. @default 1_000 */
  readonly requestTimeoutMs?: number;
}

const DEFAULTS = {
  delayMs: [0.1, 2],
  lateWrites: 0,
  lateMs: 50,
  bothAccepted: 0,
  requestTimeoutMs: 1_000,
} as const satisfies Required<MemoryFaults>;

/** Writes within this time are concurrent, for `bothAccepted`. */
const AT_ONCE_MS = 10;

export class MemoryCluster {
  readonly faults: Required<MemoryFaults>;
  readonly links = new Set<MemoryLink>();
  private readonly buckets = new Map<string, MemoryBucket>();
  private incarnations = 0;
  private stalled: (() => void)[] | undefined;

  constructor(
    readonly simulation: Simulation,
    faults: MemoryFaults = {},
  ) {
    this.faults = { ...DEFAULTS, ...faults };
  }

  join(): MemoryNode {
    const process = this.simulation.process();
    const link = new MemoryLink(this, process);
    this.links.add(link);
    return { process, link, store: new MemoryStore(this, link) };
  }

  stall(): void {
    this.stalled ??= [];
  }

  goOn(): void {
    const stalled = this.stalled ?? [];
    this.stalled = undefined;
    for (const work of stalled) work();
  }

  /** Deletes the buckets, until a node opens them again. */
  lose(): void {
    this.endWatches();
    this.buckets.clear();
  }

  endWatches(): void {
    for (const bucket of this.buckets.values()) bucket.endWatches();
  }

  /** The parsed value of a key. */
  peek(bucket: string, key: string): unknown {
    const entry = this.buckets.get(bucket)?.entries.get(key);
    return entry && JSON.parse(entry.json);
  }

  /** Overwrites the value of a key, as a foreign client would. */
  poke(bucket: string, key: string, json: string): void {
    this.bucketOf(bucket).write(key, json);
  }

  between(from: number, to: number): number {
    return from + this.simulation.random() * (to - from);
  }

  // --- Server side ----------------------------------------------------------------------------------------

  /** Runs work of the store, now or after the stall. */
  serve(work: () => void): void {
    if (this.stalled) this.stalled.push(work);
    else work();
  }

  open(name: string, publishAs: string | undefined): void {
    const bucket = this.buckets.get(name) ?? new MemoryBucket(this, `${++this.incarnations}`);
    bucket.publishAs = publishAs;
    this.buckets.set(name, bucket);
  }

  has(name: string): boolean {
    return this.buckets.has(name);
  }

  /** @throws {BackplaneError} */
  bucketOf(name: string): MemoryBucket {
    const bucket = this.buckets.get(name);
    if (!bucket) throw unavailable(`the bucket ${name} does not exist`);
    return bucket;
  }

  /** Delivers a message to its subscribers, and returns their number. */
  route(message: Message, publisher: MemoryLink | undefined): number {
    let heard = 0;
    for (const link of this.links) if (link !== publisher && link.offer(message)) heard++;
    return heard;
  }
}

export interface MemoryNode {
  readonly process: SimulatedProcess;
  readonly link: MemoryLink;
  readonly store: MemoryStore;
}

type Direction = 'up' | 'down';

/** The messages under way in one direction, in order. */
class Lane {
  private held: (() => void)[] | undefined;
  private lastAt = 0;

  constructor(
    private readonly simulation: Simulation,
    private readonly delay: () => number,
    private readonly receiver: SimulatedProcess | undefined,
  ) {}

  send(arrive: () => void): void {
    if (this.held) {
      this.held.push(arrive);
      return;
    }
    const { now } = this.simulation;
    this.lastAt = Math.max(this.lastAt, now + this.delay());
    this.simulation.arrive(this.receiver, this.lastAt - now, arrive);
  }

  hold(): void {
    this.held ??= [];
  }

  release(): void {
    const held = this.held ?? [];
    this.held = undefined;
    for (const arrive of held) this.send(arrive);
  }
}

interface Interest {
  readonly subject: string;
  readonly heard: (message: Message) => void;
}

export class MemoryLink implements Link {
  readonly inbox: string;
  isUp = false;
  reason = 'the server has not been reached yet';
  private events: LinkEvents | undefined;
  private isCut = false;
  private isClosed = false;
  private lanes: Record<Direction, Lane>;
  /** Counts connections: messages under way on an earlier one are lost. */
  private connection = 0;
  private readonly interests = new Map<string, Interest>();
  /** The `interests` that have reached the server. */
  private readonly subscriptions = new Map<string, Interest>();
  private readonly waiting = new Set<(error: Error) => void>();

  constructor(
    private readonly cluster: MemoryCluster,
    private readonly process: SimulatedProcess,
  ) {
    this.inbox = `inbox${cluster.links.size}`;
    this.lanes = this.newLanes();
  }

  async start(events: LinkEvents): Promise<void> {
    this.events = events;
    if (!this.isCut) await this.connect();
  }

  async close(): Promise<void> {
    this.isClosed = true;
    this.disconnect('it was closed');
  }

  subscribe(subject: string, heard: (message: Message) => void): void {
    const interest = { subject, heard };
    this.interests.set(subject, interest);
    this.send(() => this.subscriptions.set(subject, interest));
  }

  unsubscribe(subject: string): void {
    const interest = this.interests.get(subject);
    this.interests.delete(subject);
    this.send(() => {
      if (this.subscriptions.get(subject) === interest) this.subscriptions.delete(subject);
    });
  }

  publish(subject: string, bytes: Uint8Array, reply?: string): void {
    if (!this.isUp) throw unavailable(this.reason);
    const data = Uint8Array.from(bytes);
    this.send(() => {
      const message = { subject, data, reply, unheard: false, revision: undefined };
      if (this.cluster.route(message, this) > 0 || reply === undefined) return;
      this.offer({ ...message, subject: reply, data: new Uint8Array(), reply: undefined, unheard: true });
    });
  }

  flush(): Promise<void> {
    return this.ask((answer) => answer());
  }

  // --- Interface for the store and the server -------------------------------------------------------------

  /** Sends a request, and resolves with its response. @throws {BackplaneError} */
  async ask<T>(serve: (answer: (value?: T) => void, refuse: (error: Error) => void) => void): Promise<T> {
    if (!this.isUp) throw unavailable(this.reason);
    const { requestTimeoutMs } = this.cluster.faults;
    return new Promise<T>((resolve, reject) => {
      const end = (settle: () => void): void => {
        clearTimeout(timer);
        this.waiting.delete(refuse);
        settle();
      };
      const refuse = (error: Error): void => end(() => reject(error));
      const timer = setTimeout(() => refuse(timeout(requestTimeoutMs)), requestTimeoutMs);
      this.waiting.add(refuse);
      this.send(() =>
        serve(
          (value) => this.deliver(() => end(() => resolve(value as T))),
          (error) => this.deliver(() => refuse(error)),
        ),
      );
    });
  }

  /** Delivers to the server, unless this connection ends before. */
  send(arrive: () => void): void {
    if (!this.isUp) return;
    const { connection } = this;
    this.lanes.up.send(() => {
      if (connection === this.connection) arrive();
    });
  }

  /** Delivers to the node, unless this connection ends before. */
  deliver(arrive: () => void): void {
    const { connection } = this;
    this.lanes.down.send(() => {
      if (connection === this.connection) arrive();
    });
  }

  /** Delivers a message to the node if it subscribes to the subject; returns whether it does. */
  offer(message: Message): boolean {
    const { subject } = message;
    const interest =
      this.subscriptions.get(subject) ??
      this.subscriptions.get(`${subject.slice(0, subject.lastIndexOf('.'))}.*`);
    if (!interest) return false;
    this.deliver(() => {
      try {
        interest.heard(message);
      } catch (error) {
        this.events?.failed(`read a message on ${interest.subject}`, error);
      }
    });
    return true;
  }

  // --- Faults ------------------------------------------------------------------------------------------------

  /** Resets its connection, and allows none until `restore`. */
  cut(): void {
    this.isCut = true;
    this.disconnect('the connection was reset');
  }

  restore(): void {
    this.isCut = false;
    if (this.events && !this.isUp) void this.connect();
  }

  /** Holds messages in this direction. */
  hold(direction: Direction): void {
    this.lanes[direction].hold();
  }

  release(direction: Direction): void {
    this.lanes[direction].release();
  }

  private async connect(): Promise<void> {
    this.lanes = this.newLanes();
    const connection = ++this.connection;
    await new Promise<void>((resolve) => {
      this.lanes.down.send(() => {
        resolve();
        if (connection !== this.connection || this.isClosed) return;
        this.isUp = true;
        for (const interest of this.interests.values())
          this.send(() => this.subscriptions.set(interest.subject, interest));
        this.events?.up();
      });
    });
  }

  private disconnect(reason: string): void {
    this.connection++;
    this.subscriptions.clear();
    const wasUp = this.isUp;
    this.isUp = false;
    this.reason = reason;
    this.process.run(() => {
      for (const refuse of this.waiting) refuse(unavailable(reason));
    });
    if (wasUp && !this.isClosed) {
      this.cluster.simulation.arrive(this.process, 0, () => {
        if (!this.isUp) this.events?.down();
      });
    }
  }

  private newLanes(): Record<Direction, Lane> {
    const { simulation, faults } = this.cluster;
    const delay = (): number => this.cluster.between(...faults.delayMs);
    return { up: new Lane(simulation, delay, undefined), down: new Lane(simulation, delay, this.process) };
  }
}

export class MemoryStore implements Store {
  readonly name = 'the store in memory';

  constructor(
    private readonly cluster: MemoryCluster,
    private readonly link: MemoryLink,
  ) {}

  async open<T>(name: string, entries: Entries<T>): Promise<Bucket<T>> {
    const { cluster, link } = this;
    await link.ask((answer) =>
      cluster.serve(() => {
        cluster.open(name, entries.publishAs);
        answer();
      }),
    );
    return new BucketOfNode(cluster, link, name, entries);
  }

  async find<T>(name: string, entries: Entries<T>): Promise<Bucket<T> | undefined> {
    const { cluster, link } = this;
    const exists = await link.ask<boolean>((answer) => cluster.serve(() => answer(cluster.has(name))));
    return exists ? new BucketOfNode(cluster, link, name, entries) : undefined;
  }
}

interface Stored {
  readonly key: string;
  readonly json: string;
  readonly revision: number;
  readonly writtenAt: number;
}

/** The server's bucket. */
class MemoryBucket {
  readonly entries = new Map<string, Stored>();
  revision = 0;
  publishAs: string | undefined;
  private readonly watches = new Set<Watch>();

  constructor(
    private readonly cluster: MemoryCluster,
    readonly incarnation: string,
  ) {}

  write(key: string, json: string): number {
    const entry = { key, json, revision: ++this.revision, writtenAt: Date.now() };
    // Moves the key to the end: entries are ordered by revision.
    this.entries.delete(key);
    this.entries.set(key, entry);
    for (const watch of this.watches) watch.offer(entry);
    if (this.publishAs !== undefined) this.publish(this.publishAs, entry);
    return entry.revision;
  }

  /** Whether a compare-and-set on this revision is accepted. */
  follows(key: string, after: number): boolean {
    const last = this.entries.get(key);
    if ((last?.revision ?? 0) === after) return true;
    const { bothAccepted } = this.cluster.faults;
    return (
      last !== undefined &&
      bothAccepted > 0 &&
      Date.now() - last.writtenAt <= AT_ONCE_MS &&
      this.cluster.simulation.random() < bothAccepted
    );
  }

  watch(watch: Watch, after: number): void {
    this.watches.add(watch);
    for (const entry of this.entries.values()) if (entry.revision > after) watch.offer(entry);
  }

  unwatch(watch: Watch): void {
    this.watches.delete(watch);
  }

  endWatches(): void {
    for (const watch of this.watches) if (this.cluster.simulation.random() < 0.5) watch.end();
    this.watches.clear();
  }

  private publish(subject: string, { key, json, revision }: Stored): void {
    const tokens = key.split('.');
    const filled = subject.replace(/\{(\d)\}/g, (_, index: string) => tokens[Number(index) - 1] ?? '');
    const data = new TextEncoder().encode(json);
    this.cluster.route({ subject: filled, data, reply: undefined, unheard: false, revision }, undefined);
  }
}

/** The server's side of a watch. */
interface Watch {
  offer(entry: Stored): void;
  end(): void;
}

/** A node's view of a bucket. */
class BucketOfNode<T> implements Bucket<T> {
  constructor(
    private readonly cluster: MemoryCluster,
    private readonly link: MemoryLink,
    private readonly name: string,
    private readonly kind: Entries<T>,
  ) {}

  get(key: string): Promise<Kept<T>> {
    return this.ask((bucket) => this.kept(key, bucket.entries.get(key)));
  }

  put(key: string, value: T, after?: number): Promise<number | undefined> {
    const json = JSON.stringify(value);
    const { simulation, faults } = this.cluster;
    const isLate = simulation.random() < faults.lateWrites;
    return this.ask(
      (bucket) => (after === undefined || bucket.follows(key, after) ? bucket.write(key, json) : undefined),
      isLate ? this.cluster.between(0, faults.lateMs) : 0,
    );
  }

  remove(key: string, upTo = Infinity): Promise<void> {
    return this.ask((bucket) => {
      if ((bucket.entries.get(key)?.revision ?? Infinity) <= upTo) bucket.entries.delete(key);
    });
  }

  async *scan(keys: string, from = 1): AsyncGenerator<Scanned<T>> {
    const found = await this.ask((bucket) =>
      [...bucket.entries.values()].filter((entry) => matches(keys, entry.key) && entry.revision >= from),
    );
    for (const [index, entry] of found.entries())
      yield { ...this.kept(entry.key, entry), pending: found.length - index - 1 };
  }

  async watch(keys: string, watcher: Watcher<T>, after?: number): Promise<() => void> {
    let isStopped = false;
    const watch: Watch = {
      offer: (entry) => {
        if (!matches(keys, entry.key)) return;
        this.link.deliver(() => {
          if (!isStopped) watcher.changed(this.kept(entry.key, entry));
        });
      },
      end: () =>
        this.link.deliver(() => {
          if (!isStopped) watcher.ended(unavailable('the server has ended the watch'));
        }),
    };
    await this.ask((bucket) => bucket.watch(watch, after ?? bucket.revision));
    return () => {
      isStopped = true;
      this.link.send(() => this.cluster.serve(() => this.ifThere((bucket) => bucket.unwatch(watch))));
    };
  }

  state(): Promise<BucketState> {
    return this.ask(({ incarnation, revision }) => ({ incarnation, revision }));
  }

  private ask<A>(work: (bucket: MemoryBucket) => A, lateMs = 0): Promise<A> {
    const { cluster } = this;
    return this.link.ask<A>((answer, refuse) => {
      const serve = (): void =>
        cluster.serve(() => {
          try {
            answer(work(cluster.bucketOf(this.name)));
          } catch (error) {
            refuse(error as Error);
          }
        });
      if (lateMs > 0) cluster.simulation.arrive(undefined, lateMs, serve);
      else serve();
    });
  }

  private ifThere(work: (bucket: MemoryBucket) => void): void {
    try {
      work(this.cluster.bucketOf(this.name));
    } catch {
      // The bucket was deleted meanwhile, and the watch with it.
    }
  }

  private kept(key: string, entry: Stored | undefined): Kept<T> {
    if (!entry) return { key, value: undefined, revision: 0, writtenAt: 0 };
    const { revision, writtenAt } = entry;
    return { key, value: this.valueOf(entry), revision, writtenAt };
  }

  private valueOf({ key, json }: Stored): T | undefined {
    let value: unknown;
    try {
      value = JSON.parse(json);
    } catch {
      // An entry is never undefined.
    }
    if (this.kind.isOne(key, value)) return value;
    this.kind.stray(key);
    return undefined;
  }
}

/** Whether a key matches a pattern that ends with `>` or `*`. */
function matches(keys: string, key: string): boolean {
  if (keys.endsWith('>')) return key.startsWith(keys.slice(0, -1));
  if (!keys.endsWith('*')) return key === keys;
  const prefix = keys.slice(0, -1);
  return key.startsWith(prefix) && !key.slice(prefix.length).includes('.');
}

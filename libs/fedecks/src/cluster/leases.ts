import { type Bucket } from './bucket.js';
import { Malformed } from './link.js';
import { isTime, type SharedClock } from './rank.js';
import { type Subjects } from './subjects.js';

/** The number of missed heartbeats after which a node is lost. */
export const LEASE_BEATS = 3;
const CHECKS_PER_BEAT = 5;
/** The maximum number of nodes, to bound memory. */
const MAX_NODES = 1_000;
const MAX_MESSAGE_BYTES = 4_096;

const TYPES = ['lives', 'leaves', 'sweeping', 'swept'] as const;

/** What nodes tell each other. */
export interface NodeMessage {
  readonly type: (typeof TYPES)[number];
  readonly node: string;
  /** The time of its {@link SharedClock}. Versions before had none. */
  readonly time?: number;
  /** The lost node that is being swept, or was. */
  readonly lost?: string;
}

/** @throws {Malformed} */
export function readNodeMessage(bytes: Uint8Array): NodeMessage {
  if (bytes.length > MAX_MESSAGE_BYTES) throw new Malformed('the node message is too long');
  let message: unknown;
  try {
    message = JSON.parse(Buffer.from(bytes).toString());
  } catch {
    throw new Malformed('not JSON');
  }
  const { type, node, time, lost } = (message ?? {}) as Record<string, unknown>;
  const known = TYPES.some((each) => each === type);
  const isValid = (time === undefined || isTime(time)) && (lost === undefined || typeof lost === 'string');
  if (!known || typeof node !== 'string' || !isValid) {
    throw new Malformed('not a known node message');
  }
  return message as NodeMessage;
}

/** What is kept of a node from its start until it leaves, or is swept. */
export interface NodeEntry {
  readonly since: number;
  /** The time of its {@link SharedClock} when it wrote this. Versions before had none. */
  readonly time?: number;
}

export function isNodeEntry(value: unknown): value is NodeEntry {
  const { since, time } = (value ?? {}) as Record<string, unknown>;
  return Number.isSafeInteger(since) && (time === undefined || isTime(time));
}

/** What the leases ask of the backplane they are for. */
export interface LeaseEvents {
  /** Sends a message to the other nodes; no-op while disconnected. */
  tell(message: NodeMessage): void;
  /**
   * Marks the devices of lost nodes as offline.
   * @param silentForMs how long ago, in milliseconds, each of them was heard last.
   * Rejects if it cannot.
   */
  sweep(silentForMs: ReadonlyMap<string, number>): Promise<void>;
  /** Called when other nodes may have swept this node by mistake: its entries must be checked. */
  onDoubted(): void;
}

/**
 * The leases of nodes. Each node sends one heartbeat per `heartbeatMs`; one that misses three
 * is lost, and another node sweeps its entries. There is no leader: each waits a
 * random delay and skips if another has begun; concurrent writes are resolved by compare-and-set.
 */
export class Leases {
  /** When each node was heard last. Times are of `performance.now()`. */
  private readonly lastHeardAt = new Map<string, number>();
  /** When to begin to sweep up after a lost node. */
  private readonly due = new Map<string, number>();
  private readonly leaseMs: number;
  /** At most how long a node waits to sweep, in case another begins. */
  private readonly hesitationMs: number;
  private bucket: Bucket<NodeEntry> | undefined;
  private since = -Infinity;
  private lastTick = -Infinity;
  private ticks = 0;
  private timer: NodeJS.Timeout | undefined;
  private sweeping = false;

  constructor(
    readonly self: string,
    private readonly clock: SharedClock,
    private readonly subjects: Subjects,
    private readonly heartbeatMs: number,
    private readonly events: LeaseEvents,
  ) {
    this.leaseMs = LEASE_BEATS * heartbeatMs;
    this.hesitationMs = heartbeatMs / CHECKS_PER_BEAT;
  }

  /** Called when connected: heartbeats missed while disconnected do not count. */
  async resume(bucket: Bucket<NodeEntry>): Promise<void> {
    await bucket.put(this.subjects.key(this.self), this.entry());
    this.since = performance.now();
    this.due.clear();
    for (const node of this.lastHeardAt.keys()) this.lastHeardAt.set(node, this.since);
    for await (const { key, value } of bucket.scan(this.subjects.keys)) {
      const node = this.subjects.textOf(key);
      if (!value || node === this.self) continue;
      if (value.time !== undefined) this.clock.observe(value.time);
      if (this.lastHeardAt.size < MAX_NODES) this.lastHeardAt.set(node, performance.now());
    }
    this.bucket = bucket;
    this.lastTick = performance.now();
    this.timer ??= setInterval(() => this.tick(), this.hesitationMs).unref();
    this.beat();
  }

  pause(): void {
    this.bucket = undefined;
  }

  /** Stops. With `clean`, nothing is left to sweep, and the others need not wait to find that out. */
  async stop(clean: boolean): Promise<void> {
    clearInterval(this.timer);
    const { bucket } = this;
    this.bucket = undefined;
    if (!bucket || !clean) return;
    this.events.tell({ type: 'leaves', node: this.self });
    await bucket.remove(this.subjects.key(this.self));
  }

  /** Whether that node is alive; until one lease has passed since connecting, all count as alive. */
  lives(node: string, now = performance.now()): boolean {
    return (
      node === this.self || now - Math.max(this.lastHeardAt.get(node) ?? -Infinity, this.since) < this.leaseMs
    );
  }

  /** @throws {Malformed} when there are more nodes than there can be. */
  received({ type, node, time, lost }: NodeMessage): void {
    if (time !== undefined) this.clock.observe(time);
    if (type === 'leaves') {
      this.forget(node);
      return;
    }
    if (this.lastHeardAt.size >= MAX_NODES && !this.lastHeardAt.has(node)) {
      throw new Malformed(`more than ${MAX_NODES} nodes`);
    }
    this.lastHeardAt.set(node, performance.now());
    this.due.delete(node);
    if (lost === undefined) return;
    if (lost === this.self) this.onPresumedLost(type);
    // If the sweeping node is lost as well, another one sweeps again.
    else if (type === 'swept') this.forget(lost);
    else if (this.lastHeardAt.has(lost)) this.due.set(lost, performance.now() + this.leaseMs);
  }

  private onPresumedLost(type: NodeMessage['type']): void {
    this.beat();
    if (type === 'swept') this.bucket?.put(this.subjects.key(this.self), this.entry()).catch(() => undefined);
    // What was swept the store has told; but it tells nothing to a node that had no connection just then.
    this.events.onDoubted();
  }

  private entry(): NodeEntry {
    return { since: Date.now(), time: this.clock.now() };
  }

  private forget(node: string): void {
    this.lastHeardAt.delete(node);
    this.due.delete(node);
  }

  private beat(): void {
    this.events.tell({ type: 'lives', node: this.self, time: this.clock.now() });
  }

  private tick(): void {
    const now = performance.now();
    const pausedMs = now - this.lastTick;
    this.lastTick = now;
    if (!this.bucket) return;
    if (pausedMs > this.heartbeatMs) {
      // This process was paused: it has missed heartbeats of the others, or they were paused too, and it is late with its own.
      this.since = now;
      this.beat();
      if (pausedMs > this.leaseMs) this.events.onDoubted();
      return;
    }
    if (++this.ticks % CHECKS_PER_BEAT === 0) this.beat();
    let isDue = false;
    for (const node of this.lastHeardAt.keys()) {
      if (this.lives(node, now)) continue;
      const at = this.due.get(node);
      if (at === undefined) this.due.set(node, now + Math.random() * this.hesitationMs);
      else if (now >= at) isDue = true;
    }
    if (isDue && !this.sweeping) void this.sweep(now);
  }

  /** Sweeps up after all nodes that are lost, but for those that another node has begun with. */
  private async sweep(now: number): Promise<void> {
    this.sweeping = true;
    const silentForMs = new Map<string, number>();
    for (const [node, at] of this.due) {
      if (at <= now + this.hesitationMs) silentForMs.set(node, now - (this.lastHeardAt.get(node) ?? now));
    }
    for (const lost of silentForMs.keys()) this.events.tell({ type: 'sweeping', node: this.self, lost });
    try {
      await this.events.sweep(silentForMs);
      for (const lost of silentForMs.keys()) {
        // It has come back meanwhile: the store has told it what was written.
        if (this.lives(lost)) continue;
        await this.bucket?.remove(this.subjects.key(lost));
        this.events.tell({ type: 'swept', node: this.self, lost });
        this.forget(lost);
      }
    } catch {
      // The store is unavailable or slow: retried later.
      for (const lost of silentForMs.keys()) this.due.delete(lost);
    } finally {
      this.sweeping = false;
    }
  }
}

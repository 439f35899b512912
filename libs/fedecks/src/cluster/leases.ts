import { type Bucket } from './bucket.js';
import { Malformed } from './link.js';
import { type Subjects } from './subjects.js';

/** After how many heartbeats without a word a node is lost. */
const LEASE_BEATS = 3;
const CHECKS_PER_BEAT = 5;
/** Far more than any fleet has: a mistake must not fill the memory of all of them. */
const MAX_NODES = 1_000;
const MAX_MESSAGE_BYTES = 4_096;

const TYPES = ['lives', 'leaves', 'sweeping', 'swept'] as const;

/** What nodes tell each other. */
export interface NodeMessage {
  readonly type: (typeof TYPES)[number];
  readonly node: string;
  /** The lost node that is being swept, or was. */
  readonly lost?: string;
}

/** @throws {Malformed} */
export function readNodeMessage(bytes: Uint8Array): NodeMessage {
  if (bytes.length > MAX_MESSAGE_BYTES) throw new Malformed('it is too long for what nodes tell each other');
  let message: unknown;
  try {
    message = JSON.parse(Buffer.from(bytes).toString());
  } catch {
    throw new Malformed('it is no JSON');
  }
  const { type, node, lost } = (message ?? {}) as Record<string, unknown>;
  const known = TYPES.some((each) => each === type);
  if (!known || typeof node !== 'string' || (lost !== undefined && typeof lost !== 'string')) {
    throw new Malformed('it is not what nodes tell each other');
  }
  return message as NodeMessage;
}

/** What is kept of a node from its start until it leaves, or is swept. */
export interface NodeEntry {
  readonly since: number;
}

export function isNodeEntry(value: unknown): value is NodeEntry {
  return Number.isSafeInteger(((value ?? {}) as Record<string, unknown>)['since']);
}

/** What the leases ask of the backplane they are for. */
export interface LeaseEvents {
  /** Hands a message to the other nodes; does nothing while there is no connection. */
  tell(message: NodeMessage): void;
  /** Marks the devices of a lost node as offline, last seen so long ago. Rejects if it cannot. */
  sweep(node: string, silentForMs: number): Promise<void>;
  /** The others may have taken this node for lost: what they wrote about its devices has to be looked at. */
  doubted(): void;
}

/**
 * Which nodes live. Each says so every `heartbeatMs`, in one message whatever it holds; one that has not for three
 * times that is lost, and one of the others sweeps up after it. Which one nobody decides: each begins after a
 * random time, unless it hears of another; and what two write at once is settled where it is kept.
 */
export class Leases {
  /** When each node was heard last. Times are of `performance.now()`. */
  private readonly heard = new Map<string, number>();
  /** When to begin to sweep up after a lost node. */
  private readonly due = new Map<string, number>();
  private readonly leaseMs: number;
  private bucket: Bucket<NodeEntry> | undefined;
  private since = -Infinity;
  private lastTick = -Infinity;
  private ticks = 0;
  private timer: NodeJS.Timeout | undefined;
  private sweeping = false;
  /** When what is written of this node has to be looked at once more. */
  private doubtAt = Infinity;

  constructor(
    readonly self: string,
    private readonly subjects: Subjects,
    private readonly heartbeatMs: number,
    private readonly events: LeaseEvents,
  ) {
    this.leaseMs = LEASE_BEATS * heartbeatMs;
  }

  /** There is a connection: what was not heard without one counts against nobody. */
  async resume(bucket: Bucket<NodeEntry>): Promise<void> {
    await bucket.put(this.subjects.key(this.self), { since: Date.now() });
    this.since = performance.now();
    this.due.clear();
    for (const node of this.heard.keys()) this.heard.set(node, this.since);
    for await (const { key, value } of bucket.scan(this.subjects.keys)) {
      const node = this.subjects.textOf(key);
      if (value && node !== this.self && this.heard.size < MAX_NODES) this.heard.set(node, performance.now());
    }
    this.bucket = bucket;
    this.lastTick = performance.now();
    this.timer ??= setInterval(() => this.tick(), this.heartbeatMs / CHECKS_PER_BEAT).unref();
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

  /** Whether that node lives, as far as this one can tell: until it has listened long enough, all do. */
  lives(node: string, now = performance.now()): boolean {
    return node === this.self || now - Math.max(this.heard.get(node) ?? -Infinity, this.since) < this.leaseMs;
  }

  /** @throws {Malformed} when there are more nodes than there can be. */
  received({ type, node, lost }: NodeMessage): void {
    if (type === 'leaves') {
      this.forget(node);
      return;
    }
    if (this.heard.size >= MAX_NODES && !this.heard.has(node)) {
      throw new Malformed(`it is of one node more than ${MAX_NODES}`);
    }
    this.heard.set(node, performance.now());
    this.due.delete(node);
    if (lost === undefined) return;
    if (lost === this.self) this.mistaken(type);
    // Should the one that sweeps be lost as well, there is another round.
    else if (type === 'swept') this.forget(lost);
    else if (this.heard.has(lost)) this.due.set(lost, performance.now() + this.leaseMs);
  }

  private mistaken(type: NodeMessage['type']): void {
    this.beat();
    if (type === 'swept')
      this.bucket?.put(this.subjects.key(this.self), { since: Date.now() }).catch(() => undefined);
    // Whoever sweeps stops when it hears that; but what it has on its way may be written later, and it may die.
    else this.doubtAt = performance.now() + this.leaseMs;
    this.events.doubted();
  }

  private forget(node: string): void {
    this.heard.delete(node);
    this.due.delete(node);
  }

  private beat(): void {
    this.events.tell({ type: 'lives', node: this.self });
  }

  private tick(): void {
    const now = performance.now();
    const late = now - this.lastTick > this.leaseMs;
    this.lastTick = now;
    if (!this.bucket) return;
    if (late) {
      // This process was stopped: what it has not heard is not the others' fault, and they have not heard it.
      this.since = now;
      this.beat();
      this.events.doubted();
      return;
    }
    if (now >= this.doubtAt) {
      this.doubtAt = Infinity;
      this.events.doubted();
    }
    if (++this.ticks % CHECKS_PER_BEAT === 0) this.beat();
    for (const node of this.heard.keys()) {
      if (this.lives(node, now)) continue;
      const at = this.due.get(node);
      if (at === undefined) this.due.set(node, now + (Math.random() * this.heartbeatMs) / CHECKS_PER_BEAT);
      else if (now >= at && !this.sweeping) void this.sweep(node);
    }
  }

  private async sweep(node: string): Promise<void> {
    this.sweeping = true;
    this.events.tell({ type: 'sweeping', node: this.self, lost: node });
    try {
      const now = performance.now();
      await this.events.sweep(node, now - (this.heard.get(node) ?? now));
      if (this.lives(node)) {
        // It has come back meanwhile, and may have looked before all was written.
        this.events.tell({ type: 'sweeping', node: this.self, lost: node });
        return;
      }
      await this.bucket?.remove(this.subjects.key(node));
      this.events.tell({ type: 'swept', node: this.self, lost: node });
      this.forget(node);
    } catch {
      // The store is away, or slow: there is another round.
      this.due.delete(node);
    } finally {
      this.sweeping = false;
    }
  }
}

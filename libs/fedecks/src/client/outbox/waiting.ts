import { OutboxFullError } from './errors.js';
import { LaneIndex, type Place } from './lane-index.js';
import { type Expired, type OutboxMessage, type OutboxState } from './outbox-store.js';

const MAX_LANES = 8;
const MAX_LANE_BYTES = 64;
const MAX_KEY_BYTES = 256;

export interface OutboxLimits {
  /** @default 10,000 */
  readonly maxMessages?: number;
  /** The bytes of all that waits, with about 60 for each message. @default 16 MiB */
  readonly maxBytes?: number;
  /** What happens to a message for which there is no room: `drop-oldest` makes room. @default 'drop-oldest' */
  readonly full?: 'drop-oldest' | 'reject';
}

/** How many messages were lost to a limit, or to a newer one, since the store was made. */
export interface OutboxCounters {
  dropped: number;
  rejected: number;
  replaced: number;
}

interface Lane {
  readonly name: string;
  readonly index: LaneIndex;
  /** The newest message that waits, by key. */
  readonly keys: Map<string, number>;
  /** The other way round, to forget the key with its message. */
  readonly keyOf: Map<number, string>;
  next: number;
}

/** What waits, by lane and number; and what there is room for. It knows where messages are, and not what they say. */
export class Waiting {
  private readonly lanes = new Map<string, Lane>();
  private readonly maxMessages: number;
  private readonly maxBytes: number;
  private readonly full: 'drop-oldest' | 'reject';

  /** @param start the first number of a lane that is new. */
  constructor(
    private readonly limits: OutboxLimits,
    private readonly start: number,
    readonly counters: OutboxCounters = { dropped: 0, rejected: 0, replaced: 0 },
  ) {
    this.maxMessages = limits.maxMessages ?? 10_000;
    this.maxBytes = limits.maxBytes ?? 16 * 1024 * 1024;
    this.full = limits.full ?? 'drop-oldest';
  }

  /** @throws {RangeError} if a message cannot be kept because of what it is. */
  check({ lane, key, ttlMs }: OutboxMessage): void {
    if (lane === '' || Buffer.byteLength(lane) > MAX_LANE_BYTES) {
      throw new RangeError(`A lane must have 1 to ${MAX_LANE_BYTES} bytes, not ${Buffer.byteLength(lane)}.`);
    }
    if (!this.lanes.has(lane) && this.lanes.size >= MAX_LANES) {
      const names = [...this.lanes.keys()].join(', ');
      throw new RangeError(`Lane '${lane}' is one too many: use one of the ${MAX_LANES} lanes ${names}.`);
    }
    if (key !== undefined && Buffer.byteLength(key) > MAX_KEY_BYTES) {
      throw new RangeError(`A key must have at most ${MAX_KEY_BYTES} bytes, not ${Buffer.byteLength(key)}.`);
    }
    if (!(ttlMs > 0)) throw new RangeError(`ttlMs must be a number above 0, not ${ttlMs}.`);
  }

  /**
   * Makes room for a message by calling `drop` for as many as need be.
   * @throws {OutboxFullError} if there is none.
   */
  makeRoom(bytes: number, drop: (lane: string, seq: number) => void): void {
    if (bytes > this.maxBytes) {
      this.counters.rejected++;
      throw new OutboxFullError(
        `The message takes ${bytes} bytes, more than the outbox may hold (maxBytes: ${this.maxBytes}).`,
      );
    }
    for (;;) {
      const isTooMany = this.count >= this.maxMessages;
      if (!isTooMany && this.bytes + bytes <= this.maxBytes) return;
      if (this.full === 'reject') {
        this.counters.rejected++;
        throw new OutboxFullError(
          `The outbox is full: ${this.count} messages wait, ${this.bytes} bytes. Wait until it has room, or raise ` +
            `${isTooMany ? `'maxMessages', ${this.maxMessages}` : `'maxBytes', ${this.maxBytes}`}.`,
        );
      }
      const { name, index } = this.largest(isTooMany ? 'count' : 'bytes');
      this.counters.dropped++;
      drop(name, index.following(0) as number);
    }
  }

  /** The lane with the most: a backlog of readings must not push out the alarms beside it. */
  private largest(by: 'count' | 'bytes'): Lane {
    return [...this.lanes.values()].reduce((a, b) => (b.index[by] > a.index[by] ? b : a));
  }

  get count(): number {
    return this.sum('count');
  }

  get bytes(): number {
    return this.sum('bytes');
  }

  private sum(what: 'count' | 'bytes'): number {
    let sum = 0;
    for (const { index } of this.lanes.values()) sum += index[what];
    return sum;
  }

  takeNumber(lane: string): number {
    return this.lane(lane).next++;
  }

  add(lane: string, seq: number, place: Place, expiry: number): void {
    const found = this.lane(lane);
    found.index.add(seq, place, expiry);
    found.next = Math.max(found.next, seq + 1);
  }

  at(lane: string, seq: number): Place | undefined {
    return this.lanes.get(lane)?.index.at(seq);
  }

  move(lane: string, seq: number, segment: number, offset: number): void {
    this.lane(lane).index.move(seq, segment, offset);
  }

  remove(lane: string, seq: number): void {
    const found = this.lanes.get(lane);
    if (found === undefined) return;
    found.index.delete(seq);
    const key = found.keyOf.get(seq);
    if (key === undefined) return;
    found.keyOf.delete(seq);
    if (found.keys.get(key) === seq) found.keys.delete(key);
  }

  /** Of two messages with a key, the one with the lower number no longer counts: its number, if there are two. */
  claimKey(lane: string, seq: number, key: string): number | undefined {
    const { keys, keyOf } = this.lane(lane);
    const other = keys.get(key);
    keyOf.set(seq, key);
    if (other === undefined || other < seq) keys.set(key, seq);
    return other === undefined ? undefined : Math.min(other, seq);
  }

  following(lane: string, seq: number): number | undefined {
    return this.lanes.get(lane)?.index.following(seq);
  }

  /** How many records of the lane wait below `seq`. */
  rank(lane: string, seq: number): number {
    return this.lane(lane).index.rank(seq);
  }

  expired(now: number, limit: number): Expired {
    const due: { lane: string; seq: number }[] = [];
    let earliest = Infinity;
    for (const { name, index } of this.lanes.values()) {
      const seqs: number[] = [];
      earliest = Math.min(earliest, index.expired(now, limit - due.length, seqs));
      for (const seq of seqs) due.push({ lane: name, seq });
    }
    return { due, nextInMs: Math.max(0, earliest - now) };
  }

  state(epoch: Uint8Array): OutboxState {
    const lanes = [...this.lanes.values()].map(({ name, index, next }) => ({
      lane: name,
      first: index.following(0) ?? next,
      next,
      count: index.count,
      bytes: index.bytes,
    }));
    return { epoch, lanes, nextOfNewLanes: this.start };
  }

  /** Forgets lanes without a message, and begins all others at `start`. */
  startNumbers(start: number): Waiting {
    const fresh = this.emptied(start);
    for (const lane of this.lanes.values()) {
      if (lane.index.count > 0) fresh.lanes.set(lane.name, { ...lane, next: start });
    }
    return fresh;
  }

  /** The same limits and counters, and no message. */
  emptied(start: number): Waiting {
    return new Waiting(this.limits, start, this.counters);
  }

  private lane(name: string): Lane {
    let lane = this.lanes.get(name);
    if (lane === undefined) {
      lane = { name, index: new LaneIndex(), keys: new Map(), keyOf: new Map(), next: this.start };
      this.lanes.set(name, lane);
    }
    return lane;
  }
}

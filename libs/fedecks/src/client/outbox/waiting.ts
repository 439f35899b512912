import { type FoundLane, LANES } from '../../delivery/index.js';
import { OutboxFullError } from './errors.js';
import { LaneIndex, type Place } from './lane-index.js';
import { type Expired, type LaneState, type OutboxMessage } from './outbox-store.js';
import { type Header, type Opening } from './record.js';

const MAX_LANE_BYTES = 64;
const MAX_KEY_BYTES = 256;
/**
 * How many openings are remembered of which nothing waits. One that is forgotten matters only if its messages were the
 * last that the cloud has handled, and a power cut has brought back older ones.
 */
const MAX_EMPTY_OPENINGS = 100;

export interface OutboxLimits {
  /** @default 10,000 */
  readonly maxMessages?: number;
  /** The bytes of all that waits, with about 60 for each message. @default 16 MiB */
  readonly maxBytes?: number;
  /** What happens to a message for which there is no room: `drop-oldest` makes room. @default 'drop-oldest' */
  readonly full?: 'drop-oldest' | 'reject';
}

interface Lane {
  readonly name: string;
  /** What the peer calls it: 0 to 7. */
  readonly number: number;
  readonly index: LaneIndex;
  /** The newest message that waits, by key. */
  readonly keys: Map<string, number>;
  /** The other way round, to forget the key with its message. */
  readonly keyOf: Map<number, string>;
}

/** What waits, by lane and number; and what there is room for. It knows where messages are, and not what they say. */
export class Waiting {
  private readonly lanes = new Map<string, Lane>();
  /** The next number of each lane, by the number of the lane: also of those without a name. */
  private next: number[] = Array.from({ length: LANES }, () => 1);
  private readonly maxMessages: number;
  private readonly maxBytes: number;
  private readonly full: 'drop-oldest' | 'reject';

  constructor(limits: OutboxLimits) {
    this.maxMessages = limits.maxMessages ?? 10_000;
    this.maxBytes = limits.maxBytes ?? 16 * 1024 * 1024;
    this.full = limits.full ?? 'drop-oldest';
  }

  /** @throws {RangeError} if a message cannot be kept because of what it is. */
  check({ lane, key, ttlMs }: OutboxMessage): void {
    if (lane === '' || Buffer.byteLength(lane) > MAX_LANE_BYTES) {
      throw new RangeError(`A lane must have 1 to ${MAX_LANE_BYTES} bytes, not ${Buffer.byteLength(lane)}.`);
    }
    if (!this.lanes.has(lane) && this.lanes.size >= LANES) {
      const names = [...this.lanes.keys()].join(', ');
      throw new RangeError(`Lane '${lane}' is one too many: use one of the ${LANES} lanes ${names}.`);
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
      throw new OutboxFullError(
        `The message takes ${bytes} bytes, more than the outbox may hold (maxBytes: ${this.maxBytes}).`,
      );
    }
    for (;;) {
      const isTooMany = this.count >= this.maxMessages;
      if (!isTooMany && this.bytes + bytes <= this.maxBytes) return;
      if (this.full === 'reject') {
        throw new OutboxFullError(
          `The outbox is full: ${this.count} messages wait, ${this.bytes} bytes. Wait until it has room, or raise ` +
            `${isTooMany ? `'maxMessages', ${this.maxMessages}` : `'maxBytes', ${this.maxBytes}`}.`,
        );
      }
      const { name, index } = this.largest(isTooMany ? 'count' : 'bytes');
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

  /** The number of a lane. A lane that is new gets a free one. */
  numberOf(lane: string): number {
    return this.lane(lane).number;
  }

  takeNumber(lane: string): number {
    const { number } = this.lane(lane);
    const seq = this.next[number] as number;
    this.next[number] = seq + 1;
    return seq;
  }

  /** Goes on after a number that was found. */
  observe(lane: string, laneNumber: number, seq: number): void {
    if (!this.lanes.has(lane)) this.makeLane(lane, laneNumber);
    this.next[laneNumber] = Math.max(this.next[laneNumber] ?? 1, seq + 1);
  }

  add(lane: string, seq: number, place: Place, expiry: number): void {
    this.lane(lane).index.add(seq, place, expiry);
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

  state(): LaneState[] {
    return [...this.lanes.values()].map(({ name, number, index }) => ({
      lane: name,
      number,
      first: index.following(0) ?? this.nextOf(number),
      next: this.nextOf(number),
      count: index.count,
      bytes: index.bytes,
    }));
  }

  /** What waits in each lane, by number. */
  positions(openings: readonly Opening[]): FoundLane[] {
    const byNumber = new Map([...this.lanes.values()].map((lane) => [lane.number, lane]));
    return this.next.map((next, lane) => ({
      lane,
      next,
      held: byNumber.get(lane)?.index.ranges() ?? [],
      spans: openings.map(({ epoch, from }) => ({ epoch, from: from[lane] ?? 1 })),
    }));
  }

  /** What a header says of lanes. */
  lanesOfHeader(): Pick<Header, 'names' | 'next'> {
    const names = this.next.map(() => '');
    for (const { name, number } of this.lanes.values()) names[number] = name;
    return { names, next: [...this.next] };
  }

  /** Takes what a header says. Nothing waited in other lanes when it was written: what was found there is a ghost. */
  applyHeader({ names, next }: Header, remove: (lane: string, seq: number) => void): void {
    for (const { name, number, index } of [...this.lanes.values()]) {
      if (names[number] === name) continue;
      for (let seq = index.following(0); seq !== undefined; seq = index.following(seq)) remove(name, seq);
      this.lanes.delete(name);
    }
    for (const [number, name] of names.entries()) {
      if (name !== '' && !this.lanes.has(name)) this.makeLane(name, number);
    }
    this.next = next.map((seq, number) => Math.max(seq, this.nextOf(number)));
  }

  /** Forgets the names of lanes without a message: others may take their numbers, and go on counting there. */
  forgetEmptyLanes(): void {
    for (const { name, index } of [...this.lanes.values()]) if (index.count === 0) this.lanes.delete(name);
  }

  /** The openings that still mean something, and a new one. */
  open(openings: readonly Opening[], epoch: string): Opening[] {
    const all = [...openings, { epoch, from: [...this.next] }];
    // Those before the one that holds the first number of each lane are over.
    const first = all.findLastIndex(({ from }) => from.every((seq, number) => seq <= this.firstOf(number)));
    const kept = all.slice(Math.max(0, first));
    const isRecent = (index: number): boolean => index >= kept.length - 1 - MAX_EMPTY_OPENINGS;
    return kept.filter(
      ({ from }, index) => isRecent(index) || this.hasBetween(from, kept[index + 1]?.from ?? this.next),
    );
  }

  /** Whether anything waits from the first numbers on, up to below the others. */
  private hasBetween(from: readonly number[], to: readonly number[]): boolean {
    return [...this.lanes.values()].some(({ number, index }) => {
      const seq = index.following((from[number] ?? 1) - 1);
      return seq !== undefined && seq < (to[number] ?? 1);
    });
  }

  /** A new epoch for all that waits: nobody has seen its numbers under it. */
  reopen(epoch: string): Opening[] {
    return [{ epoch, from: this.next.map((_, number) => this.firstOf(number)) }];
  }

  private firstOf(number: number): number {
    const lane = [...this.lanes.values()].find((each) => each.number === number);
    return lane?.index.following(0) ?? this.nextOf(number);
  }

  private nextOf(number: number): number {
    return this.next[number] ?? 1;
  }

  private lane(name: string): Lane {
    const lane = this.lanes.get(name);
    if (lane !== undefined) return lane;
    const numbers = new Set([...this.lanes.values()].map(({ number }) => number));
    return this.makeLane(
      name,
      this.next.findIndex((_, number) => !numbers.has(number)),
    );
  }

  private makeLane(name: string, number: number): Lane {
    const lane = { name, number, index: new LaneIndex(), keys: new Map(), keyOf: new Map() };
    this.lanes.set(name, lane);
    return lane;
  }
}

import { type Range } from '../../delivery/index.js';

/** How many numbers a chunk covers. */
const SPAN = 256;
/** Where the offsets and the bytes begin among the places of a chunk. */
const OFFSETS = SPAN;
const BYTES = 2 * SPAN;

/** Where a record is: in a segment from an offset on, in so many bytes. Segment 0 means that there is no record. */
export interface Place {
  readonly segment: number;
  readonly offset: number;
  readonly bytes: number;
}

interface Chunk {
  /** The first number that it covers. */
  readonly base: number;
  /** The segments of all its records, then their offsets, then their bytes. */
  readonly places: Uint32Array;
  readonly expiries: Float64Array;
  count: number;
  /** No record of it expires earlier; exact after a scan. */
  earliest: number;
}

/**
 * The waiting records of a lane by number, in 20 bytes each and no object: a million of them must fit into the memory
 * of a small device.
 */
export class LaneIndex {
  /** In order, and none of them empty. */
  private readonly chunks: Chunk[] = [];
  count = 0;
  bytes = 0;

  at(seq: number): Place | undefined {
    const chunk = this.chunks[this.position(seq)];
    const index = seq - (chunk?.base ?? 0);
    if (chunk === undefined || index >= SPAN) return undefined;
    const segment = chunk.places[index] as number;
    if (segment === 0) return undefined;
    return {
      segment,
      offset: chunk.places[OFFSETS + index] as number,
      bytes: chunk.places[BYTES + index] as number,
    };
  }

  /** @param expiry when it expires, on the monotonic clock. */
  add(seq: number, { segment, offset, bytes }: Place, expiry: number): void {
    const chunk = this.chunkFor(seq);
    const index = seq - chunk.base;
    chunk.places[index] = segment;
    chunk.places[OFFSETS + index] = offset;
    chunk.places[BYTES + index] = bytes;
    chunk.expiries[index] = expiry;
    chunk.earliest = Math.min(chunk.earliest, expiry);
    chunk.count++;
    this.count++;
    this.bytes += bytes;
  }

  /** Says where a record is now. */
  move(seq: number, segment: number, offset: number): void {
    const { base, places } = this.chunkFor(seq);
    places[seq - base] = segment;
    places[OFFSETS + seq - base] = offset;
  }

  delete(seq: number): void {
    const position = this.position(seq);
    const chunk = this.chunks[position];
    if (chunk === undefined || this.at(seq) === undefined) return;
    const index = seq - chunk.base;
    chunk.places[index] = 0;
    this.bytes -= chunk.places[BYTES + index] as number;
    this.count--;
    if (--chunk.count === 0) this.chunks.splice(position, 1);
  }

  /** The lowest number above `seq` that waits. */
  following(seq: number): number | undefined {
    for (let position = Math.max(0, this.position(seq)); position < this.chunks.length; position++) {
      const { base, places } = this.chunks[position] as Chunk;
      for (let index = Math.max(0, seq + 1 - base); index < SPAN; index++) {
        if (places[index] !== 0) return base + index;
      }
    }
    return undefined;
  }

  /** All numbers, as ranges. */
  ranges(): Range[] {
    const ranges: { from: number; to: number }[] = [];
    for (const { base, places } of this.chunks) {
      for (let index = 0; index < SPAN; index++) {
        if (places[index] === 0) continue;
        const last = ranges.at(-1);
        if (last?.to === base + index - 1) last.to++;
        else ranges.push({ from: base + index, to: base + index });
      }
    }
    return ranges;
  }

  /** Takes up to `limit` numbers of records that have expired by `now` into `due`. Returns when the earliest expires. */
  expired(now: number, limit: number, due: number[]): number {
    let earliest = Infinity;
    for (const chunk of this.chunks) {
      if (chunk.earliest <= now && due.length < limit) scan(chunk, now, limit, due);
      earliest = Math.min(earliest, chunk.earliest);
    }
    return earliest;
  }

  /** The position of the last chunk that begins at or below `seq`; -1 if there is none. */
  private position(seq: number): number {
    let low = 0;
    let high = this.chunks.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.chunks[middle] as Chunk).base <= seq) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  private chunkFor(seq: number): Chunk {
    const base = seq - (seq % SPAN);
    const position = this.position(seq);
    const found = this.chunks[position];
    if (found?.base === base) return found;
    // One piece of memory, and few objects: they would survive, for which V8 would keep several times their size.
    const memory = new ArrayBuffer(SPAN * (8 + 3 * 4));
    const chunk: Chunk = {
      base,
      places: new Uint32Array(memory, SPAN * 8),
      expiries: new Float64Array(memory, 0, SPAN),
      count: 0,
      earliest: Infinity,
    };
    this.chunks.splice(position + 1, 0, chunk);
    return chunk;
  }
}

function scan(chunk: Chunk, now: number, limit: number, due: number[]): void {
  chunk.earliest = Infinity;
  for (let index = 0; index < SPAN; index++) {
    if (chunk.places[index] === 0) continue;
    const expiry = chunk.expiries[index] as number;
    chunk.earliest = Math.min(chunk.earliest, expiry);
    if (expiry <= now && due.length < limit) due.push(chunk.base + index);
  }
}

/** A seeded random generator: mulberry32. */
export class Random {
  constructor(seed) {
    this.state = seed | 0;
  }

  /** A whole number from 0 to below `limit`, which is at most 2^32. */
  below(limit) {
    this.state = (this.state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000) * limit);
  }

  pick(list) {
    return list[this.below(list.length)];
  }
}

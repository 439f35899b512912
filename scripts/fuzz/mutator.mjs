// Derives new inputs from old ones.
import { deflateSync } from 'node:zlib';

/** Boundary values of lengths and counts. */
const INTERESTING = [
  0, 1, 2, 3, 4, 7, 8, 9, 15, 16, 31, 32, 33, 63, 64, 100, 125, 126, 127, 128, 129, 254, 255, 256, 257, 1023,
  1024, 4095, 4096, 4097, 32_767, 32_768, 65_535, 65_536, 262_144, 262_145, 1_000_000, 16_777_215, 16_777_216,
  0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff,
];
/** Every tag of the external term format, including rejected and some undefined ones. */
const TAGS = [
  68, 69, 70, 77, 80, 82, 88, 89, 90, 97, 98, 99, 100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111,
  112, 113, 114, 115, 116, 117, 118, 119, 120, 121, 131,
];
/** Prefixes that nest the following term: a list, and tuples and maps of one element, with the key before or after. */
const NESTS = ['6c00000001', '6801', '6900000001', '7400000001', '74000000016a', '740000000161016a'].map(
  (hex) => Buffer.from(hex, 'hex'),
);
/** One compression takes as long as a hundred other mutations. */
const ONE_COMPRESSED_OF = 400;

export class Mutator {
  /** @param maxBytes the maximum size of an input. */
  constructor(random, dictionary, maxBytes) {
    this.random = random;
    this.dictionary = dictionary;
    this.maxBytes = maxBytes;
    this.bytes = Buffer.alloc(maxBytes);
    this.length = 0;
  }

  /** A mutated copy of one of `corpus`, which are `{ bytes, cost }`. It is valid until the next call. */
  next(corpus) {
    const { random } = this;
    const parent = this.pickCheap(corpus).bytes;
    this.length = Math.min(parent.length, this.maxBytes);
    parent.copy(this.bytes, 0, 0, this.length);
    // Usually one change, sometimes up to eight.
    let changes = 1 << random.below(4);
    if (random.below(2)) changes = 1;
    while (changes-- > 0) this.change(corpus);
    return this.bytes.subarray(0, this.length);
  }

  /** The cheapest of three inputs, to run fast: even a short compressed term may be expensive. */
  pickCheap(corpus) {
    let cheapest = this.random.pick(corpus);
    for (let others = 2; others > 0; others--) {
      const other = this.random.pick(corpus);
      if (other.cost < cheapest.cost) cheapest = other;
    }
    return cheapest;
  }

  change(corpus) {
    const { random, bytes, length } = this;
    const at = random.below(length + 1);
    const inside = at < length;
    switch (random.below(14)) {
      case 0:
        if (inside) bytes[at] ^= 1 << random.below(8);
        return;
      case 1:
        if (inside) bytes[at] = random.below(256);
        return;
      case 2:
        if (inside) bytes[at] += random.below(2) ? 1 : 255;
        return;
      case 3:
        if (inside) bytes[at] = random.pick(TAGS);
        return;
      case 4:
        return this.writeNumber(at);
      case 5:
        return this.remove(at, 1 + random.below(8));
      case 6:
        return this.remove(at, random.below(length + 1));
      case 7:
        return this.insert(at, random.pick(this.dictionary));
      case 8:
        return this.overwrite(at, random.pick(this.dictionary));
      case 9:
        return this.insert(at, part(random.pick(corpus).bytes, random));
      case 10:
        return this.overwrite(at, part(random.pick(corpus).bytes, random));
      case 11:
        return this.repeat(at);
      case 12:
        return this.insert(at, random.pick(NESTS));
      default:
        if (random.below(ONE_COMPRESSED_OF) === 0) this.compress();
    }
  }

  /** Writes a boundary value, or the correct length of the following bytes, in one, two or four bytes. */
  writeNumber(at) {
    const { random, bytes, length } = this;
    const size = 1 << random.below(3);
    if (at + size > length) return;
    const rest = length - at - size;
    const value = random.below(3) ? random.pick(INTERESTING) : rest - random.below(4);
    bytes.writeUIntBE(Math.max(0, value) % 2 ** (8 * size), at, size);
  }

  remove(at, count) {
    const { bytes, length } = this;
    const end = Math.min(length, at + count);
    bytes.copyWithin(at, end, length);
    this.length = length - (end - at);
  }

  insert(at, part) {
    const { bytes, length, maxBytes } = this;
    const count = Math.min(part.length, maxBytes - length);
    bytes.copyWithin(at + count, at, length);
    part.copy(bytes, at, 0, count);
    this.length = length + count;
  }

  overwrite(at, part) {
    const count = part.copy(this.bytes, at, 0, Math.min(part.length, this.maxBytes - at));
    this.length = Math.max(this.length, at + count);
  }

  /** Repeats the bytes at one position: duplicate keys, deep nesting, many elements. */
  repeat(at) {
    const { random, bytes, length } = this;
    const part = Buffer.from(bytes.subarray(at, Math.min(length, at + 1 + random.below(24))));
    for (let times = 1 << random.below(7); times > 0; times--) this.insert(at, part);
  }

  /** Compresses everything into one term, with a correct or wrong size. */
  compress() {
    const { random, length } = this;
    if (length < 2) return;
    const packed = deflateSync(this.bytes.subarray(1, length));
    const head = Buffer.from([131, 80, 0, 0, 0, 0]);
    head.writeUInt32BE(random.below(8) ? length - 1 : random.pick(INTERESTING), 2);
    this.length = 0;
    this.insert(0, Buffer.concat([head, packed]));
  }
}

function part(bytes, random) {
  const start = random.below(bytes.length + 1);
  return bytes.subarray(start, start + 1 + random.below(64));
}

import { BINARY } from './tags.js';

/** Keys of one map that are remembered, and how long each may be. */
const MAX_KEYS = 32;
const MAX_KEY_BYTES = 64;
const MAX_SHAPES = 4096;
/** The tag of a text and its length. */
const HEAD_BYTES = 5;

/**
 * The keys of the maps read lately, as a tree of what came after what. Messages repeat their keys in the same
 * order, so the bytes ahead are compared with the key that came next the last time: where they are the same, its
 * string is there already and is known to be no duplicate.
 */
export class Shape {
  /** The key that came next the last time. */
  next: Shape | undefined = undefined;
  private others: Map<string, Shape> | undefined = undefined;
  private readonly textLength: number;
  /** The first four bytes of the text, if there are as many, and the last four: all of most keys. */
  private readonly firstWord: number;
  private readonly lastWord: number = 0;

  constructor(
    /** As the engine keeps the names of properties, which saves it from looking them up with each use. */
    readonly key: string,
    /** The key as it stands on the wire, tag and all. */
    readonly bytes: Uint8Array,
    private readonly level: number,
    private readonly tree: ShapeTree,
  ) {
    this.textLength = bytes[0] === BINARY ? bytes.length - HEAD_BYTES : -1;
    this.firstWord =
      this.textLength < 4 ? readUpTo3(bytes, HEAD_BYTES, this.textLength) : readUint32(bytes, HEAD_BYTES);
    if (this.textLength >= 4) this.lastWord = readUint32(bytes, bytes.length - 4);
  }

  /** Whether this key is what stands at `at`. */
  isAt(at: number, buffer: Uint8Array): boolean {
    const { textLength, bytes } = this;
    const text = at + HEAD_BYTES;
    const end = at + bytes.length;
    if (end > buffer.length) return false;
    if (textLength < 0) return this.isSame(at, buffer);
    // Written out, and by fours: what is read of the other side then is a number, and most of a loop is gone.
    if (buffer[at + 4] !== textLength || buffer[at] !== BINARY) return false;
    if ((buffer[at + 1]! | buffer[at + 2]! | buffer[at + 3]!) !== 0) return false;
    if (textLength < 4) return readUpTo3(buffer, text, textLength) === this.firstWord;
    if (readUint32(buffer, text) !== this.firstWord || readUint32(buffer, end - 4) !== this.lastWord)
      return false;
    for (let index = HEAD_BYTES + 4; index < bytes.length - 4; index++) {
      if (bytes[index] !== buffer[at + index]) return false;
    }
    return true;
  }

  private isSame(at: number, buffer: Uint8Array): boolean {
    const { bytes } = this;
    for (let index = bytes.length - 1; index >= 0; index--) {
      if (bytes[index] !== buffer[at + index]) return false;
    }
    return true;
  }

  /** The remembered shape that `key`, which stands from `start` to `end`, makes of this one. */
  after(key: string, buffer: Uint8Array, start: number, end: number): Shape | undefined {
    const known = this.others?.get(key);
    return known?.bytes.length === end - start && known.isSame(start, buffer)
      ? (this.next = known)
      : undefined;
  }

  /** Remembers a key, which is none of this shape, after it. Undefined if it is better not remembered. */
  grow(key: string, buffer: Uint8Array, start: number, end: number): Shape | undefined {
    if (this.level === MAX_KEYS || end - start > MAX_KEY_BYTES || key === '__proto__') return undefined;
    // A key that is known in another spelling is remembered in the later one.
    const shape = new Shape(
      asProperty(key),
      new Uint8Array(buffer.subarray(start, end)),
      this.level + 1,
      this.tree,
    );
    (this.others ??= new Map<string, Shape>()).set(key, shape);
    this.tree.grow();
    return (this.next = shape);
  }
}

/** A tree of bounded size: a peer that sends many new keys only causes a reset. */
export class ShapeTree {
  /** Where no key has been read yet. */
  root = this.begin();
  private size = 0;

  grow(): void {
    if (++this.size < MAX_SHAPES) return;
    this.root = this.begin();
    this.size = 0;
  }

  private begin(): Shape {
    return new Shape('', new Uint8Array(0), 0, this);
  }
}

/** Up to three bytes as a number. */
function readUpTo3(b: Uint8Array, at: number, length: number): number {
  let value = 0;
  for (let index = 0; index < length; index++) value = (value << 8) | b[at + index]!;
  return value;
}

/** Four bytes as a number. */
function readUint32(b: Uint8Array, at: number): number {
  return (b[at]! << 24) | (b[at + 1]! << 16) | (b[at + 2]! << 8) | b[at + 3]!;
}

function asProperty(key: string): string {
  const [name = key] = Object.keys({ [key]: 0 });
  return name;
}

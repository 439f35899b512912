/**
 * The keys of the maps read lately, as a tree of what came after what. Messages repeat their keys in the same
 * order, so the bytes ahead are compared with the key that came next the last time: where they are the same, its
 * string is there already and is known to be no duplicate. A peer that sends ever new keys only makes the tree be
 * begun anew.
 */
export class Shape {
  /** The key that came next the last time. */
  next: Shape | undefined = undefined;
  private readonly others = new Map<string, Shape>();

  private constructor(
    /** As property names are kept by the engine, which saves looking it up with each use. */
    readonly key: string,
    /** The key as it stands on the wire, tag and all. */
    public bytes: Uint8Array,
    private readonly before: Shape | undefined,
    private readonly level: number,
    private readonly tree: ShapeTree,
  ) {}

  /** Where no key has been read yet. */
  static root(tree: ShapeTree): Shape {
    return new Shape('', new Uint8Array(0), undefined, 0, tree);
  }

  /** Whether this key is what stands at `at`. From its end, since keys differ there more than in their lengths. */
  isAt(at: number, buffer: Uint8Array): boolean {
    const { bytes } = this;
    const { length } = bytes;
    if (at + length > buffer.length) return false;
    for (let index = length - 1; index >= 0; index--) {
      if (bytes[index] !== buffer[at + index]) return false;
    }
    return true;
  }

  /**
   * The shape that `key`, which stands at `start` to `end`, makes of this one.
   * @returns `duplicate` if it has the key already, undefined if it is better not remembered.
   */
  with(key: string, buffer: Uint8Array, start: number, end: number): Shape | 'duplicate' | undefined {
    let shape = this.others.get(key);
    if (shape === undefined) {
      for (let each: Shape | undefined = this; each.before !== undefined; each = each.before) {
        if (each.key === key) return 'duplicate';
      }
      if (this.level === MAX_KEYS || end - start > MAX_KEY_BYTES || key === '__proto__') return undefined;
      shape = new Shape(
        Object.keys({ [key]: 0 })[0]!,
        Uint8Array.prototype.slice.call(buffer, start, end),
        this,
        this.level + 1,
        this.tree,
      );
      this.others.set(key, shape);
      this.tree.grown();
    } else if (!shape.isAt(start, buffer)) {
      // The same key in another spelling: a peer keeps to its own.
      shape.bytes = Uint8Array.prototype.slice.call(buffer, start, end);
    }
    this.next = shape;
    return shape;
  }
}

/** Keys of one map that are remembered. */
const MAX_KEYS = 32;
const MAX_KEY_BYTES = 64;
const MAX_SHAPES = 4096;

/** A tree of bounded size. */
export class ShapeTree {
  root = Shape.root(this);
  private size = 0;

  grown(): void {
    if (++this.size < MAX_SHAPES) return;
    this.root = Shape.root(this);
    this.size = 0;
  }
}

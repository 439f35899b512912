import { canonical } from './canonical.js';
import { Atom, type Term } from './term.js';

/**
 * The keys of a Map that is being read, each as often as Erlang tells them apart. What the Map itself tells apart is
 * looked up there; of other keys the canonical text is kept.
 */
export class KeySet {
  private texts: Set<string> | undefined = undefined;
  /** A string may be there as marked bytes too: from the first bytes on, strings are kept as texts as well. */
  private hasBytes = false;

  /** @param entries the Map, whose keys are all strings or all atoms. The caller adds each key to it. */
  constructor(private readonly entries: ReadonlyMap<Term, Term>) {}

  /**
   * What it takes to add a key of `bytes` bytes, in elements. An engine hashes numbers in a way that everybody
   * knows: a peer can choose keys of which each is compared with all before it. Of other keys all is looked at once
   * more.
   */
  cost(key: Term, bytes: number): number {
    if (typeof key === 'number') return this.entries.size >> 5;
    if (typeof key === 'bigint') return (this.entries.size * (8 + (bytes >> 3))) >> 6;
    return this.isInMap(key) ? 0 : bytes;
  }

  /** Adds a key, or returns false if it is there. */
  add(key: Term): boolean {
    if (key instanceof Uint8Array && !this.hasBytes) this.keepStrings();
    if (this.isInMap(key)) return !this.entries.has(key);
    return this.addText(key);
  }

  private addText(key: Term): boolean {
    const texts = (this.texts ??= new Set());
    const { size } = texts;
    return texts.add(canonical(key)).size > size;
  }

  private keepStrings(): void {
    this.hasBytes = true;
    for (const key of this.entries.keys()) if (typeof key === 'string') this.addText(key);
  }

  /** Whether the Map tells a key from others as Erlang does. */
  private isInMap(key: Term): boolean {
    if (typeof key === 'string') return !this.hasBytes;
    return typeof key !== 'object' || key === null || key instanceof Atom;
  }
}

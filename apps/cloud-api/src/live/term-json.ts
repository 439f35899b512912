import { Atom, BitString, Float, ImproperList, Pid, Reference, type Term } from '@fedecks/nest/wire';

/** What JSON can say. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** Stands for what is left out. */
const MORE = '...';
/** Decimal text of a large integer takes time by the square of its length. */
const MAX_DECIMAL = 2n ** 128n;

/**
 * A term as JSON, for people and browsers to look at; it cannot be turned back. Tuples become arrays, atoms their
 * names, dates ISO 8601, integers too large for JSON strings (hexadecimal from 128 bits on), bytes and opaque terms
 * `{ "bytes": "<Base64>" }`, and maps with other keys than strings arrays of their entries.
 *
 * @param room how much of the term is shown: each value, each character and each byte takes one. `...` stands for
 * what does not fit, so that what a device sends costs no more than that.
 */
export function toJson(term: Term, room = 16_384): Json {
  return new TermView(room).show(term);
}

class TermView {
  constructor(private room: number) {}

  show(term: Term): Json {
    this.room--;
    if (typeof term === 'string') return this.text(term);
    if (typeof term === 'bigint') return this.text(integer(term));
    if (typeof term !== 'object' || term === null) return term;
    if (term instanceof Atom) return this.text(term.name);
    if (term instanceof Float) return term.value;
    if (term instanceof Date) return term.toISOString();
    if (term instanceof Uint8Array) return this.bytes(term);
    if (term instanceof BitString) return { ...this.bytes(term.bytes), bits: term.bits };
    if (term instanceof ImproperList)
      return { elements: this.list(term.elements), tail: this.room > 0 ? this.show(term.tail) : MORE };
    if (Array.isArray(term)) return this.list(term as readonly Term[]);
    if (term instanceof Map) return this.list(term as ReadonlyMap<Term, Term>);
    if (term instanceof Pid || term instanceof Reference) return this.bytes(term.bytes);
    return this.fields(term as Readonly<Record<string, Term | undefined>>);
  }

  /** The entries of a map are lists of two. */
  private list(terms: Iterable<Term>): Json[] {
    const shown: Json[] = [];
    for (const term of terms) {
      if (this.room <= 0) {
        shown.push(MORE);
        break;
      }
      shown.push(this.show(term));
    }
    return shown;
  }

  private fields(map: Readonly<Record<string, Term | undefined>>): Json {
    const shown: [string, Json][] = [];
    for (const key of Object.keys(map)) {
      if (this.room <= 0) {
        shown.push([MORE, MORE]);
        break;
      }
      shown.push([this.text(key), this.show(map[key] ?? null)]);
    }
    return Object.fromEntries(shown);
  }

  private text(text: string): string {
    const { room } = this;
    this.room -= text.length;
    return text.length <= room ? text : text.slice(0, Math.max(0, room)) + MORE;
  }

  private bytes({ buffer, byteOffset, byteLength }: Uint8Array): { bytes: string } {
    const shown = Math.min(byteLength, Math.max(0, this.room));
    this.room -= byteLength;
    const base64 = Buffer.from(buffer, byteOffset, shown).toString('base64');
    return { bytes: shown < byteLength ? base64 + MORE : base64 };
  }
}

function integer(value: bigint): string {
  if (value > -MAX_DECIMAL && value < MAX_DECIMAL) return value.toString();
  return value < 0n ? `-0x${(-value).toString(16)}` : `0x${value.toString(16)}`;
}

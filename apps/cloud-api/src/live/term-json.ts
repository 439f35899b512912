import { Atom, BitString, Float, ImproperList, Pid, Reference, type Term } from '@fedecks/nest/wire';

/** What JSON can say. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/**
 * A term as JSON, for people and browsers to look at; it cannot be turned back. Tuples become arrays, atoms their
 * names, dates ISO 8601, integers too large for JSON strings, bytes and opaque terms `{ "bytes": "<Base64>" }`, and
 * maps with other keys than strings arrays of their entries.
 */
export function toJson(term: Term): Json {
  if (typeof term === 'bigint') return term.toString();
  if (typeof term !== 'object' || term === null) return term;
  if (term instanceof Atom) return term.name;
  if (term instanceof Float) return term.value;
  if (term instanceof Date) return term.toISOString();
  if (term instanceof Uint8Array) return bytes(term);
  if (term instanceof BitString) return { ...bytes(term.bytes), bits: term.bits };
  if (term instanceof ImproperList)
    return { elements: Array.from(term.elements, toJson), tail: toJson(term.tail) };
  if (Array.isArray(term)) return Array.from(term as readonly Term[], toJson);
  if (term instanceof Map) {
    const entries: ReadonlyMap<Term, Term> = term;
    return Array.from(entries, ([key, value]) => [toJson(key), toJson(value)]);
  }
  if (term instanceof Pid || term instanceof Reference) return bytes(term.bytes);
  const fields = term as Readonly<Record<string, Term | undefined>>;
  return Object.fromEntries(Object.entries(fields).map(([key, value]) => [key, toJson(value ?? null)]));
}

function bytes(value: Uint8Array): { bytes: string } {
  return { bytes: Buffer.from(value).toString('base64') };
}

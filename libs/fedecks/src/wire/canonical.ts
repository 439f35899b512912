import { Atom, BitString, Float, ImproperList, Opaque, type Term, Tuple } from './term.js';

/**
 * A string that is the same for two keys Erlang takes for one: what it compares is the value, however it was
 * spelt, with the entries of a map in any order, and with 0.0 and -0.0 alike. Linear in the size of the key but
 * for the sorting of maps, and as deep as reading allowed it to be.
 */
export function canonical(key: Term | undefined): string {
  if (typeof key === 'string') return text('b', Buffer.from(key).toString('latin1'));
  if (typeof key === 'number')
    return Number.isSafeInteger(key) && !Object.is(key, -0) ? `i${key.toString(16)};` : `f${key};`;
  // In hexadecimal: the decimal digits of a long number take long to find.
  if (typeof key === 'bigint') return `i${key.toString(16)};`;
  if (typeof key !== 'object' || key === null) return text('a', String(key ?? 'nil'));
  if (key instanceof Float) return `f${key.value};`;
  if (key instanceof Atom) return text('a', key.name);
  if (key instanceof Uint8Array)
    return text('b', Buffer.from(key.buffer, key.byteOffset, key.length).toString('latin1'));
  if (key instanceof BitString) return `${key.bits}${canonical(key.bytes)}`;
  if (key instanceof ImproperList) return `[${key.elements.map(canonical).join('')}|${canonical(key.tail)}]`;
  if (key instanceof Opaque) return `o${canonical(key.bytes)}`;
  if (key instanceof Date) return `d${key.getTime()};`;
  if (Array.isArray(key)) {
    const elements = (key as readonly Term[]).map(canonical).join('');
    return key instanceof Tuple ? `{${elements}}` : `[${elements}]`;
  }
  const pairs =
    key instanceof Map
      ? [...(key as ReadonlyMap<Term, Term>)].map(([name, value]) => canonical(name) + canonical(value))
      : Object.entries(key as Readonly<Record<string, Term | undefined>>)
          .filter(([, value]) => value !== undefined)
          .map(([name, value]) => canonical(name) + canonical(value));
  return `%{${pairs.sort().join('')}}`;
}

/** With its length, so that no text can look like the end of another. */
function text(kind: string, value: string): string {
  return `${kind}${value.length}:${value}`;
}

import {
  kindOf,
  type BitString,
  type Float,
  type Atom,
  type ImproperList,
  type Opaque,
  type Term,
} from './term.js';

/** What has been written of the key. One text that grows, and no list of parts to join: half of the time. */
let text = '';

/**
 * A string that is equal for keys that Erlang treats as equal: it compares values independent of their
 * spelt, with the entries of a map in any order, and with 0.0 and -0.0 alike. Linear in the size of the key but
 * for the sorting of maps, and as deep as reading allowed it to be.
 */
export function canonical(key: Term): string {
  text = '';
  write(key);
  const whole = text;
  text = '';
  return whole;
}

function write(key: Term | undefined): void {
  switch (typeof key) {
    case 'string':
      return writeText('b', Buffer.from(key).toString('latin1'));
    case 'number':
      text += Number.isSafeInteger(key) && !Object.is(key, -0) ? `i${key.toString(16)};` : `f${key};`;
      return;
    case 'bigint':
      // In hexadecimal: the decimal digits of a long number take long to find.
      text += `i${key.toString(16)};`;
      return;
    case 'object':
      if (key !== null) return writeObject(key);
  }
  writeText('a', String(key ?? 'nil'));
}

/** With its length, so that no text can look like the end of another. */
function writeText(kind: string, value: string): void {
  text += `${kind}${value.length}:`;
  text += value;
}

function writeObject(key: Term & object): void {
  switch (kindOf(key)) {
    case 'float':
      text += `f${(key as Float).value};`;
      return;
    case 'atom':
      return writeText('a', (key as Atom).name);
    case 'bit-string':
      text += String((key as BitString).bits);
      return write((key as BitString).bytes);
    case 'improper-list':
      text += '<';
      writeAll((key as ImproperList).elements);
      text += '|';
      write((key as ImproperList).tail);
      text += '>';
      return;
    case 'pid':
    case 'reference':
      text += 'o';
      return write((key as Opaque).bytes);
    case 'tuple':
      text += '{';
      writeAll(key as readonly Term[]);
      text += '}';
      return;
  }
  if (key instanceof Uint8Array)
    return writeText('b', Buffer.from(key.buffer, key.byteOffset, key.length).toString('latin1'));
  if (key instanceof Date) {
    text += `d${key.getTime()};`;
    return;
  }
  if (Array.isArray(key)) {
    text += '[';
    writeAll(key as readonly Term[]);
    text += ']';
    return;
  }
  writePairs(
    key instanceof Map
      ? (key as ReadonlyMap<Term, Term>)
      : Object.entries(key as Readonly<Record<string, Term | undefined>>).filter(
          ([, value]) => value !== undefined,
        ),
  );
}

function writeAll(elements: readonly Term[]): void {
  for (const element of elements) write(element);
}

function writePairs(entries: Iterable<readonly [Term, Term | undefined]>): void {
  const before = text;
  const pairs: string[] = [];
  for (const [name, value] of entries) {
    text = '';
    write(name);
    write(value);
    pairs.push(text);
  }
  text = `${before}%{${pairs.sort().join('')}}`;
}

import { isUtf8 } from 'node:buffer';
import { Atom, BitString, Float, ImproperList, Pid, Reference, type Term, Tuple } from '../wire/internal.js';
import { atomKey, atomLiteral, escapeText, isPrintable } from './elixir-names.js';
import { identifierOf } from './elixir-identifiers.js';

/** Decimal conversion takes quadratic time. */
const MAX_DECIMAL = 2n ** 16_384n;

/**
 * A term in Elixir's notation on one line, as
 * `inspect(term, limit: :infinity, structs: false, charlists: :as_lists)` prints it.
 * @param term as `decodeTerm(bytes, { maps: 'map', binaries: 'bytes' })` returns it: other options lose distinctions that
 *   Elixir makes.
 */
export function toElixir(term: Term): string {
  const parts: string[] = [];
  write(term, parts);
  return parts.join('');
}

function write(term: Term, to: string[]): void {
  if (typeof term === 'string') return void to.push(`"${escapeText(term)}"`);
  if (typeof term === 'bigint') return void to.push(integer(term));
  if (typeof term === 'number') return void to.push(Number.isSafeInteger(term) ? String(term) : float(term));
  if (typeof term !== 'object' || term === null) return void to.push(term === null ? 'nil' : String(term));
  if (term instanceof Atom) return void to.push(atomLiteral(term.name));
  if (term instanceof Float) return void to.push(float(term.value));
  if (term instanceof Uint8Array) return void to.push(binary(term));
  if (term instanceof BitString) return void to.push(bitString(term));
  if (term instanceof Pid) return void to.push(`#PID<${identifierOf(term.bytes)}>`);
  if (term instanceof Reference) return void to.push(`#Reference<${identifierOf(term.bytes)}>`);
  if (term instanceof Tuple) return writeAll('{', term, '}', to);
  if (term instanceof ImproperList) {
    writeAll('[', term.elements, ' | ', to);
    write(term.tail, to);
    return void to.push(']');
  }
  if (term instanceof Map) return writeMap(term as ReadonlyMap<Term, Term>, to);
  if (Array.isArray(term)) return writeList(term as readonly Term[], to);
  throw new TypeError("toElixir() needs a term decoded with { maps: 'map', binaries: 'bytes' }");
}

function writeAll(open: string, terms: readonly Term[], close: string, to: string[]): void {
  to.push(open);
  terms.forEach((term, index) => {
    if (index > 0) to.push(', ');
    write(term, to);
  });
  to.push(close);
}

function writeList(terms: readonly Term[], to: string[]): void {
  const pairs = terms.map((term) => (term instanceof Tuple && term.length === 2 ? term : undefined));
  if (terms.length === 0 || !pairs.every((pair) => isKeyword(pair?.[0])))
    return writeAll('[', terms, ']', to);
  writeEntries('[', pairs as unknown as readonly (readonly [Term, Term])[], true, ']', to);
}

function writeMap(map: ReadonlyMap<Term, Term>, to: string[]): void {
  writeEntries('%{', [...map], [...map.keys()].every(isKeyword), '}', to);
}

function writeEntries(
  open: string,
  entries: readonly (readonly [Term, Term])[],
  asKeywords: boolean,
  close: string,
  to: string[],
): void {
  to.push(open);
  entries.forEach(([key, value], index) => {
    if (index > 0) to.push(', ');
    if (asKeywords) to.push(atomKey(nameOfAtom(key) ?? ''), ' ');
    else {
      write(key, to);
      to.push(' => ');
    }
    write(value, to);
  });
  to.push(close);
}

/** Elixir does not write a module as a keyword: `[String: 1]`. */
function isKeyword(key: Term | undefined): boolean {
  const name = nameOfAtom(key);
  return name !== undefined && !name.startsWith('Elixir.');
}

/** `true`, `false` and `nil` are atoms, too. */
function nameOfAtom(term: Term | undefined): string | undefined {
  if (term === null) return 'nil';
  if (typeof term === 'boolean') return String(term);
  return term instanceof Atom ? term.name : undefined;
}

function integer(value: bigint): string {
  if (value > -MAX_DECIMAL && value < MAX_DECIMAL) return value.toString();
  return value < 0n ? `-0x${(-value).toString(16)}` : `0x${value.toString(16)}`;
}

/** The shortest digits that read back as the same float, in Erlang's notation. */
function float(value: number): string {
  const sign = value < 0 || Object.is(value, -0) ? '-' : '';
  const [mantissa = '', exponent = ''] = Math.abs(value).toExponential().split('e');
  const digits = mantissa.replace('.', '');
  // The power of ten, with the point before the first digit.
  const place = value === 0 ? 1 : Number(exponent) + 1;
  const scientific = `${digits[0]}.${digits.slice(1) || '0'}e${place - 1}`;
  // Beyond 2^53 not every integer is a float, and zeros would look exact.
  if (Math.abs(value) > 2 ** 53) return sign + scientific;
  return sign + withPoint(digits, place, scientific);
}

/** Erlang writes zeros instead of an exponent if that is not longer. */
function withPoint(digits: string, place: number, scientific: string): string {
  if (place > 0 && place < digits.length) return `${digits.slice(0, place)}.${digits.slice(place)}`;
  const plain =
    place <= 0
      ? `0.${'0'.repeat(Math.min(-place, 400))}${digits}`
      : `${digits}${'0'.repeat(place - digits.length)}.0`;
  return plain.length <= scientific.length ? plain : scientific;
}

function binary(bytes: Uint8Array): string {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const text = isUtf8(buffer) ? buffer.toString() : undefined;
  return text !== undefined && isPrintable(text) ? `"${escapeText(text)}"` : `<<${[...bytes].join(', ')}>>`;
}

function bitString({ bytes, bits }: BitString): string {
  const last = (bytes.at(-1) ?? 0) >> (8 - bits);
  return `<<${[...bytes.subarray(0, -1), `${last}::size(${bits})`].join(', ')}>>`;
}

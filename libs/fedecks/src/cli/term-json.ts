import {
  atom,
  Atom,
  BitString,
  decodeTerm,
  float,
  Float,
  ImproperList,
  Pid,
  Reference,
  type Term,
  Tuple,
} from '../wire/internal.js';

/*
 * The notation of terms in JSON. It shows the JavaScript value that a handler receives. JSON types represent themselves.
 * Every other type is an object with one key, which begins with `$`:
 *
 *   {"$atom":"ok"}                  an atom; true, false and null represent themselves
 *   {"$tuple":["fan",{"on":true}]}  a tuple
 *   {"$bytes":"AQID"}               bytes, in Base64
 *   {"$integer":"9007199254740993"} an integer beyond 2^53
 *   {"$float":1}                    a float that is a whole number, printed in this form beyond 2^53; -0 is {"$float":"-0"}
 *   {"$date":"2026-01-31T12:00:00.000Z"}   a DateTime in UTC
 *   {"$map":[[1,"one"]]}            a map with keys that are not strings, or that begin with `$`
 *   {"$bits":["oA==",3]}            a bit string whose last byte has 3 bits
 *   {"$improper":[1,2,"tail"]}      an improper list, its tail last
 *   {"$pid":"..."}, {"$reference":"..."}   a pid or reference of Erlang, in Base64
 */

/** A JSON value. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** The same as for terms. */
const MAX_DEPTH = 256;
/** Parsing longer decimal text is slow. */
const MAX_DECIMAL_CHARACTERS = 20_000;

const INTEGER = /^-?(\d+|0x[\da-f]+)$/i;
const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;
/** In UTC: a text without an offset would be in the time zone of this machine. */
const DATE = /^((?:\d{4}|[+-]\d{6})-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d{1,3})?Z$/;
const VERSION = 131;

/** JSON that does not represent a term. */
export class NotationError extends Error {
  /** @param path as of `TermEncodeError`: `$.readings[3]`. */
  constructor(path: string, problem: string) {
    super(`${path} ${problem}`);
  }
}

/** Writes a term, as the library decodes it, in the notation above. */
export function toJson(term: Term): Json {
  if (typeof term === 'number') return isFloatOnly(term) ? toJson(float(term)) : term;
  if (typeof term === 'bigint') return { $integer: integerText(term) };
  if (typeof term !== 'object' || term === null) return term;
  if (term instanceof Atom) return { $atom: term.name };
  if (term instanceof Float) return { $float: Object.is(term.value, -0) ? '-0' : term.value };
  if (term instanceof Date) return { $date: term.toISOString() };
  if (term instanceof Uint8Array) return { $bytes: base64(term) };
  if (term instanceof BitString) return { $bits: [base64(term.bytes), term.bits] };
  if (term instanceof ImproperList) return { $improper: [...term.elements, term.tail].map(toJson) };
  if (term instanceof Pid) return { $pid: base64(term.bytes) };
  if (term instanceof Reference) return { $reference: base64(term.bytes) };
  if (term instanceof Tuple) return { $tuple: Array.from(term, toJson) };
  if (Array.isArray(term)) return Array.from(term as readonly Term[], toJson);
  if (term instanceof Map) return mapToJson(term as ReadonlyMap<Term, Term>);
  const entries = Object.entries(term as Readonly<Record<string, Term>>);
  if (entries.some(([key]) => key.startsWith('$'))) return mapToJson(new Map<Term, Term>(entries));
  return Object.fromEntries(entries.map(([key, value]) => [key, toJson(value)]));
}

function mapToJson(map: ReadonlyMap<Term, Term>): Json {
  return { $map: Array.from(map, ([key, value]) => [toJson(key), toJson(value)]) };
}

/**
 * Reads a term from the notation above.
 * @throws {NotationError} with the path of the problem.
 */
export function fromJson(json: Json, path = '$', depth = 0): Term {
  if (depth > MAX_DEPTH) throw new NotationError('$', `is nested more than ${MAX_DEPTH} levels deep`);
  if (typeof json === 'number') return checkedNumber(json, path);
  if (typeof json !== 'object' || json === null) return json;
  if (Array.isArray(json)) return list(json as readonly Json[], path, depth);
  const entries = Object.entries(json as Readonly<Record<string, Json>>);
  const [tag] = entries.find(([key]) => key.startsWith('$')) ?? [];
  if (tag === undefined) {
    return Object.fromEntries(
      entries.map(([key, value]) => [key, fromJson(value, step(path, key), depth + 1)]),
    );
  }
  const read = Object.hasOwn(READERS, tag) ? READERS[tag] : undefined;
  if (read === undefined || entries.length > 1) {
    const known = Object.keys(READERS).join(', ');
    throw new NotationError(
      step(path, tag),
      `is a reserved key: it must be the only key of its object, and one of ${known}. ` +
        'Write a map with a key that begins with $ as {"$map":[["$key","value"]]}',
    );
  }
  return read((json as Readonly<Record<string, Json>>)[tag] ?? null, step(path, tag), depth);
}

type Reader = (value: Json, path: string, depth: number) => Term;

const READERS: Readonly<Record<string, Reader>> = {
  $atom: (value, path) => atom(text(value, path, 'the name of the atom')),
  $tuple: (value, path, depth) => Tuple.from(list(elements(value, path), path, depth)),
  $bytes: (value, path) => bytes(value, path),
  $integer: integer,
  $float: floatOf,
  $date: date,
  $map: map,
  $bits: bits,
  $improper: improper,
  $pid: (value, path) => opaque(value, path, Pid),
  $reference: (value, path) => opaque(value, path, Reference),
};

function list(values: readonly Json[], path: string, depth: number): Term[] {
  return values.map((value, index) => fromJson(value, `${path}[${index}]`, depth + 1));
}

function elements(value: Json, path: string): readonly Json[] {
  if (Array.isArray(value)) return value as readonly Json[];
  throw new NotationError(path, 'must be a list');
}

function text(value: Json, path: string, what: string): string {
  if (typeof value === 'string') return value;
  throw new NotationError(path, `must be ${what}, in quotes`);
}

/** `JSON.parse` has already rounded a larger integer. */
function checkedNumber(value: number, path: string): number {
  if (!isUnsafeInteger(value)) return value;
  throw new NotationError(
    path,
    'is beyond 2^53, where JSON numbers are not exact: write {"$integer":"..."}, or {"$float":...} for a float',
  );
}

function integer(value: Json, path: string): bigint {
  const digits = text(value, path, 'an integer');
  const isQuick = /^-?0x/i.test(digits) || digits.length <= MAX_DECIMAL_CHARACTERS;
  if (!isQuick || !INTEGER.test(digits))
    throw new NotationError(
      path,
      `must be an integer of at most ${MAX_DECIMAL_CHARACTERS} characters, or in hexadecimal (0x...)`,
    );
  return digits.startsWith('-') ? -BigInt(digits.slice(1)) : BigInt(digits);
}

function floatOf(value: Json, path: string): Float {
  if (typeof value === 'number') return float(value);
  if (value === '-0') return float(-0);
  throw new NotationError(path, 'must be a number, or "-0"');
}

function date(value: Json, path: string): Date {
  const written = text(value, path, 'a date');
  const [, seconds] = DATE.exec(written) ?? [];
  const read = new Date(written);
  // JavaScript reads 30 February as 2 March.
  const isDay = !Number.isNaN(read.getTime()) && read.toISOString().startsWith(seconds ?? ' ');
  if (!isDay) throw new NotationError(path, 'must be a date in UTC like 2026-01-31T12:00:00.000Z');
  return read;
}

function map(value: Json, path: string, depth: number): ReadonlyMap<Term, Term> {
  return new Map(
    elements(value, path).map((entry, index) => {
      const [key, item, ...more] = list(elements(entry, `${path}[${index}]`), `${path}[${index}]`, depth + 1);
      if (key === undefined || item === undefined || more.length > 0)
        throw new NotationError(`${path}[${index}]`, 'must be a list of two elements, key and value');
      return [key, item] as const;
    }),
  );
}

function bytes(value: Json, path: string): Uint8Array {
  const encoded = text(value, path, 'bytes in Base64');
  if (encoded.length % 4 !== 0 || !BASE64.test(encoded))
    throw new NotationError(path, 'must be bytes in Base64, with padding');
  return new Uint8Array(Buffer.from(encoded, 'base64'));
}

function bits(value: Json, path: string): BitString {
  const [encoded = null, count, ...more] = elements(value, path);
  const read = bytes(encoded, `${path}[0]`);
  const isCount = typeof count === 'number' && Number.isInteger(count) && count >= 1 && count <= 7;
  if (!isCount || read.length === 0 || more.length > 0)
    throw new NotationError(
      path,
      'must be bytes in Base64, and the number of bits in the last byte, from 1 to 7',
    );
  return new BitString(read, count);
}

function improper(value: Json, path: string, depth: number): ImproperList {
  const terms = list(elements(value, path), path, depth);
  const tail = terms.pop();
  if (tail === undefined || terms.length === 0 || (Array.isArray(tail) && !(tail instanceof Tuple)))
    throw new NotationError(path, 'must be at least one element, and a tail that is not a list');
  return new ImproperList(terms, tail);
}

function opaque(value: Json, path: string, type: typeof Pid | typeof Reference): Term {
  const read = bytes(value, path);
  try {
    const term = decodeTerm(Buffer.concat([Buffer.of(VERSION), read]));
    if (term instanceof type && term.bytes.length === read.length) return term;
  } catch {
    // Reported below.
  }
  throw new NotationError(path, `does not contain the bytes of a ${type.name.toLowerCase()}`);
}

/** Numbers that plain JSON would not read back as the same term. */
function isFloatOnly(value: number): boolean {
  return Object.is(value, -0) || isUnsafeInteger(value);
}

function isUnsafeInteger(value: number): boolean {
  return Number.isInteger(value) && !Number.isSafeInteger(value);
}

function integerText(value: bigint): string {
  const hex = value < 0n ? `-0x${(-value).toString(16)}` : `0x${value.toString(16)}`;
  // Decimal conversion takes quadratic time.
  return hex.length > 4096 ? hex : value.toString();
}

function base64(value: Uint8Array): string {
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64');
}

/** How JavaScript would reach a property; long keys are cut. */
function step(path: string, key: string): string {
  const shown = key.length > 64 ? `${key.slice(0, 64)}...` : key;
  return /^[A-Za-z_$][\w$]*$/.test(shown) ? `${path}.${shown}` : `${path}[${JSON.stringify(shown)}]`;
}

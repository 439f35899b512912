import { types } from 'node:util';
import { canonical } from './canonical.js';
import { dateTimeOf } from './date-time.js';
import { LARGEST_MAX_DEPTH } from './decode.js';
import { TermEncodeError } from './errors.js';
import { isTooDeep, type Key, nameOf, nestingError, pathOf, TooDeep } from './path.js';
import { begin, finish, out, putAside, room, start, TooLarge, view } from './slab.js';
import * as tag from './tags.js';
import {
  Atom,
  type BitString,
  type Float,
  type ImproperList,
  kindOf,
  type Opaque,
  type Sendable,
  type Term,
  Tuple,
} from './term.js';
import { whyNoTerm } from './unsupported.js';

/** The limits of writing. */
export interface EncodeOptions {
  /** How deep lists, tuples and maps may be nested, from 1 to 5,000. @default 256 */
  readonly maxDepth?: number;
  /** The most bytes a term may take. @default 64 MiB */
  readonly maxBytes?: number;
}

const DEFAULT_MAX_DEPTH = 256;
const DEFAULT_MAX_BYTES = 64 * 1024 * 1024;
const MAX_STRING_EXT = 65_535;
/** The most holes an array may have. They are written one by one, and an index may be a time in seconds. */
const MAX_HOLES = 65_536;
/** Up to this many bytes are written in JavaScript: a call into Node costs more. */
const SHORT_BYTES = 32;
/** Text longer than this is not given room for three bytes a character. */
const LONG_TEXT = 1024;

let writing = false;
let maxDepth = DEFAULT_MAX_DEPTH;
let maxBytes = DEFAULT_MAX_BYTES;
/** The key or index being written at each depth: what is said of a value that cannot be. */
let path: Key[] = [];

/**
 * Writes a term (PROTOCOL.md §4). The bytes returned are never written to again.
 * @throws {TermEncodeError} naming the path of what is no term: `$.readings[3]`.
 * @throws {RangeError} for a `maxDepth` out of range.
 */
export function encodeTerm<T>(term: Sendable<T>, options?: EncodeOptions): Buffer {
  return encodeTermAfter(0, term, options);
}

/**
 * Writes a term behind a gap: the first `gap` bytes of what is returned are the caller's to fill, and hold anything
 * until then.
 */
export function encodeTermAfter(gap: number, term: unknown, options?: EncodeOptions): Buffer {
  if (writing) return encodeWithin(gap, term, options);
  maxDepth = options?.maxDepth ?? DEFAULT_MAX_DEPTH;
  maxBytes = options?.maxBytes ?? DEFAULT_MAX_BYTES;
  if (!(maxDepth >= 1 && maxDepth <= LARGEST_MAX_DEPTH))
    throw new RangeError(`maxDepth must be from 1 to ${LARGEST_MAX_DEPTH}`);
  writing = true;
  try {
    const at = begin(gap, maxBytes);
    out[at] = tag.VERSION;
    return finish(write(term, at + 1, 0));
  } catch (error) {
    if (error instanceof TooLarge) throw sizeError();
    throw isTooDeep(error) ? nestingError(term, maxDepth) : error;
  } finally {
    writing = false;
  }
}

function sizeError(): TermEncodeError {
  return new TermEncodeError('out-of-range', '$', `is larger than ${maxBytes} bytes`);
}

/** Saves the state for reentrant encoding, as a getter may encode another message. */
function encodeWithin(gap: number, term: unknown, options?: EncodeOptions): Buffer {
  const outer = { maxDepth, maxBytes, path };
  const bringBack = putAside();
  path = [];
  writing = false;
  try {
    return encodeTermAfter(gap, term, options);
  } finally {
    writing = true;
    ({ maxDepth, maxBytes, path } = outer);
    bringBack();
  }
}

function refuse(code: TermEncodeError['code'], problem: string, depth: number): never {
  throw new TermEncodeError(code, pathOf(path.slice(0, depth)), problem);
}

/** Writes at `at`, and returns where it ended: so does every function below. */
function write(term: unknown, at: number, depth: number): number {
  switch (typeof term) {
    case 'string':
      return writeString(term, at);
    case 'number':
      return writeNumber(term, at, depth);
    case 'boolean':
      return writeShort(term ? TRUE : FALSE, at);
    case 'undefined':
      return writeShort(NIL_ATOM, at);
    case 'object':
      if (term === null) return writeShort(NIL_ATOM, at);
      return Array.isArray(term) ? writeArray(term, at, depth) : writeObject(term, at, depth);
    case 'bigint':
      return writeBigInt(term, at, depth);
    default:
      return refuse('unsupported-type', `is a ${typeof term}, which is not a term`, depth);
  }
}

// --- Atoms -------------------------------------------------------------------------------------------------

const TRUE = atomBytes('true');
const FALSE = atomBytes('false');
const NIL_ATOM = atomBytes('nil');

/** As OTP 26 writes atoms, and every OTP since 16 reads them. */
function atomBytes(name: string): Buffer {
  const text = Buffer.from(name);
  const head =
    text.length < 256
      ? [tag.SMALL_ATOM_UTF8, text.length]
      : [tag.ATOM_UTF8, text.length >> 8, text.length & 255];
  return Buffer.concat([Buffer.from(head), text]);
}

function writeAtom({ name }: Atom, at: number, depth: number): number {
  if (name.length > 255 && Array.from(name).length > 255)
    refuse('out-of-range', 'is an atom of more than 255 characters', depth);
  if (hasHalfPair(name)) refuse('out-of-range', 'is an atom with a lone surrogate', depth);
  return writeBytes(atomBytes(name), at);
}

/** `isWellFormed` is not known to the library of ES2023, though to every Node. */
function hasHalfPair(text: string): boolean {
  return /\p{Surrogate}/u.test(text);
}

/** A few bytes that are copied as they are. */
function writeShort(bytes: Buffer, at: number): number {
  const { length } = bytes;
  const to = room(at, length);
  for (let index = 0; index < length; index++) out[to + index] = bytes[index]!;
  return to + length;
}

function writeBytes(bytes: Uint8Array, at: number): number {
  const to = room(at, bytes.length);
  out.set(bytes, to);
  return to + bytes.length;
}

// --- Numbers -----------------------------------------------------------------------------------------------

function writeNumber(value: number, at: number, depth: number): number {
  const to = room(at, 11);
  if ((value | 0) === value && (value !== 0 || 1 / value > 0)) {
    if (value >= 0 && value < 256) {
      out[to] = tag.SMALL_INTEGER;
      out[to + 1] = value;
      return to + 2;
    }
    out[to] = tag.INTEGER;
    view.setInt32(to + 1, value);
    return to + 5;
  }
  if (value !== 0 && Number.isSafeInteger(value)) return writeLongInteger(value, to);
  return writeFloat(value, to, depth);
}

/** A whole number of more than 31 bits, and less than 54: four to seven bytes, the lowest first. */
function writeLongInteger(value: number, at: number): number {
  const size = value < 0 ? -value : value;
  const high = Math.floor(size / 0x1_0000_0000);
  const length = high === 0 ? 4 : high < 0x100 ? 5 : high < 0x1_0000 ? 6 : 7;
  out[at] = tag.SMALL_BIG;
  out[at + 1] = length;
  out[at + 2] = value < 0 ? 1 : 0;
  view.setUint32(at + 3, size, true);
  // Zeros beyond the length are written over by what comes next.
  view.setUint32(at + 7, high, true);
  return at + 3 + length;
}

function writeFloat(value: number, at: number, depth: number): number {
  if (!Number.isFinite(value))
    refuse('out-of-range', `is ${value}, which Erlang cannot represent as a number`, depth);
  const to = room(at, 9);
  out[to] = tag.NEW_FLOAT;
  view.setFloat64(to + 1, value);
  return to + 9;
}

function writeBigInt(value: bigint, at: number, depth: number): number {
  const small = Number(value);
  if (Number.isSafeInteger(small)) return writeNumber(small, at, depth);
  const hex = (value < 0n ? -value : value).toString(16);
  const digits = Buffer.from(hex.length % 2 ? `0${hex}` : hex, 'hex').reverse();
  let to = room(at, 6);
  if (digits.length < 256) {
    out[to++] = tag.SMALL_BIG;
    out[to++] = digits.length;
  } else {
    to = head(tag.LARGE_BIG, digits.length, to);
  }
  out[to++] = value < 0n ? 1 : 0;
  return writeBytes(digits, to);
}

// --- Binaries ----------------------------------------------------------------------------------------------

/** A tag and a length of 32 bits. */
function head(kind: number, length: number, at: number): number {
  const to = room(at, 5);
  out[to] = kind;
  view.setUint32(to + 1, length);
  return to + 5;
}

/** Half of a surrogate pair is written as U+FFFD, as `Buffer.from` and `TextEncoder` do. */
function writeString(text: string, at: number): number {
  const { length } = text;
  if (length > LONG_TEXT) return writeLongString(text, at);
  // A character is at most three bytes, and two for each half of a pair.
  const to = room(at, 5 + 3 * length);
  const size = (length <= SHORT_BYTES && writeAscii(text, to + 5)) || out.write(text, to + 5, 'utf8');
  out[to] = tag.BINARY;
  view.setUint32(to + 1, size);
  return to + 5 + size;
}

/** Most text is little longer in bytes than in characters: only where it does not fit is it measured. */
function writeLongString(text: string, at: number): number {
  const { length } = text;
  // Before all of it is looked at: each character is at least a byte.
  if (length > maxBytes) throw new TooLarge();
  const likely = length + (length >> 3) + 4;
  let to = room(at, 5 + likely);
  let size = out.write(text, to + 5, likely, 'utf8');
  // Where there is no room for a character of four bytes, one may have been left out.
  if (size > likely - 4) {
    size = Buffer.byteLength(text);
    to = room(to, 5 + size);
    out.write(text, to + 5, size, 'utf8');
  }
  out[to] = tag.BINARY;
  view.setUint32(to + 1, size);
  return to + 5 + size;
}

/** A key is text of its own: two that differ in half of a surrogate pair would be one. */
function writeKey(key: string, at: number, depth: number): number {
  const { length } = key;
  const to = room(at, 5 + 3 * SHORT_BYTES);
  if (length <= SHORT_BYTES && (length === 0 || writeAscii(key, to + 5))) {
    out[to] = tag.BINARY;
    view.setUint32(to + 1, length);
    return to + 5 + length;
  }
  if (hasHalfPair(key)) refuse('out-of-range', 'is a key with a lone surrogate', depth + 1);
  return writeString(key, to);
}

/** Writes short text, or returns 0 if it is not all ASCII. */
function writeAscii(text: string, at: number): number {
  const { length } = text;
  const to = out;
  for (let index = 0; index < length; index++) {
    const code = text.charCodeAt(index);
    if (code > 127) return 0;
    to[at + index] = code;
  }
  return length;
}

/**
 * All 8 bits of the last byte: to Erlang an ordinary binary, and here the sign that it is bytes and no text
 * (PROTOCOL.md §4).
 */
function writeBinary(bytes: Uint8Array, at: number): number {
  return bytes.length === 0 ? head(tag.BINARY, 0, at) : writeBits(bytes, 8, at);
}

function writeBits(bytes: Uint8Array, bits: number, at: number): number {
  const to = head(tag.BIT_BINARY, bytes.length, room(at, 6));
  out[to] = bits;
  return writeBytes(bytes, to + 1);
}

function writeBitString({ bytes, bits }: BitString, at: number, depth: number): number {
  if (bytes.length === 0 || !(bits >= 1 && bits <= 7))
    refuse('out-of-range', 'is a bit string without bytes, or with a bit count outside 1 to 7', depth);
  return writeBits(bytes, bits, at);
}

// --- Objects -----------------------------------------------------------------------------------------------

function writeObject(value: object, at: number, depth: number): number {
  const prototype = Object.getPrototypeOf(value) as object | null;
  if (prototype === Object.prototype || prototype === null) return writePlain(value, at, depth);
  switch (kindOf(value)) {
    case 'atom':
      return writeAtom(value as Atom, at, depth);
    case 'float':
      return writeFloat((value as Float).value, at, depth);
    case 'pid':
    case 'reference':
      return writeBytes((value as Opaque).bytes, at);
    case 'improper-list':
      return writeImproper(value as ImproperList, at, depth);
    case 'bit-string':
      return writeBitString(value as BitString, at, depth);
    default:
      return writeBuiltIn(value, at, depth);
  }
}

/** What is of a class of the engine is asked for by what it is: its prototype may be that of another realm. */
function writeBuiltIn(value: object, at: number, depth: number): number {
  if (types.isUint8Array(value)) return writeBinary(value, at);
  if (types.isMap(value)) return writeMap(value, at, depth);
  if (types.isDate(value)) return writeDate(value, at, depth);
  const problem = whyNoTerm(value);
  if (problem !== undefined) refuse('unsupported-type', problem, depth);
  return writePlain(value, at, depth);
}

/** A tuple or a list. One function: each level of nesting costs the stack two calls, and no more. */
function writeArray(
  elements: readonly unknown[],
  at: number,
  depth: number,
  tail: unknown = NO_TAIL,
): number {
  const { length } = elements;
  const isTuple = Object.getPrototypeOf(elements) !== Array.prototype && elements instanceof Tuple;
  // Each element is at least a byte.
  if (length > maxBytes)
    refuse('out-of-range', `has ${length} elements and needs more than ${maxBytes} bytes`, depth);
  let to: number;
  if (isTuple && length < 256) {
    to = room(at, 2);
    out[to++] = tag.SMALL_TUPLE;
    out[to++] = length;
  } else if (isTuple) {
    to = head(tag.LARGE_TUPLE, length, at);
  } else if (length === 0) {
    return writeShort(EMPTY_LIST, at);
  } else if (tail === NO_TAIL && isCharlist(elements)) {
    return writeCharlist(elements, at);
  } else {
    to = head(tag.LIST, length, at);
  }
  enter(depth);
  let holes = 0;
  for (let index = 0; index < length; index++) {
    path[depth] = index;
    const element = elements[index];
    if (element === undefined && !(index in elements) && ++holes > MAX_HOLES)
      refuse('out-of-range', `is an array with more than ${MAX_HOLES} holes`, depth);
    to = write(element, to, depth + 1);
  }
  if (tail !== NO_TAIL) return write(tail, to, depth + 1);
  return isTuple ? to : writeShort(EMPTY_LIST, to);
}

const NO_TAIL = Symbol('a proper list');
const EMPTY_LIST = Buffer.of(tag.NIL);

function enter(depth: number): void {
  if (depth >= maxDepth) throw new TooDeep();
}

/** Erlang writes a list of bytes as a string: three bytes and one for each, where a list takes two for each. */
function isCharlist(elements: readonly unknown[]): elements is number[] {
  const { length } = elements;
  if (length > MAX_STRING_EXT) return false;
  for (let index = 0; index < length; index++) {
    const element = elements[index];
    if (typeof element !== 'number' || (element & 255) !== element || Object.is(element, -0)) return false;
  }
  return true;
}

function writeCharlist(elements: readonly number[], at: number): number {
  const { length } = elements;
  let to = room(at, 3 + length);
  out[to++] = tag.STRING;
  out[to++] = length >> 8;
  out[to++] = length & 255;
  for (let index = 0; index < length; index++) out[to++] = elements[index]!;
  return to;
}

function writeImproper({ elements, tail }: ImproperList, at: number, depth: number): number {
  return elements.length === 0 ? write(tail, at, depth) : writeArray(elements, at, depth, tail);
}

function writePlain(value: object, at: number, depth: number): number {
  enter(depth);
  let to = head(tag.MAP, 0, at);
  const size = to - 4 - start;
  let count = 0;
  // The engine reads what a `for in` asks for without looking it up, and knows that it is the object's own: twice
  // as fast as over `Object.keys`, and than with `Object.hasOwn`.
  for (const key in value) {
    if (!Object.prototype.hasOwnProperty.call(value, key)) continue;
    const each = (value as Record<string, unknown>)[key];
    if (each === undefined) continue;
    count++;
    path[depth] = key;
    to = write(each, writeKey(key, to, depth), depth + 1);
  }
  view.setUint32(start + size, count);
  return to;
}

function writeMap(map: ReadonlyMap<unknown, unknown>, at: number, depth: number): number {
  enter(depth);
  let to = head(tag.MAP, 0, at);
  const size = to - 4 - start;
  let count = 0;
  const seen = map.size < 2 || areDistinct(map.keys()) ? undefined : new Set<string>();
  for (const [key, each] of map) {
    count++;
    path[depth] = nameOf(key);
    to = typeof key === 'string' ? writeKey(key, to, depth) : write(key, to, depth + 1);
    if (seen) noteKey(key, seen, depth);
    to = write(each, to, depth + 1);
  }
  view.setUint32(start + size, count);
  return to;
}

/** Keys a JavaScript Map tells apart as Erlang does. */
function areDistinct(keys: Iterable<unknown>): boolean {
  for (const key of keys) {
    if (typeof key !== 'string' && typeof key !== 'number' && !isOwnAtom(key)) return false;
  }
  return true;
}

/** Of this copy of the package, which has one for each name. */
function isOwnAtom(key: unknown): boolean {
  return typeof key === 'object' && key !== null && Object.getPrototypeOf(key) === Atom.prototype;
}

/** Refuses a key that is another to JavaScript and the same to Erlang, which would not read the map. */
function noteKey(key: unknown, seen: Set<string>, depth: number): void {
  const same = canonical(key as Term);
  if (seen.has(same)) refuse('out-of-range', 'is a key that the map already has in another form', depth + 1);
  seen.add(same);
}

function writeDate(date: Date, at: number, depth: number): number {
  const struct = dateTimeOf(date);
  if (!struct) refuse('out-of-range', 'is an invalid date, or one beyond the year 9999', depth);
  return writeMap(struct, at, depth);
}

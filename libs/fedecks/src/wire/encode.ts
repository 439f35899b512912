import { LARGEST_MAX_DEPTH } from './decode.js';
import { dateTimeOf } from './date-time.js';
import { TermEncodeError } from './errors.js';
import { SHORT_BYTES } from './strings.js';
import * as tag from './tags.js';
import { Atom, BitString, Float, ImproperList, Opaque, type Term, Tuple } from './term.js';

/** The limits of writing. */
export interface EncodeOptions {
  /** How deep lists, tuples and maps may be nested, from 1 to 5,000. @default 256 */
  readonly maxDepth?: number;
}

const DEFAULT_MAX_DEPTH = 256;
/** Messages are written one after another into slabs of this size; what is returned is a part of one. */
const SLAB_BYTES = 16 * 1024;
/** A message that has come this far has a buffer of its own: it would keep too much of a slab from others. */
const LARGE_BYTES = SLAB_BYTES / 2;
const MAX_STRING_EXT = 65_535;

// The writer. It is one, because writing is never interrupted, and module variables are faster than fields.
let out = Buffer.allocUnsafeSlow(SLAB_BYTES);
let pos = 0;
let start = 0;
let depth = 0;
let maxDepth = DEFAULT_MAX_DEPTH;
/** The key or index being written at each depth: what is said of a value that cannot be. */
const path: (string | number)[] = [];

/**
 * Writes a term (PROTOCOL.md §4). The bytes returned are never written to again.
 * @throws {TermEncodeError} naming the path of what is no term: `$.readings[3]`.
 * @throws {RangeError} for a `maxDepth` out of range.
 */
export function encodeTerm(term: Term, options?: EncodeOptions): Buffer {
  maxDepth = options?.maxDepth ?? DEFAULT_MAX_DEPTH;
  if (maxDepth < 1 || maxDepth > LARGEST_MAX_DEPTH)
    throw new RangeError(`maxDepth must be from 1 to ${LARGEST_MAX_DEPTH}`);
  start = pos;
  depth = 0;
  try {
    reserve(1);
    out[pos++] = tag.VERSION;
    write(term);
  } catch (error) {
    pos = start;
    // The stack ended before maxDepth did: it was far used up where this was called.
    if (error instanceof RangeError)
      throw new TermEncodeError('out-of-range', '$', 'is nested too deep for the stack');
    throw error;
  }
  const bytes = out.subarray(start, pos);
  if (SLAB_BYTES - pos < 64 || out.length !== SLAB_BYTES) newSlab();
  return bytes;
}

function newSlab(): void {
  out = Buffer.allocUnsafeSlow(SLAB_BYTES);
  pos = 0;
}

/** Room for that many bytes. What has been written of this message moves along; earlier ones keep their slab. */
function reserve(length: number): void {
  if (pos + length <= out.length) return;
  const written = pos - start;
  const needed = written + length;
  const larger = Buffer.allocUnsafeSlow(
    needed <= LARGE_BYTES ? SLAB_BYTES : Math.max(2 * needed, 2 * SLAB_BYTES),
  );
  out.copy(larger, 0, start, pos);
  out = larger;
  start = 0;
  pos = written;
}

function refuse(code: TermEncodeError['code'], problem: string): never {
  const where = path
    .slice(0, depth)
    .map((key) =>
      typeof key === 'number'
        ? `[${key}]`
        : /^[A-Za-z_$][\w$]*$/.test(key)
          ? `.${key}`
          : `[${JSON.stringify(key)}]`,
    );
  throw new TermEncodeError(code, `$${where.join('')}`, problem);
}

function enter(value: object): void {
  if (++depth <= maxDepth) return;
  depth--;
  const cycle = cycleIn(value);
  refuse('unsupported-type', cycle ? 'contains itself' : `is nested more than ${maxDepth} deep`);
}

/** Whether a value can be reached from itself. Only asked when writing has gone too deep. */
function cycleIn(value: object): boolean {
  const seen = new Set<unknown>();
  const open: unknown[] = [value];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (typeof next !== 'object' || next === null || seen.has(next)) continue;
    seen.add(next);
    const children: unknown[] = Object.values(next);
    if (children.includes(value)) return true;
    open.push(...children);
  }
  return false;
}

function write(term: unknown): void {
  switch (typeof term) {
    case 'string':
      return writeString(term);
    case 'number':
      return writeNumber(term);
    case 'boolean':
      return writeBytes(term ? TRUE : FALSE);
    case 'undefined':
      return writeBytes(NIL_ATOM);
    case 'bigint':
      return writeBigInt(term);
    case 'object':
      if (term === null) return writeBytes(NIL_ATOM);
      if (Array.isArray(term)) return writeArray(term);
      return writeObject(term);
    default:
      return refuse('unsupported-type', `is a ${typeof term}, which is no term`);
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

function writeAtom({ name }: Atom): void {
  if (Array.from(name).length > 255) refuse('out-of-range', 'is an atom of more than 255 characters');
  writeBytes(atomBytes(name));
}

/** Bytes that are copied as they are; short ones in JavaScript, since a call into Node costs more. */
function writeBytes(bytes: Uint8Array): void {
  const { length } = bytes;
  reserve(length);
  if (length > SHORT_BYTES) out.set(bytes, pos);
  else for (let index = 0; index < length; index++) out[pos + index] = bytes[index]!;
  pos += length;
}

// --- Numbers -----------------------------------------------------------------------------------------------

const float64 = new Float64Array(1);
const float64Bytes = new Uint8Array(float64.buffer);

function writeNumber(value: number): void {
  if ((value | 0) === value) {
    if (value === 0 && 1 / value < 0) return writeFloat(value);
    return writeInteger(value);
  }
  if (Number.isSafeInteger(value)) return writeLongInteger(value);
  if (!Number.isFinite(value)) refuse('out-of-range', `is ${value}, which Erlang has no number for`);
  writeFloat(value);
}

/** A whole number of 32 bits. */
function writeInteger(value: number): void {
  reserve(5);
  if (value >= 0 && value < 256) {
    out[pos++] = tag.SMALL_INTEGER;
    out[pos++] = value;
    return;
  }
  out[pos] = tag.INTEGER;
  put32(value, pos + 1);
  pos += 5;
}

/** A whole number of more than 32 bits, and less than 54. */
function writeLongInteger(value: number): void {
  reserve(10);
  out[pos] = tag.SMALL_BIG;
  out[pos + 2] = value < 0 ? 1 : 0;
  let rest = Math.abs(value);
  let length = 0;
  for (; rest > 0; length++) {
    out[pos + 3 + length] = rest % 256;
    rest = Math.floor(rest / 256);
  }
  out[pos + 1] = length;
  pos += 3 + length;
}

function writeFloat(value: number): void {
  if (!Number.isFinite(value)) refuse('out-of-range', `is ${value}, which Erlang has no number for`);
  reserve(9);
  float64[0] = value;
  out[pos++] = tag.NEW_FLOAT;
  for (let index = 7; index >= 0; index--) out[pos++] = float64Bytes[index]!;
}

function writeBigInt(value: bigint): void {
  const small = Number(value);
  if (Number.isSafeInteger(small)) return writeNumber(small);
  const hex = (value < 0n ? -value : value).toString(16);
  const digits = Buffer.from(hex.length % 2 ? `0${hex}` : hex, 'hex').reverse();
  const { length } = digits;
  reserve(length + 6);
  if (length < 256) {
    out[pos++] = tag.SMALL_BIG;
    out[pos++] = length;
  } else {
    head(tag.LARGE_BIG, length);
  }
  out[pos++] = value < 0n ? 1 : 0;
  writeBytes(digits);
}

// --- Binaries ----------------------------------------------------------------------------------------------

function put32(value: number, at: number): void {
  out[at] = value >>> 24;
  out[at + 1] = value >>> 16;
  out[at + 2] = value >>> 8;
  out[at + 3] = value;
}

/** A tag and a length of 32 bits. */
function head(kind: number, length: number): void {
  reserve(5);
  out[pos] = kind;
  put32(length, pos + 1);
  pos += 5;
}

function writeString(text: string): void {
  const { length } = text;
  // A character is at most three bytes, and two for each half of a pair.
  reserve(5 + 3 * length);
  const at = pos;
  out[at] = tag.BINARY;
  const size = (length <= SHORT_BYTES && writeAscii(text, at + 5)) || out.write(text, at + 5, 'utf8');
  put32(size, at + 1);
  pos = at + 5 + size;
}

/** Writes short text, or returns 0 if it is not all ASCII. */
function writeAscii(text: string, at: number): number {
  const { length } = text;
  for (let index = 0; index < length; index++) {
    const code = text.charCodeAt(index);
    if (code > 127) return 0;
    out[at + index] = code;
  }
  return length;
}

/** All 8 bits of the last byte: to Erlang an ordinary binary, and here the sign that it is bytes and no text (PROTOCOL.md §4). */
function writeBinary(bytes: Uint8Array): void {
  if (bytes.length === 0) return head(tag.BINARY, 0);
  head(tag.BIT_BINARY, bytes.length);
  reserve(1);
  out[pos++] = 8;
  writeBytes(bytes);
}

// --- Objects -----------------------------------------------------------------------------------------------

function writeObject(value: object): void {
  const prototype = Object.getPrototypeOf(value) as object | null;
  if (prototype === Object.prototype || prototype === null) return writePlain(value);
  if (value instanceof Uint8Array) return writeBinary(value);
  if (value instanceof Map) return writeMap(value);
  if (value instanceof Atom) return writeAtom(value);
  if (value instanceof Date) return writeDate(value);
  if (value instanceof Float) return writeFloat(value.value);
  if (value instanceof Opaque) return writeBytes(value.bytes);
  if (value instanceof ImproperList) return writeImproper(value);
  if (value instanceof BitString) return writeBitString(value);
  const kind = NO_TERMS.find((type) => value instanceof type);
  if (kind) refuse('unsupported-type', `is a ${kind.name}, which is no term`);
  if (ArrayBuffer.isView(value))
    refuse('unsupported-type', `is a ${value.constructor.name}: of the views only Uint8Array is a term`);
  return writePlain(value);
}

/** Objects that hold what they hold elsewhere than in properties: as a map they would be empty, and that without a word. */
const NO_TERMS = [
  Set,
  WeakMap,
  WeakSet,
  WeakRef,
  Promise,
  RegExp,
  Error,
  ArrayBuffer,
  SharedArrayBuffer,
  Number,
  String,
  Boolean,
];

/** A tuple or a list. One function: each level of nesting costs the stack two calls, and no more. */
function writeArray(elements: readonly unknown[], tail: unknown = NO_TAIL): void {
  const { length } = elements;
  const isTuple = elements instanceof Tuple;
  if (isTuple && length < 256) {
    reserve(2);
    out[pos++] = tag.SMALL_TUPLE;
    out[pos++] = length;
  } else if (isTuple) {
    head(tag.LARGE_TUPLE, length);
  } else if (length === 0) {
    return writeBytes(EMPTY_LIST);
  } else if (tail === NO_TAIL && isCharlist(elements)) {
    return writeCharlist(elements);
  } else {
    head(tag.LIST, length);
  }
  enter(elements);
  for (let index = 0; index < length; index++) {
    path[depth - 1] = index;
    write(elements[index]);
  }
  depth--;
  if (tail !== NO_TAIL) write(tail);
  else if (!isTuple) writeBytes(EMPTY_LIST);
}

const NO_TAIL = Symbol('a proper list');
const EMPTY_LIST = Buffer.of(tag.NIL);

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

function writeCharlist(elements: readonly number[]): void {
  const { length } = elements;
  reserve(3 + length);
  out[pos++] = tag.STRING;
  out[pos++] = length >> 8;
  out[pos++] = length & 255;
  for (let index = 0; index < length; index++) out[pos++] = elements[index]!;
}

function writeImproper({ elements, tail }: ImproperList): void {
  if (elements.length === 0) write(tail);
  else writeArray(elements, tail);
}

function writePlain(value: object): void {
  enter(value);
  const keys = Object.keys(value);
  head(tag.MAP, 0);
  const at = pos - start;
  let size = keys.length;
  for (const key of keys) {
    const each = (value as Record<string, unknown>)[key];
    if (each === undefined) {
      size--;
      continue;
    }
    path[depth - 1] = key;
    writeString(key);
    write(each);
  }
  put32(size, start + at - 4);
  depth--;
}

function writeMap(map: ReadonlyMap<unknown, unknown>): void {
  enter(map);
  head(tag.MAP, map.size);
  for (const [key, each] of map) {
    path[depth - 1] =
      typeof key === 'number'
        ? key
        : key instanceof Atom
          ? key.name
          : typeof key === 'string'
            ? key
            : '(key)';
    write(key);
    write(each);
  }
  depth--;
}

function writeDate(date: Date): void {
  const struct = dateTimeOf(date);
  if (!struct) refuse('out-of-range', 'is an invalid date, or one beyond the year 9999');
  writeMap(struct);
}

function writeBitString({ bytes, bits }: BitString): void {
  if (bytes.length === 0 || !(bits >= 1 && bits <= 7))
    refuse('out-of-range', 'is a bit string without bytes, or with other than 1 to 7 bits');
  head(tag.BIT_BINARY, bytes.length);
  reserve(1);
  out[pos++] = bits;
  writeBytes(bytes);
}

import { DATE_TIME_FIELDS, dateIn } from './date-time.js';
import { type TermDecodeCode, TermDecodeError } from './errors.js';
import { type Compression, inflate } from './inflate.js';
import { KeySet } from './key-set.js';
import { readBig, readFloatText } from './numbers.js';
import { type Shape, ShapeTree } from './shapes.js';
import { readText } from './strings.js';
import * as tag from './tags.js';
import {
  type Atom,
  atom,
  BitString,
  Float,
  ImproperList,
  knownAtom,
  Pid,
  Reference,
  type Term,
  Tuple,
  tupleFrom,
} from './term.js';

/**
 * How bytes are read. With both `maps: 'map'` and `binaries: 'bytes'` reading is lossless: what is read encodes back to
 * an equal term.
 */
export interface DecodeOptions {
  /**
   * `auto`: a map whose keys are all strings, or all atoms, is a plain object, one with other keys a `Map`, and a
   * UTC `DateTime` a `Date`. `map`: every map is a `Map`, with its keys as they are.
   * @default 'auto'
   */
  readonly maps?: 'auto' | 'map';
  /**
   * `auto`: a binary is a string if it is UTF-8 and not marked as bytes, else a `Uint8Array`. `bytes`: always a
   * `Uint8Array`. Large ones are views of the bytes given, not copies.
   * @default 'auto'
   */
  readonly binaries?: 'auto' | 'bytes';
  /** How deep lists, tuples and maps may be nested, from 1 to 5,000. @default 256 */
  readonly maxDepth?: number;
  /** The most bytes, given or inflated, a term may have. @default 16 MiB */
  readonly maxBytes?: number;
  /**
   * The most elements a term may have (PROTOCOL.md §4.5). Every term counts, the members of lists, tuples and maps
   * too; what takes long to build counts more. It bounds the time of reading: some 250 ns for each.
   * @default 100,000
   */
  readonly maxElements?: number;
  /**
   * What a compressed term may inflate to: at most `maxBytes`, and at most `maxRatio` times the bytes given.
   * `false`: a compressed term is refused.
   * @default { maxRatio: 16, maxBytes: 65_536 }
   */
  readonly compressed?: Compression;
}

const DEFAULT_MAX_DEPTH = 256;
const DEFAULT_MAX_ELEMENTS = 100_000;
const DEFAULT_COMPRESSION = { maxRatio: 16, maxBytes: 65_536 };
/** Reading calls itself once for each level: this many fit the stack of a thread, with room to spare. */
export const LARGEST_MAX_DEPTH = 5_000;
const DEFAULT_MAX_BYTES = 16 * 1024 * 1024;
/** A binary up to this size is copied: a view would keep all it was read from in memory. */
const COPY_BYTES = 4096;

// The reader. It is one, because reading is never interrupted, and module variables are faster than fields. That
// they are private to a module is also why all of it is in one file.
let bytes: Buffer = Buffer.alloc(0);
let pos = 0;
let depthLeft = 0;
let elementsLeft = 0;
let maxBytes = 0;
let compressed: Compression = DEFAULT_COMPRESSION;
let asMaps = false;
/** Only the outermost map is a `Map`. */
let onlyOutermost = false;
let asBytes = false;
/** Whole-number floats are kept apart from integers. */
let exactFloats = false;
/** In how many keys of maps, one in another, the reader is. */
let keyDepth = 0;
/** How many keys this term may still add to those remembered. */
let shapesLeft = 0;

/** The reader does not keep the last message in memory. */
const NOTHING = bytes;

/**
 * Reads one term (PROTOCOL.md §4). Bytes after it are ignored.
 * @throws {TermDecodeError} if they are no safe term, or one beyond the limits. Nothing else is ever thrown for what
 * the bytes hold.
 * @throws {RangeError} for a `maxDepth` or `maxElements` out of range.
 */
export function decodeTerm(given: Uint8Array, options?: DecodeOptions): Term {
  onlyOutermost = false;
  if (options === undefined) takeDefaults();
  else take(options);
  return decode(given);
}

/**
 * Reads a term that is part of another: it has no version byte of its own, and begins at `at`. The bytes before it
 * count towards `maxBytes`, and nothing else does.
 * @throws as {@link decodeTerm} does.
 */
export function decodeTermAt(given: Buffer, at: number, options?: DecodeOptions): Term {
  onlyOutermost = false;
  if (options === undefined) takeDefaults();
  else take(options);
  return decode(given, at);
}

/** Reads one term. If it is a map, it is a `Map` with its keys as they are, and its values are as `auto` reads them. */
export function decodeOutermostMap(given: Uint8Array, options: DecodeOptions): Term {
  take(options);
  asMaps = onlyOutermost = true;
  return decode(given);
}

/** Reads one term of {@link encodeTerm}, to be encoded again: nothing is lost, and text stays text. */
export function decodeToForward(given: Uint8Array, options: DecodeOptions = {}): Term {
  onlyOutermost = false;
  take(options);
  asMaps = exactFloats = true;
  return decode(given);
}

/** Quicker than taking them from an object. */
function takeDefaults(): void {
  depthLeft = DEFAULT_MAX_DEPTH;
  elementsLeft = DEFAULT_MAX_ELEMENTS;
  maxBytes = DEFAULT_MAX_BYTES;
  compressed = DEFAULT_COMPRESSION;
  asMaps = asBytes = exactFloats = false;
}

function take(options: DecodeOptions): void {
  depthLeft = options.maxDepth ?? DEFAULT_MAX_DEPTH;
  if (!(depthLeft >= 1 && depthLeft <= LARGEST_MAX_DEPTH))
    throw new RangeError(`maxDepth must be from 1 to ${LARGEST_MAX_DEPTH}`);
  elementsLeft = options.maxElements ?? DEFAULT_MAX_ELEMENTS;
  if (!(elementsLeft >= 1)) throw new RangeError('maxElements must be at least 1');
  maxBytes = options.maxBytes ?? DEFAULT_MAX_BYTES;
  compressed = options.compressed ?? DEFAULT_COMPRESSION;
  asMaps = options.maps === 'map';
  asBytes = options.binaries === 'bytes';
  exactFloats = asMaps && asBytes;
}

function decode(given: Uint8Array, at = 1): Term {
  if (given.length > maxBytes) throw new TermDecodeError('too-large', maxBytes);
  if (given[0] !== tag.VERSION)
    throw new TermDecodeError(given.length === 0 ? 'truncated' : 'bad-version', 0);
  bytes = Buffer.isBuffer(given) ? given : Buffer.from(given.buffer, given.byteOffset, given.length);
  pos = at;
  keyDepth = 0;
  shapesLeft = SHAPES_FOR_A_TERM;
  elementsLeft--;
  try {
    if (bytes[1] === tag.COMPRESSED) {
      bytes = inflate(bytes, maxBytes, compressed);
      pos = 0;
    }
    return read();
  } catch (error) {
    // The stack ended before maxDepth did: it was far used up where this was called.
    if (error instanceof RangeError) return fail('too-deep');
    throw error;
  } finally {
    bytes = NOTHING;
  }
}

function fail(code: TermDecodeCode): never {
  throw new TermDecodeError(code, pos);
}

/** Counts elements before the work for them is done. */
function spend(elements: number): void {
  elementsLeft -= elements;
  if (elementsLeft < 0) fail('too-many');
}

/** What is counted beside the one of each term. By measurement: one is to stand for at most 250 ns, collection included. */
const LIST_COST = 1;
const OBJECT_COST = 1;
const MAP_COST = 4;
const BYTES_COST = 3;
const BIG_COST = 1;
const INSTANCE_COST = 2;
/** A weak reference, and its place in the table of atoms. */
const NEW_ATOM_COST = 15;
/** A key of an object that did not come in this place lately: the engine makes a class for it. */
const NEW_KEY_COST = 6;
/** The same beyond the keys an engine makes classes for. */
const WIDE_OBJECT_KEYS = 128;
const WIDE_OBJECT_KEY_COST = 3;

/** Claims `length` bytes, and returns where they begin. Comes before anything is allocated for them. */
function claim(length: number): number {
  const start = pos;
  if (length > bytes.length - start) fail('truncated');
  pos = start + length;
  return start;
}

function u8(): number {
  if (pos >= bytes.length) fail('truncated');
  return bytes[pos++]!;
}

function u16(): number {
  const at = claim(2);
  return (bytes[at]! << 8) | bytes[at + 1]!;
}

function u32(): number {
  const at = claim(4);
  return bytes[at]! * 0x1000000 + ((bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!);
}

/** The number of following elements; rejects a count greater than the remaining bytes. */
function count(bytesEach: number, of: number): number {
  if (of * bytesEach > bytes.length - pos) fail('truncated');
  return of;
}

/** Reads the term that is next. What holds others is told first: each level of nesting is to take little of the stack. */
function read(): Term {
  const kind = u8();
  switch (kind) {
    case tag.MAP:
      return map();
    case tag.LIST:
      return sequence(u32(), false);
    case tag.SMALL_TUPLE:
      return sequence(u8(), true);
    case tag.LARGE_TUPLE:
      return sequence(u32(), true);
    default:
      return readCommon(kind);
  }
}

/**
 * What most messages are made of, read from variables of its own: a call for each number, and a look at the shared
 * position for each byte, would take longer than the reading.
 */
function readCommon(kind: number): Term {
  const b = bytes;
  const at = pos;
  const left = b.length - at;
  switch (kind) {
    case tag.SMALL_INTEGER:
      if (left < 1) fail('truncated');
      pos = at + 1;
      return b[at]!;
    case tag.INTEGER:
      if (left < 4) fail('truncated');
      pos = at + 4;
      return word(b, at);
    case tag.NEW_FLOAT:
      if (left < 8) fail('truncated');
      pos = at + 8;
      words[HIGH] = word(b, at);
      words[LOW] = word(b, at + 4);
      return floating(float64[0]!);
    case tag.BINARY: {
      if (left < 4) fail('truncated');
      const length = b[at]! * 0x1000000 + ((b[at + 1]! << 16) | (b[at + 2]! << 8) | b[at + 3]!);
      if (length > left - 4) fail('truncated');
      pos = at + 4 + length;
      return (asBytes ? undefined : readText(b, at + 4, length)) ?? plainBytes(at + 4, length);
    }
    case tag.SMALL_ATOM_UTF8:
      // The atom true: its length and name, and so the atom false.
      if (left >= 5 && b[at] === 4 && word(b, at + 1) === TRUE) {
        pos = at + 5;
        return true;
      }
      if (left >= 6 && b[at] === 5 && word(b, at + 1) === FALS && b[at + 5] === E) {
        pos = at + 6;
        return false;
      }
      return named(utf8(u8()));
    case tag.SMALL_BIG:
      // Times in milliseconds are six bytes long, and will be for 8,900 years.
      if (left >= 8 && b[at] === 6) {
        pos = at + 8;
        const low = b[at + 5]! * 0x1000000 + ((b[at + 4]! << 16) | (b[at + 3]! << 8) | b[at + 2]!);
        const size = ((b[at + 7]! << 8) | b[at + 6]!) * 0x1_0000_0000 + low;
        return b[at + 1] === 0 ? size : 0 - size;
      }
      return big(u8());
    default:
      return readOther(kind);
  }
}

const float64 = new Float64Array(1);
/** Its two halves, of which the byte order of the machine says which is which. */
const words = new Int32Array(float64.buffer);
const HIGH = new Uint8Array(Uint16Array.of(1).buffer)[0]!;
const LOW = 1 - HIGH;

const TRUE = Buffer.from('true').readInt32BE();
const FALS = Buffer.from('fals').readInt32BE();
const E = 'e'.charCodeAt(0);

/** Four bytes. */
function word(b: Buffer, at: number): number {
  return (b[at]! << 24) | (b[at + 1]! << 16) | (b[at + 2]! << 8) | b[at + 3]!;
}

function readOther(kind: number): Term {
  switch (kind) {
    case tag.NIL:
      return [];
    case tag.STRING:
      return charlist();
    case tag.ATOM_UTF8:
      return named(utf8(u16()));
    case tag.ATOM:
      return named(latin1(u16()));
    case tag.SMALL_ATOM:
      return named(latin1(u8()));
    case tag.BIT_BINARY:
      return bitBinary();
    case tag.LARGE_BIG:
      return big(u32());
    case tag.FLOAT:
      return floating(floatText());
    case tag.PID:
      return new Pid(opaque(9));
    case tag.NEW_PID:
      return new Pid(opaque(12));
    case tag.REFERENCE:
      return new Reference(opaque(5));
    case tag.NEW_REFERENCE:
      return new Reference(opaqueReference(1, 3));
    case tag.NEWER_REFERENCE:
      return new Reference(opaqueReference(4, 5));
    case tag.PORT:
    case tag.NEW_PORT:
    case tag.V4_PORT:
    case tag.EXPORT:
    case tag.FUN:
    case tag.NEW_FUN:
      return fail('unsafe');
    default:
      return fail('unknown-tag');
  }
}

function enter(): void {
  if (--depthLeft < 0) fail('too-deep');
}

// --- Numbers -----------------------------------------------------------------------------------------------

function floating(value: number): Term {
  if (!Number.isFinite(value)) fail('invalid');
  return exactFloats && Number.isSafeInteger(value) ? new Float(value) : value;
}

function floatText(): number {
  const start = claim(31);
  return readFloatText(bytes, start) ?? fail('invalid');
}

function big(length: number): Term {
  const negative = u8() !== 0;
  const start = claim(length);
  spend(BIG_COST + (length >> 6));
  return readBig(bytes, start, length, negative);
}

// --- Atoms -------------------------------------------------------------------------------------------------

const MAX_ATOM_CHARACTERS = 255;

function named(name: string): Term {
  switch (name) {
    case 'true':
      return true;
    case 'false':
      return false;
    case 'nil':
      return null;
    default:
      return knownAtom(name) ?? newAtom(name);
  }
}

function newAtom(name: string): Atom {
  spend(NEW_ATOM_COST);
  return atom(name);
}

function latin1(length: number): string {
  const start = claim(length);
  if (length > MAX_ATOM_CHARACTERS) fail('invalid');
  return bytes.toString('latin1', start, start + length);
}

function utf8(length: number): string {
  const start = claim(length);
  const name = length > 4 * MAX_ATOM_CHARACTERS ? undefined : readText(bytes, start, length);
  if (name === undefined || (length > MAX_ATOM_CHARACTERS && Array.from(name).length > MAX_ATOM_CHARACTERS))
    fail('invalid');
  return name;
}

// --- Binaries ----------------------------------------------------------------------------------------------

/** `Buffer.slice` would be a view, and a Buffer. */
function plainBytes(start: number, length: number): Uint8Array {
  spend(BYTES_COST);
  const view = new Uint8Array(bytes.buffer, bytes.byteOffset + start, length);
  return length <= COPY_BYTES ? view.slice() : view;
}

/** With all 8 bits of its last byte it is what marks bytes here, and an ordinary binary to Erlang. */
function bitBinary(): Term {
  const length = u32();
  const bits = u8();
  const start = claim(length);
  if (bits === 8 && length > 0) return plainBytes(start, length);
  if (bits === 0 && length === 0) return asBytes ? new Uint8Array(0) : '';
  if (bits === 0 || bits > 7 || length === 0) fail('invalid');
  spend(BYTES_COST + INSTANCE_COST);
  const copy = new Uint8Array(bytes.subarray(start, start + length));
  // The bits that do not count are zero, as Erlang writes them.
  copy[length - 1]! &= 0xff << (8 - bits);
  return new BitString(copy, bits);
}

// --- Lists and tuples --------------------------------------------------------------------------------------

/**
 * A list or a tuple, in one function: each level of nesting costs the stack two calls. As a literal a short one has
 * room for its members and no more; pushing makes room for 17.
 */
function sequence(length: number, isTuple: boolean): Term {
  enter();
  spend(count(1, length) + LIST_COST);
  let elements: Term[];
  switch (length) {
    case 1:
      elements = [read()];
      break;
    case 2:
      elements = [read(), read()];
      break;
    case 3:
      elements = [read(), read(), read()];
      break;
    default:
      elements = [];
      for (let index = 0; index < length; index++) elements.push(read());
  }
  if (isTuple) return leave(tupleFrom(elements));
  // The tail of a list may be another, with a tail of its own: they are one list, however long the chain.
  while (bytes[pos] === tag.LIST) {
    pos++;
    const more = count(1, u32());
    spend(more + LIST_COST);
    for (let index = 0; index < more; index++) elements.push(read());
  }
  if (bytes[pos] !== tag.NIL) return leave(joined(elements, read()));
  pos++;
  return leave(elements);
}

function joined(elements: Term[], tail: Term): Term {
  if (elements.length === 0) return tail;
  spend(INSTANCE_COST);
  if (!Array.isArray(tail) || tail instanceof Tuple) return new ImproperList(elements, tail);
  for (const element of tail as Term[]) elements.push(element);
  return elements;
}

/** A list of bytes, which Elixir shows as a charlist. */
function charlist(): Term {
  const length = u16();
  const start = claim(length);
  spend(length + LIST_COST);
  const elements = new Array<Term>(length);
  for (let index = 0; index < length; index++) elements[index] = bytes[start + index]!;
  return elements;
}

// --- Maps --------------------------------------------------------------------------------------------------

/** Keys that are all strings, or all atoms, make a plain object; the first that is not makes it a `Map` after all. */
function map(): Term {
  enter();
  const size = count(2, u32());
  spend(2 * size + OBJECT_COST);
  if (asMaps) return leave(mapFrom(new Map(), size));
  const result: Record<string, Term> = {};
  if (size === 0) return leave(result);
  const atoms = bytes[pos] !== tag.BINARY;
  let shape: Shape | undefined = atoms ? atomShapes.root : textShapes.root;
  for (let index = 0; index < size; index++) {
    const next: Shape | undefined = shape?.next;
    if (next?.isAt(pos, bytes)) {
      pos += next.bytes.length;
      result[next.key] = read();
      shape = next;
      continue;
    }
    const begin = pos;
    const key = atoms ? atomKey() : textKey();
    if (key === undefined) {
      pos = begin;
      return leave(mapFrom(index === 0 ? new Map<Term, Term>() : entriesOf(result, atoms), size - index));
    }
    shape = shapeAfter(shape, result, key, begin, index);
    const value = read();
    if (key === '__proto__') define(result, key, value);
    else result[key] = value;
  }
  return leave(atoms && size === DATE_TIME_FIELDS ? (dateIn(result) ?? result) : result);
}

/** The shape that the key `index`, which stands from `begin` to here, makes of the one before. */
function shapeAfter(
  shape: Shape | undefined,
  result: object,
  key: string,
  begin: number,
  index: number,
): Shape | undefined {
  const known = shape?.after(key, bytes, begin, pos);
  if (known !== undefined) return known;
  spend(index < WIDE_OBJECT_KEYS ? NEW_KEY_COST : WIDE_OBJECT_KEY_COST);
  if (Object.hasOwn(result, key)) fail('duplicate-key');
  return shapesLeft-- > 0 ? shape?.grow(key, bytes, begin, pos) : undefined;
}

function leave(term: Term): Term {
  depthLeft++;
  return term;
}

/** Limits the new keys per message, so that it does not evict those of other messages. */
const SHAPES_FOR_A_TERM = 256;
const textShapes = new ShapeTree();
const atomShapes = new ShapeTree();

/** The text of a key, or undefined for another key. */
function textKey(): string | undefined {
  if (asBytes || bytes[pos] !== tag.BINARY) return undefined;
  pos++;
  const length = u32();
  return readText(bytes, claim(length), length);
}

/** The name of an atom, or undefined for another key: `true`, `false` and `nil` are no names once they are read. */
function atomKey(): string | undefined {
  const name = atomName();
  return name === 'true' || name === 'false' || name === 'nil' ? undefined : name;
}

function atomName(): string | undefined {
  switch (bytes[pos++]) {
    case tag.SMALL_ATOM_UTF8:
      return utf8(u8());
    case tag.ATOM_UTF8:
      return utf8(u16());
    case tag.ATOM:
      return latin1(u16());
    case tag.SMALL_ATOM:
      return latin1(u8());
    default:
      return undefined;
  }
}

/** Data, not the prototype an assignment would set. */
function define(target: object, key: string, value: Term): void {
  Object.defineProperty(target, key, { value, writable: true, enumerable: true, configurable: true });
}

function entriesOf(read: Readonly<Record<string, Term>>, atoms: boolean): Map<Term, Term> {
  return new Map(
    Object.entries(read).map(([name, value]) => [atoms ? (named(name) as Atom) : name, value] as const),
  );
}

/** Reads `more` entries to those there are. */
function mapFrom(entries: Map<Term, Term>, more: number): Term {
  // Keys are as they are, the values are not.
  if (onlyOutermost) asMaps = onlyOutermost = false;
  spend(MAP_COST);
  // A map of one key has none twice.
  const keys = entries.size + more > 1 ? new KeySet(entries) : undefined;
  for (let index = 0; index < more; index++) {
    const begin = pos;
    const key = mapKey();
    if (keys) {
      spend(keys.cost(key, pos - begin));
      if (!keys.add(key)) fail('duplicate-key');
    }
    entries.set(key, read());
  }
  return entries;
}

/** How many maps may be keys of maps that are keys, and so on: to compare them they are read again at each level. */
const MAX_KEY_DEPTH = 16;

/** A key as it is, with its maps as maps: `1` and `1.0` are different keys, and so are those that hold them. */
function mapKey(): Term {
  if (++keyDepth > MAX_KEY_DEPTH) fail('too-deep');
  const mapsBefore = asMaps;
  const floatsBefore = exactFloats;
  asMaps = exactFloats = true;
  const key = read();
  asMaps = mapsBefore;
  exactFloats = floatsBefore;
  keyDepth--;
  return key;
}

// --- What only passes through -------------------------------------------------------------------------------

/** The bytes of a term that begins with the name of its node, from its tag on. */
function opaque(length: number): Uint8Array {
  const start = pos - 1;
  spend(BYTES_COST + INSTANCE_COST);
  node();
  claim(length);
  return new Uint8Array(bytes.subarray(start, pos));
}

const MAX_REFERENCE_WORDS = 5;
/** The words of a reference made by the node itself, before nodes have names. */
const MAX_LOCAL_WORDS = 3;

function opaqueReference(creationBytes: number, maxWords: number): Uint8Array {
  const start = pos - 1;
  spend(BYTES_COST + INSTANCE_COST);
  const words = u16();
  const name = node();
  const allowed = name === 'nonode@nohost' ? MAX_LOCAL_WORDS : Math.min(maxWords, MAX_REFERENCE_WORDS);
  if (words === 0 || words > allowed) fail('invalid');
  claim(creationBytes + 4 * words);
  return new Uint8Array(bytes.subarray(start, pos));
}

function node(): string {
  return atomKey() ?? fail('invalid');
}

// Terms that cost the receiver more than the sender, within the limits of a message (256 KiB).
import { deflateSync } from 'node:zlib';

const MAX_BYTES = 262_000;
const NIL = Buffer.from([106]);

function u32(value) {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function repeat(part, times) {
  return Buffer.alloc(part.length * times, part);
}

export function binary(content) {
  const bytes = Buffer.from(content);
  return Buffer.concat([Buffer.from([109]), u32(bytes.length), bytes]);
}

/** `{name, data}`: an event for a handler by name. */
export function event(name, data = NIL) {
  return Buffer.concat([Buffer.from([131, 104, 2]), binary(name), data]);
}

/** A compressed term with maximum compression. */
export function compress(term) {
  const head = Buffer.concat([Buffer.from([131, 80]), u32(term.length - 1)]);
  return Buffer.concat([head, deflateSync(term.subarray(1), { level: 9 })]);
}

/** 87,000 tuples of one empty list. */
export function oneTuples(bytes = MAX_BYTES) {
  const count = Math.floor(bytes / 3);
  return Buffer.concat([Buffer.from([131, 108]), u32(count), repeat(Buffer.from([104, 1, 106]), count), NIL]);
}

/** The term of an auth header, within its limits of 1,023 characters and 16 KiB inflated. */
export function heavyAuth() {
  const fields = ['fedecks-device-id', 'stranger', 'x'].map(binary);
  return compress(
    Buffer.concat([Buffer.from([131, 116, 0, 0, 0, 2]), ...fields, oneTuples(16_000).subarray(1)]),
  );
}

/** A map nested 15 levels deep in keys, around a long list. */
export function deepKeys() {
  let key = Buffer.concat([Buffer.from([108]), u32(100_000), repeat(Buffer.from([97, 1]), 100_000), NIL]);
  for (let depth = 0; depth < 15; depth++)
    key = Buffer.concat([Buffer.from([116, 0, 0, 0, 2]), key, NIL, Buffer.from([97, depth]), NIL]);
  return compress(Buffer.concat([Buffer.from([131]), key]));
}

function mapOf(keys) {
  return Buffer.concat([Buffer.from([131, 116]), u32(keys.length), ...keys.flatMap((key) => [key, NIL])]);
}

/** 17,000 big integers with equal low 64 bits, which are all that a JavaScript Map hashes. */
export function collidingBigIntegers() {
  return mapOf(
    Array.from({ length: 17_000 }, (_, index) => {
      const key = Buffer.from([110, 11, 0, ...Array(11).fill(0)]);
      key.writeUIntLE(index + 1, 11, 3);
      return key;
    }),
  );
}

/** 43,000 integers that fall into one bucket of a JavaScript Map: V8 hashes small integers without a seed. */
export function collidingIntegers() {
  return mapOf(
    Array.from({ length: 43_000 }, (_, index) => {
      const key = Buffer.alloc(5, 98);
      key.writeInt32BE(integerWithHash((index << 15) >>> 0), 1);
      return key;
    }),
  );
}

/** Inverts V8's `ComputeUnseededHash`, which is a bijection. */
function integerWithHash(hash) {
  let key = hash ^ (hash >>> 16);
  key = Math.imul(key, inverse(2057));
  key = unshift(key, 4);
  key = Math.imul(key, inverse(5));
  key = unshift(key, 12);
  return Math.imul((key + 1) | 0, inverse(32_767)) | 0;
}

/** The inverse of an odd number modulo 2^32. */
function inverse(odd) {
  let result = odd;
  for (let step = 0; step < 5; step++) result = Math.imul(result, 2 - Math.imul(odd, result));
  return result;
}

/** Inverts `key ^ (key >>> bits)`. */
function unshift(mixed, bits) {
  let key = mixed;
  for (let known = bits; known < 32; known += bits) key = mixed ^ (key >>> bits);
  return key;
}

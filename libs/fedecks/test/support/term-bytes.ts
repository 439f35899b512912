/**
 * Bytes of Erlang terms, written by hand from the "External Term Format" chapter of the Erlang/OTP documentation.
 * They share no code with the codec, so that its bugs cannot cancel out in tests.
 *
 * The functions named after a kind of term return that term without the leading version byte, to be
 * nested; `term` prepends the version byte:
 *
 *     term(tuple(chars('token'), str('abc')))   83 68 02 6b 00 05 "token" 6d 00 00 00 03 "abc"
 */
import { deflateSync } from 'node:zlib';

function sized(tag: number, sizeBytes: 1 | 2 | 4, size: number, ...content: Uint8Array[]): Buffer {
  const head = Buffer.alloc(1 + sizeBytes);
  head.writeUInt8(tag, 0);
  head.writeUIntBE(size, 1, sizeBytes);
  return Buffer.concat([head, ...content]);
}

/** A whole message: the version byte, and the term. */
export function term(body: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from([0x83]), body]);
}

/** The same, zlib-compressed as `term_to_binary(Term, [compressed])` writes it. */
export function compressedTerm(body: Uint8Array): Buffer {
  return term(sized(0x50, 4, body.length, deflateSync(body)));
}

/** BINARY_EXT: a string of Elixir, or any bytes. */
export function str(content: string | Uint8Array): Buffer {
  const bytes = Buffer.from(content);
  return sized(0x6d, 4, bytes.length, bytes);
}

/** STRING_EXT: a charlist as Erlang writes it. */
export function chars(text: string): Buffer {
  return sized(0x6b, 2, text.length, Buffer.from(text, 'latin1'));
}

/** LIST_EXT of the same integers: the other valid encoding of a charlist. */
export function longChars(text: string): Buffer {
  return list(...[...Buffer.from(text, 'latin1')].map(int));
}

/** LIST_EXT with an empty tail. */
export function list(...elements: Uint8Array[]): Buffer {
  return sized(0x6c, 4, elements.length, ...elements, Buffer.from([0x6a]));
}

/** SMALL_TUPLE_EXT. */
export function tuple(...elements: Uint8Array[]): Buffer {
  return sized(0x68, 1, elements.length, ...elements);
}

/** SMALL_INTEGER_EXT or INTEGER_EXT. */
export function int(value: number): Buffer {
  if (value >= 0 && value <= 255) return Buffer.from([0x61, value]);
  const bytes = Buffer.alloc(5);
  bytes.writeUInt8(0x62, 0);
  bytes.writeInt32BE(value, 1);
  return bytes;
}

/** ATOM_EXT, as OTP up to 25 encodes atoms. */
export function oldAtom(name: string): Buffer {
  return sized(0x64, 2, name.length, Buffer.from(name, 'latin1'));
}

/** SMALL_ATOM_UTF8_EXT, as OTP 26 and later encode them. */
export function atom(name: string): Buffer {
  const bytes = Buffer.from(name);
  return sized(0x77, 1, bytes.length, bytes);
}

/** MAP_EXT: its pairs in the order given. */
export function map(...pairs: (readonly [key: Uint8Array, value: Uint8Array])[]): Buffer {
  return sized(0x74, 4, pairs.length, ...pairs.flat());
}

/** MAP_EXT with binary keys. */
export function strMap(fields: Readonly<Record<string, Uint8Array>>): Buffer {
  return map(...Object.entries(fields).map(([key, value]) => [str(key), value] as const));
}

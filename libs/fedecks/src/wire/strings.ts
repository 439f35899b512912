import { isUtf8 } from 'node:buffer';

/** Up to this many bytes, text is read and written in JavaScript: a call into Node costs more. */
export const SHORT_BYTES = 24;

const { fromCharCode } = String;

/** The text of bytes, or undefined if they are no UTF-8. */
export function readText(bytes: Buffer, start: number, end: number): string | undefined {
  const length = end - start;
  if (length <= SHORT_BYTES) {
    const short = readAscii(bytes, start, length);
    if (short !== undefined) return short;
  }
  const text = bytes.toString('utf8', start, end);
  // What is no UTF-8 is read as U+FFFD, which a text may also hold of its own.
  return text.includes('\uFFFD') && !isUtf8(bytes.subarray(start, end)) ? undefined : text;
}

/** Short text, or undefined if it is not all ASCII. Four characters at a time: a call costs, a concatenation hardly. */
function readAscii(bytes: Buffer, start: number, length: number): string | undefined {
  let text = '';
  let at = start;
  const end = start + length;
  for (; at + 4 <= end; at += 4) {
    const a = bytes[at]!;
    const b = bytes[at + 1]!;
    const c = bytes[at + 2]!;
    const d = bytes[at + 3]!;
    if ((a | b | c | d) > 127) return undefined;
    text += fromCharCode(a, b, c, d);
  }
  for (; at < end; at++) {
    const code = bytes[at]!;
    if (code > 127) return undefined;
    text += fromCharCode(code);
  }
  return text;
}

/** Powers of two: the slot of a key is its hash, cut off. */
const KEY_SLOTS = 1024;
const MAX_KEY_BYTES = 32;
const keys: (string | undefined)[] = new Array<string | undefined>(KEY_SLOTS).fill(undefined);

/**
 * The text of a key of a map. Messages repeat their keys: the same string serves each time, from a table of
 * fixed size, in which a later key takes the place of an earlier one.
 */
export function readKey(bytes: Buffer, start: number, end: number): string | undefined {
  const length = end - start;
  if (length > MAX_KEY_BYTES || length === 0) return readText(bytes, start, end);
  let hash = length;
  for (let at = start; at < end; at++) hash = (Math.imul(hash, 31) + bytes[at]!) | 0;
  const slot = (hash ^ (hash >>> 11)) & (KEY_SLOTS - 1);
  const known = keys[slot];
  if (known !== undefined && isText(known, bytes, start, length)) return known;
  const text = readText(bytes, start, end);
  // Only ASCII is found again: of other text, bytes and characters are not the same number.
  if (text?.length === length) keys[slot] = text;
  return text;
}

function isText(text: string, bytes: Buffer, start: number, length: number): boolean {
  if (text.length !== length) return false;
  for (let index = 0; index < length; index++) {
    if (text.charCodeAt(index) !== bytes[start + index]) return false;
  }
  return true;
}

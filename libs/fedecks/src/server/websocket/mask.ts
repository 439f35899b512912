/** The minimum length for a DataView, whose creation costs as much as about a hundred single bytes. */
const VIEW_FROM_BYTES = 128;

/**
 * Masks or unmasks a part of `bytes` in place (RFC 6455 §5.3). `mask` holds the four bytes of the key, the first in its
 * lowest eight bits.
 *
 * Measured: four words in a row through a DataView take a fifth of the time of single bytes. That is also faster than an
 * Int32Array, which needs an aligned payload.
 */
export function unmask(bytes: Buffer, from: number, to: number, mask: number): void {
  if (mask === 0) return;
  if (to - from < VIEW_FROM_BYTES) unmaskBytes(bytes, from, to, mask);
  else unmaskWords(bytes, from, to, mask);
}

/** The key for the bytes after the first `count` bytes of a payload. */
export function rotate(mask: number, count: number): number {
  const bits = (count & 3) * 8;
  return bits === 0 ? mask : (mask >>> bits) | (mask << (32 - bits));
}

function unmaskBytes(bytes: Buffer, from: number, to: number, mask: number): void {
  const [first, second, third, fourth] = [mask & 0xff, (mask >> 8) & 0xff, (mask >> 16) & 0xff, mask >>> 24];
  let at = from;
  for (const last = to - 4; at <= last; at += 4) {
    bytes[at]! ^= first;
    bytes[at + 1]! ^= second;
    bytes[at + 2]! ^= third;
    bytes[at + 3]! ^= fourth;
  }
  for (let rest = mask; at < to; at++, rest >>>= 8) bytes[at]! ^= rest & 0xff;
}

function unmaskWords(bytes: Buffer, from: number, to: number, mask: number): void {
  const words = new DataView(bytes.buffer, bytes.byteOffset + from, to - from);
  let at = 0;
  for (const last = words.byteLength - 16; at <= last; at += 16) {
    words.setInt32(at, words.getInt32(at, true) ^ mask, true);
    words.setInt32(at + 4, words.getInt32(at + 4, true) ^ mask, true);
    words.setInt32(at + 8, words.getInt32(at + 8, true) ^ mask, true);
    words.setInt32(at + 12, words.getInt32(at + 12, true) ^ mask, true);
  }
  unmaskBytes(bytes, from + at, to, mask);
}

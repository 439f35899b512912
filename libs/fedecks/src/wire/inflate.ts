import { inflateSync } from 'node:zlib';
import { TermDecodeError } from './errors.js';

/** What a compressed term may inflate to, or that there may be none. */
export type Compression =
  | false
  | {
      /** The most inflated bytes for each byte given. */
      readonly maxRatio: number;
      /** The most inflated bytes. */
      readonly maxBytes: number;
    };

/** Version, tag and the size claimed. */
const HEAD_BYTES = 6;

/**
 * Inflates a compressed term. The size it claims is checked against the limits first, and bounds what is inflated.
 * @returns the term without its version byte.
 */
export function inflate(given: Buffer, maxBytes: number, compressed: Compression): Buffer {
  if (compressed === false) throw new TermDecodeError('unsafe', 1);
  if (given.length < HEAD_BYTES) throw new TermDecodeError('truncated', given.length);
  const size = given.readUInt32BE(2);
  if (size > Math.min(maxBytes, compressed.maxBytes, compressed.maxRatio * given.length))
    throw new TermDecodeError('too-large', HEAD_BYTES);
  let inflated: Buffer | undefined;
  try {
    // zlib takes no limit of 0, and nothing inflates to a term of no bytes.
    if (size > 0) inflated = inflateSync(given.subarray(HEAD_BYTES), { maxOutputLength: size });
  } catch {
    // Refused below.
  }
  if (inflated?.length !== size) throw new TermDecodeError('invalid', HEAD_BYTES);
  return inflated;
}

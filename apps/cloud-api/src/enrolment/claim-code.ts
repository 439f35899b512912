import { createHash, randomBytes } from 'node:crypto';

/** Crockford's base32: without I, L, O and U, which people confuse with others. */
const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
const GROUPS = 4;
const GROUP_LENGTH = 4;
const CODE = /^[0-9A-HJKMNP-TV-Z]{16}$/;
/** More than anybody types, with spaces: longer ones are not looked at. */
const MAX_TYPED = 64;

/** A new code, as `7K3M-9QTX-0ABC-WV5N`: 80 random bits. With its hash. */
export function makeClaimCode(): { readonly code: string; readonly codeHash: Buffer } {
  const group = (): string =>
    // 32 of 256 values each: no bias.
    Array.from(randomBytes(GROUP_LENGTH), (byte) => ALPHABET[byte % ALPHABET.length]).join('');
  const groups = Array.from({ length: GROUPS }, group);
  return { code: groups.join('-'), codeHash: sha256(groups.join('')) };
}

/**
 * SHA-256 of a code, however it is typed: upper or lower case, with or without dashes and spaces, O for 0, I or L for 1.
 * A fast hash will do: nobody guesses 80 bits.
 * @returns undefined if it is no code.
 */
export function hashOfClaimCode(typed: string): Buffer | undefined {
  if (typed.length > MAX_TYPED) return undefined;
  const code = typed.toUpperCase().replaceAll(/[-\s]/g, '').replaceAll('O', '0').replaceAll(/[IL]/g, '1');
  return CODE.test(code) ? sha256(code) : undefined;
}

function sha256(code: string): Buffer {
  return createHash('sha256').update(code).digest();
}

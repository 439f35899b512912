import { createHash, randomBytes } from 'node:crypto';

const TOKEN_BYTES = 32;
/** 32 bytes in base64url. */
const TOKEN = /^[A-Za-z0-9_-]{43}$/;

/** A new secret that nobody can guess: 32 random bytes in base64url, after the prefix. */
export function randomToken(prefix = ''): string {
  return prefix + randomBytes(TOKEN_BYTES).toString('base64url');
}

/** Whether text has the form of {@link randomToken}. Other text is not worth a query. */
export function isRandomToken(text: string, prefix = ''): boolean {
  return text.startsWith(prefix) && TOKEN.test(text.slice(prefix.length));
}

/** SHA-256, which is all the database keeps of a token. A token is random: a slow hash would protect it no better. */
export function hashOfToken(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}

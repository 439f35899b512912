import { scrypt, timingSafeEqual } from 'node:crypto';
import { argon2id, hash, verify } from 'argon2';

/** About 80 ms and 19 MiB for each login; a device logs in once in its life. */
const COST = { type: argon2id, memoryCost: 19 * 1_024, timeCost: 2, parallelism: 1 } as const;
/** In PHC format. */
const ARGON2ID =
  /^\$argon2id\$v=19\$([mtp])=(\d+),([mtp])=(\d+),([mtp])=(\d+)\$[A-Za-z0-9+/]{11,86}\$[A-Za-z0-9+/]{16,86}$/;
/** Memory in KiB, passes and threads: a hash from elsewhere must not exhaust the process. */
const LIMITS = { m: 256 * 1_024, t: 20, p: 16 } as const;

/** What earlier versions made. */
const SCRYPT = /^scrypt\$([A-Za-z0-9_-]{22})\$([A-Za-z0-9_-]{43})$/;
const SCRYPT_COST = { N: 2 ** 15, r: 8, p: 1, maxmem: 64 * 1_024 * 1_024 } as const;
const SCRYPT_BYTES = 32;

/** Whether a value is what {@link hashPassword} makes, or made in an earlier version. */
export function isPasswordHash(value: unknown): value is string {
  if (typeof value !== 'string') return false;
  const [isArgon2id, ...parts] = ARGON2ID.exec(value) ?? [];
  if (isArgon2id === undefined) return SCRYPT.test(value);
  const parameters = new Map([0, 2, 4].map((at) => [parts[at], Number(parts[at + 1])]));
  return Object.entries(LIMITS).every(([name, limit]) => (parameters.get(name) ?? Infinity) <= limit);
}

/** A salted hash of a password (argon2id, RFC 9106), safe to keep in a file. */
export async function hashPassword(password: string): Promise<string> {
  return hash(password.normalize(), COST);
}

/**
 * Whether a password is the one that was hashed. Takes the same time whatever the answer.
 * @param hashed is one by {@link isPasswordHash}.
 */
export async function isPassword(password: string, hashed: string): Promise<boolean> {
  const [, salt, expected = ''] = SCRYPT.exec(hashed) ?? [];
  if (salt === undefined) return verify(hashed, password.normalize());
  const actual = await scryptOf(password.normalize(), Buffer.from(salt, 'base64url'));
  return timingSafeEqual(actual, Buffer.from(expected, 'base64url'));
}

function scryptOf(password: string, salt: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    scrypt(password, salt, SCRYPT_BYTES, SCRYPT_COST, (error, derived) => {
      if (error) reject(error);
      else resolve(derived);
    });
  });
}

import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto';

const SALT_BYTES = 16;
const HASH_BYTES = 32;
/** About 60 ms and 32 MiB for each login; a device logs in once in its life. */
const COST = { N: 2 ** 15, r: 8, p: 1, maxmem: 64 * 1024 * 1024 } as const;
const FORMAT = /^scrypt\$([A-Za-z0-9_-]{22})\$([A-Za-z0-9_-]{43})$/;

/** Whether a value is what {@link hashPassword} makes. */
export function isPasswordHash(value: unknown): value is string {
  return typeof value === 'string' && FORMAT.test(value);
}

/** A salted hash of a password (scrypt, RFC 7914), safe to keep in a file. */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(SALT_BYTES);
  const hash = await derived(password, salt);
  return `scrypt$${salt.toString('base64url')}$${hash.toString('base64url')}`;
}

/** Whether a password is the one that was hashed. Takes the same time whatever the answer. */
export async function isPassword(password: string, hashed: string): Promise<boolean> {
  const [, salt = '', hash = ''] = FORMAT.exec(hashed) ?? [];
  return timingSafeEqual(
    await derived(password, Buffer.from(salt, 'base64url')),
    Buffer.from(hash, 'base64url'),
  );
}

function derived(password: string, salt: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    scrypt(password.normalize(), salt, HASH_BYTES, COST, (error, hash) => {
      if (error) reject(error);
      else resolve(hash);
    });
  });
}

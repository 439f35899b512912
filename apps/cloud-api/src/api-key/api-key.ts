import { createHash, timingSafeEqual } from 'node:crypto';
import { type IncomingHttpHeaders } from 'node:http';

/** The key of the environment, in the variable `API_KEY`. */
export class ApiKey {
  private readonly digest: Buffer | undefined;

  /** @param key undefined: there is none, and nobody presents it. */
  constructor(key: string | undefined) {
    this.digest = key === undefined ? undefined : sha256(key);
  }

  /** Whether this is the key. Takes the same time however much of it is right. */
  is(key: string): boolean {
    return this.digest !== undefined && timingSafeEqual(sha256(key), this.digest);
  }
}

/** The key that a request presents, as `x-api-key: <key>` or `authorization: Bearer <key>`. Never in a URL: those are logged. */
export function presentedKey(headers: IncomingHttpHeaders): string | undefined {
  const { 'x-api-key': key = bearer(headers.authorization) } = headers;
  return typeof key === 'string' ? key : undefined;
}

function bearer(authorization: string | undefined): string | undefined {
  return /^bearer +(\S+)$/i.exec(authorization ?? '')?.[1];
}

/** Digests have the same length, which comparing in constant time needs. */
function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

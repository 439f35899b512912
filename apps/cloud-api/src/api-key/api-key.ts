import { createHash, timingSafeEqual } from 'node:crypto';
import { type IncomingHttpHeaders } from 'node:http';

/** The key operators present, as `x-api-key: <key>` or `authorization: Bearer <key>`. Never in a URL: those are logged. */
export class ApiKey {
  private readonly digest: Buffer;

  constructor(key: string) {
    this.digest = sha256(key);
  }

  /** Whether a request presents the key. Takes the same time however much of it is right. */
  isIn(headers: IncomingHttpHeaders): boolean {
    const { 'x-api-key': given = bearer(headers.authorization) } = headers;
    return typeof given === 'string' && timingSafeEqual(sha256(given), this.digest);
  }
}

function bearer(authorization: string | undefined): string | undefined {
  return /^bearer +(\S+)$/i.exec(authorization ?? '')?.[1];
}

/** Digests are of one length, which comparing in constant time needs. */
function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

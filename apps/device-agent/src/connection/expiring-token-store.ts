import { type TokenStore } from '@fedecks/nest/client';

/**
 * Notes when the token that passes through it expires, for the status, and whether it is being written. To a device its token is opaque: only where it
 * happens to be a JWT (RFC 7519), its `exp` is read, unverified. The token itself is not kept here.
 */
export class ExpiringTokenStore implements TokenStore {
  private expiry: Date | undefined;
  private writing = false;

  constructor(private readonly store: TokenStore) {}

  /** When the token that was loaded or saved last expires; undefined if it does not tell, or there is none. */
  get expiresAt(): Date | undefined {
    return this.expiry;
  }

  /** Whether the disk has yet to answer: it may hang, and then it holds the process, which cannot end by itself. */
  get busy(): boolean {
    return this.writing;
  }

  async load(report: (reason: string) => void): Promise<string | undefined> {
    const token = await this.store.load(report);
    this.expiry = token === undefined ? undefined : expiryOf(token);
    return token;
  }

  async save(token: string): Promise<void> {
    // Also if it cannot be saved: then it is held in memory.
    this.expiry = expiryOf(token);
    await this.written(this.store.save(token));
  }

  async remove(): Promise<void> {
    this.expiry = undefined;
    await this.written(this.store.remove());
  }

  private async written(work: Promise<void>): Promise<void> {
    this.writing = true;
    try {
      await work;
    } finally {
      this.writing = false;
    }
  }
}

function expiryOf(token: string): Date | undefined {
  const [, payload, signature] = token.split('.');
  if (payload === undefined || signature === undefined) return undefined;
  try {
    const { exp } = JSON.parse(Buffer.from(payload, 'base64url').toString()) as { exp?: unknown };
    const date = new Date(typeof exp === 'number' ? exp * 1000 : NaN);
    return Number.isNaN(date.getTime()) ? undefined : date;
  } catch {
    return undefined;
  }
}

import { type ClientEvent } from './client-event.js';
import { type TokenStore } from './token-store.js';

/** The maximum time that stop() waits for the store: a disk may hang. */
const FINISH_WITHIN_MS = 3_000;

/** How a write of the token store ended: it failed if there is an `error`. */
export interface WriteResult {
  readonly error?: unknown;
}

/**
 * Writes to the token store, one write after another. A server may send tokens faster than a disk takes them: those
 * that are superseded before they are written are dropped.
 */
export class TokenWriter {
  /** What the store shall hold, a token or none; until the write of it begins. */
  private waiting: { readonly token: string | undefined } | undefined;
  private writing: Promise<WriteResult> = Promise.resolve({});

  constructor(
    private readonly store: TokenStore,
    private readonly report: (event: ClientEvent) => void,
  ) {}

  /** @param token undefined to remove the one that is stored. */
  write(token: string | undefined): void {
    const inTurn = this.waiting !== undefined;
    this.waiting = { token };
    if (!inTurn) this.writing = this.writing.then(() => this.next());
  }

  /** Resolves when the store holds what it was given last, or something newer, or could not. */
  written(): Promise<WriteResult> {
    return this.writing;
  }

  /** Waits for pending writes with a timeout, then reports the loss, and starts no further write. */
  async finish(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<'late'>((resolve) => {
      timer = setTimeout(() => resolve('late'), FINISH_WITHIN_MS);
    });
    const first = await Promise.race([this.writing, late]);
    clearTimeout(timer);
    if (first !== 'late') return;
    this.waiting = undefined;
    this.report({
      type: 'token_store_failed',
      reason: `The token store did not answer within ${FINISH_WITHIN_MS} ms after stop().`,
    });
  }

  private async next(): Promise<WriteResult> {
    const { waiting } = this;
    // Timed out meanwhile: a late write must not affect the store's next user.
    if (!waiting) return {};
    this.waiting = undefined;
    const { token } = waiting;
    try {
      await (token === undefined ? this.store.remove() : this.store.save(token));
    } catch (error) {
      this.report({ type: 'token_store_failed', reason: String(error) });
      return { error };
    }
    if (token !== undefined) this.report({ type: 'token_stored' });
    return {};
  }
}

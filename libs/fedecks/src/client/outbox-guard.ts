import { type ClientEvent } from './client-event.js';

type OutboxFailed = Extract<ClientEvent, { type: 'outbox_failed' }>;

/** When a store that has not answered is reported. */
const STALLED_AFTER_MS = 10_000;
const REPEATED_AFTER_MS = 60_000;

/** Calls a store that may throw or hang, and reports that. */
export class OutboxGuard {
  private last: { readonly reason: string; readonly atMs: number } | undefined;

  constructor(private readonly report: (event: ClientEvent) => void) {}

  /** Reports a failure, unless it is the one that was reported last, within a minute. */
  failed(cause: OutboxFailed['cause'], reason: string): void {
    const now = performance.now();
    if (this.last?.reason === reason && now - this.last.atMs < REPEATED_AFTER_MS) return;
    this.last = { reason, atMs: now };
    this.report({ type: 'outbox_failed', cause, reason });
  }

  /** Reports when it takes too long. Settles as `work` does. */
  async watch<T>(what: string, work: Promise<T>): Promise<T> {
    const seconds = STALLED_AFTER_MS / 1_000;
    const timer = setTimeout(
      () => this.failed('stalled', `${what} has not finished within ${seconds} s. Check the disk.`),
      STALLED_AFTER_MS,
    );
    timer.unref();
    try {
      return await work;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Resolves when `work` settles, or after so many milliseconds. What goes wrong is reported. */
  async within(ms: number, what: string, work: Promise<unknown>): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(() => {
        this.failed('stalled', `${what} has not finished within ${ms / 1_000} s. Check the disk.`);
        resolve();
      }, ms);
    });
    await Promise.race([work, late]).catch((error: unknown) => this.failed('write_failed', String(error)));
    clearTimeout(timer);
  }

  /** Calls what answers at once. Returns undefined if it throws. */
  attempt<T>(work: () => T): T | undefined {
    try {
      return work();
    } catch (error) {
      this.failed('write_failed', String(error));
      return undefined;
    }
  }
}

/** A piece of work: done when it returns, or when the promise it returns is settled. Must not throw or reject. */
export type Work = () => Promise<void> | undefined;

/** What a mailbox does to the one who fills it. */
export interface MailboxSource {
  /** As many messages wait as may: send no more. */
  pause(): void;
  resume(): void;
}

/** How long, in ms, a handler may run before somebody is told: all that comes after it waits for it. */
export const LONG_RUN_MS = 60_000;

/**
 * Does one thing after another, in order. Work that returns no promise is done at once and never queued: a
 * mailbox whose handlers are all synchronous is only a call.
 */
export class Mailbox {
  private readonly waiting: Work[] = [];
  /** Whether work is being waited for. */
  busy = false;
  private paused = false;

  /** @param limit how many may wait before the source is paused. It is resumed when half of them are done. */
  constructor(
    private readonly limit: number,
    private readonly source: MailboxSource,
  ) {}

  take(work: Work): void {
    if (!this.busy) {
      const working = work();
      if (working) this.wait(working);
      return;
    }
    this.waiting.push(work);
    if (this.paused || this.waiting.length < this.limit) return;
    this.paused = true;
    this.source.pause();
  }

  /** Resolves when all that has been taken until now is done. */
  done(): Promise<void> {
    return new Promise((resolve) => {
      this.take(() => {
        resolve();
        return undefined;
      });
    });
  }

  private wait(working: Promise<void>): void {
    this.busy = true;
    void working.then(() => this.next());
  }

  private next(): void {
    this.busy = false;
    let working: Promise<void> | undefined;
    while (!working && this.waiting.length > 0) working = this.waiting.shift()?.();
    if (working) this.wait(working);
    if (!this.paused || this.waiting.length > this.limit / 2) return;
    this.paused = false;
    this.source.resume();
  }
}

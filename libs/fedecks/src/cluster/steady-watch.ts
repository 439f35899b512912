import { type Bucket, type Kept } from './bucket.js';

/**
 * A watch that restarts at its last position whenever it ends. A store may end one silently, so it
 * is compared periodically with the bucket's last revision.
 */
export class SteadyWatch<T> {
  private bucket: Bucket<T> | undefined;
  private incarnation: string | undefined;
  /** The last revision that was told. */
  private seen = 0;
  /** The last revision there was at the check before, if that was since the start. */
  private due = 0;
  private isRunning = false;
  /** The generation of starts: events of earlier ones are dropped. */
  private starts = 0;
  private unwatch: () => void = () => undefined;

  /**
   * @param changed called for each change, in order.
   * @param trouble called when changes are not told any more, and with undefined when all of them are again.
   */
  constructor(
    private readonly keys: string,
    private readonly changed: (kept: Kept<T>) => void,
    private readonly trouble: (error: unknown) => void,
  ) {}

  /** Tells what was written since it was paused; where it has told nothing yet, what is written from now on. */
  resume(bucket: Bucket<T>): void {
    this.bucket = bucket;
    this.start(bucket);
  }

  pause(): void {
    this.bucket = undefined;
    this.stop();
  }

  /** @param revision the last one in the bucket. */
  check(revision: number): void {
    const { bucket, due } = this;
    if (!bucket) return;
    this.due = revision;
    if (!this.isRunning || due > this.seen) this.start(bucket);
  }

  stop(): void {
    this.starts++;
    this.isRunning = false;
    this.unwatch();
    this.unwatch = () => undefined;
  }

  private start(bucket: Bucket<T>): void {
    this.stop();
    this.isRunning = true;
    this.due = 0;
    const start = this.starts;
    this.run(bucket, start).catch((error: unknown) => this.onEnded(start, error));
  }

  private async run(bucket: Bucket<T>, start: number): Promise<void> {
    const { incarnation, revision } = await bucket.state();
    if (start !== this.starts) return;
    if (incarnation !== this.incarnation) {
      // All entries of a recreated bucket are new.
      this.seen = this.incarnation === undefined ? revision : 0;
      this.incarnation = incarnation;
    }
    const changed = (kept: Kept<T>): void => {
      if (start !== this.starts || kept.revision <= this.seen) return;
      this.seen = kept.revision;
      this.changed(kept);
    };
    const ended = (error: unknown): void => this.onEnded(start, error);
    const unwatch = await bucket.watch(this.keys, { changed, ended }, this.seen);
    if (start !== this.starts) {
      unwatch();
      return;
    }
    this.unwatch = unwatch;
    this.trouble(undefined);
  }

  private onEnded(start: number, error: unknown): void {
    if (start !== this.starts) return;
    this.stop();
    this.trouble(error);
  }
}

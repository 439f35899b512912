import { setTimeout as sleep } from 'node:timers/promises';
import { Logger } from '@nestjs/common';
import { Subject } from 'rxjs';
import { type BatchStore } from './batch-store.js';
import { type RecordedRows, type RecordedTable } from './recorded-rows.js';
import { type RecordingMetrics } from './recording-metrics.js';
import { type QueueLimits, type Waiting, WriteQueue } from './write-queue.js';

export interface BatchWriterOptions {
  /** How long, in milliseconds, rows are collected. */
  readonly everyMs: number;
  readonly queue: QueueLimits;
  readonly batch: QueueLimits;
  /** How long, in milliseconds, the end of the app waits for the database. */
  readonly endWithinMs: number;
}

const DEFAULTS: BatchWriterOptions = {
  everyMs: 500,
  queue: { rows: 100_000, bytes: 64 * 1_024 * 1_024 },
  batch: { rows: 2_000, bytes: 1_024 * 1_024 },
  endWithinMs: 2_000,
};

const FIRST_BACKOFF_MS = 250;
const MAX_BACKOFF_MS = 5_000;

/**
 * Collects rows in memory, and writes them in batches, one at a time. Who puts rows in never waits. While the database
 * cannot be reached, rows wait, up to a limit: what comes then is dropped, and counted.
 */
export class BatchWriter {
  /** Emits when a batch was written after one that could not be. */
  readonly recovered$ = new Subject<void>();
  private readonly logger = new Logger('Recording');
  private readonly options: BatchWriterOptions;
  private readonly queue: WriteQueue;
  private readonly ending = new AbortController();
  private running: Promise<void> | undefined;
  /** What has been taken from the queue, and is not written yet. */
  private readonly underway = new Set<Waiting>();
  private hasEnded = false;
  private lastNumber = 0;
  /** Rows that were put in, and those of them that are written or dropped: the oldest come first. */
  private added = 0;
  private finished = 0;
  /** Ends the pause in which rows are collected. */
  private stopCollecting = (): void => undefined;
  /** Each is called when so many rows are finished. */
  private readonly flushes: { readonly upTo: number; readonly resolve: () => void }[] = [];
  private failures = 0;
  private hasDropped = false;

  constructor(
    private readonly store: BatchStore,
    private readonly metrics: RecordingMetrics,
    options: Partial<BatchWriterOptions> = {},
  ) {
    this.options = { ...DEFAULTS, ...options };
    this.queue = new WriteQueue(this.options.queue);
  }

  /** Rows that are not written yet. */
  get waiting(): number {
    return this.queue.size + this.underway.size;
  }

  /**
   * Puts a row in, or drops it if there is no room.
   * @param bytes about how many it takes.
   */
  put<Table extends RecordedTable>(table: Table, row: RecordedRows[Table], bytes: number): void {
    this.add({ table, row, bytes, key: undefined });
  }

  /**
   * Puts a row in; a row of the table with the same key that waits already becomes one with it.
   * @param merge makes one of both.
   */
  putKeyed<Table extends RecordedTable>(
    table: Table,
    key: string,
    row: RecordedRows[Table],
    bytes: number,
    merge: (older: RecordedRows[Table], newer: RecordedRows[Table]) => RecordedRows[Table],
  ): void {
    const waiting = this.queue.find(table, key);
    if (!waiting) return this.add({ table, row, bytes, key });
    waiting.row = merge(waiting.row as RecordedRows[Table], row);
    this.queue.resize(waiting, Math.max(waiting.bytes, bytes));
  }

  /** Resolves when all that waits now is written or dropped. Waits for as long as the database is away. */
  async flush(): Promise<void> {
    if (this.waiting === 0) return;
    const upTo = this.added;
    const flushed = new Promise<void>((resolve) => this.flushes.push({ upTo, resolve }));
    this.stopCollecting();
    await flushed;
  }

  /** Writes what waits, within a time limit. What is left is dropped and counted. */
  async end(): Promise<void> {
    this.ending.abort();
    this.stopCollecting();
    const limit = sleep(this.options.endWithinMs, undefined, { ref: false });
    await Promise.race([this.running, limit]);
    this.hasEnded = true;
    const left = [...this.underway, ...this.queue.take({ rows: Infinity, bytes: Infinity })];
    if (left.length > 0)
      this.logger.error(`${left.length} rows about devices were not written: the app ends`);
    for (const { table } of left) this.metrics.onDropped(table);
    this.finish(this.added - this.finished);
  }

  private add(entry: Waiting): void {
    if (!this.hasEnded && this.queue.add(entry)) {
      this.added++;
      this.running ??= this.run();
      return;
    }
    this.metrics.onDropped(entry.table);
    if (!this.hasDropped)
      this.logger.error('Too many rows about devices wait for the database: more are dropped');
    this.hasDropped = true;
  }

  /** Until nothing waits. */
  private async run(): Promise<void> {
    const { everyMs, batch } = this.options;
    while (this.queue.size > 0 && !this.hasEnded) {
      // More than a batch would only grow while it waits.
      if (this.queue.size < batch.rows) await this.collect(everyMs);
      const taken = this.queue.take(batch);
      for (const entry of taken) this.underway.add(entry);
      await this.write(taken);
    }
    this.running = undefined;
  }

  /** Until it is written, or dropped. One that is refused is split, until the rows that are at fault are alone. */
  private async write(batch: readonly Waiting[]): Promise<void> {
    const number = ++this.lastNumber;
    while (!(await this.attempt(number, batch)) && !this.hasEnded) {
      if (this.failures === 0) return this.split(batch);
      // The end has its own limit: meanwhile it is tried as often as the database may be back.
      if (this.ending.signal.aborted) await sleep(FIRST_BACKOFF_MS, undefined, { ref: false });
      else await this.pause(backoffMs(this.failures));
    }
  }

  /** Whether it was written. If not, `failures` is 0 where the batch is at fault. */
  private async attempt(number: number, batch: readonly Waiting[]): Promise<boolean> {
    if (!this.store.isReady) {
      this.failures++;
      return false;
    }
    const startedAt = performance.now();
    const seconds = (): number => (performance.now() - startedAt) / 1_000;
    try {
      await this.store.write(number, batch);
    } catch (error) {
      const isRefused = !this.store.isWorthRepeating(error);
      this.metrics.onBatch(isRefused ? 'refused' : 'unreachable', seconds());
      this.failures = isRefused ? 0 : this.failures + 1;
      if (this.failures === 1)
        this.logger.warn('The database does not answer: what devices do waits in memory');
      if (isRefused && batch.length === 1) this.logger.error(`A row was refused: ${codeOf(error)}`);
      return false;
    }
    this.metrics.onBatch('written', seconds());
    // After the end they have been counted as dropped.
    if (!this.hasEnded) for (const { table } of batch) this.metrics.onWritten(table);
    for (const entry of batch) this.underway.delete(entry);
    this.finish(batch.length);
    this.onSuccess();
    return true;
  }

  private onSuccess(): void {
    this.hasDropped = false;
    if (this.failures === 0) return;
    this.failures = 0;
    this.logger.log('The database answers again');
    this.recovered$.next();
  }

  private async split(batch: readonly Waiting[]): Promise<void> {
    const [only] = batch;
    if (batch.length === 1 && only) {
      this.metrics.onDropped(only.table);
      this.underway.delete(only);
      this.finish(1);
      return;
    }
    const middle = Math.ceil(batch.length / 2);
    await this.write(batch.slice(0, middle));
    await this.write(batch.slice(middle));
  }

  private finish(rows: number): void {
    // After the end all of them are.
    this.finished = Math.min(this.finished + rows, this.added);
    while (this.flushes[0] && this.flushes[0].upTo <= this.finished) this.flushes.shift()?.resolve();
  }

  /** Not at all when the app ends, or while somebody waits for what is there. */
  private async collect(ms: number): Promise<void> {
    if (this.ending.signal.aborted || this.flushes.length > 0) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms).unref();
      this.stopCollecting = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** Shorter when the app ends. */
  private async pause(ms: number): Promise<void> {
    const { signal } = this.ending;
    await sleep(ms, undefined, { signal, ref: false }).catch(() => undefined);
  }
}

/** A random part, so that many nodes do not come back at once. */
function backoffMs(failures: number): number {
  return Math.min(MAX_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** (failures - 1)) * (0.5 + Math.random() / 2);
}

/** Not the message, which may quote the row. */
function codeOf(error: unknown): string {
  const { code } = error as { code?: unknown };
  return typeof code === 'string' ? `code ${code}` : 'unknown error';
}

import { explainFailure, notOpen, OutboxStoreError } from './errors.js';
import { type Files } from './files.js';
import { type Journal } from './journal.js';
import { type Durability, type OutboxFailure } from './outbox-store.js';
import { encodeRemoval } from './record.js';
import { PendingRemovals } from './pending-removals.js';
import { Sweeper } from './sweeper.js';
import { type Waiting } from './waiting.js';

/** Stands for a segment in the index while a record is in memory only. */
export const IN_MEMORY = 0xffff_ffff;
const BATCH_BYTES = 256 * 1024;

/** A record that is not yet on disk. */
export interface Unwritten {
  readonly lane: string;
  readonly seq: number;
  readonly frame: Buffer;
  readonly durability: Durability;
  /** When one of degree `memory` has to be written, on the monotonic clock. */
  readonly dueAt: number;
  /** It has been given to the disk: it may be there. */
  isWriting: boolean;
  /** It no longer waits. */
  isRemoved: boolean;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

export interface WriterOptions {
  readonly files: Files;
  readonly directory: string;
  readonly segmentBytes: number;
  readonly syncMs: number;
  readonly monotonicNow: () => number;
  readonly onFailure: (failure: OutboxFailure) => void;
  /** Called when a record is kept. */
  readonly onKept: (record: Unwritten) => void;
}

/** Writes records and removals to the journal: all that came meanwhile in one write, and one sync for each `syncMs`. */
export class Writer {
  private readonly unwritten = new Map<string, Map<number, Unwritten>>();
  /** Degrees `disk` and `power`, in order. */
  private queue: Unwritten[] = [];
  /** Degree `memory`, in order. */
  private readonly held = new Set<Unwritten>();
  private removals = new PendingRemovals();
  private hasUnsyncedRecords = false;
  private isScheduled = false;
  private isStopped = false;
  /** A failure is reported once, until a write succeeds. */
  private isFailing = false;
  private isTrimFailing = false;
  private readonly sweeper: Sweeper;
  private timer: NodeJS.Timeout | undefined;
  private working: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly journal: Journal,
    private readonly waiting: Waiting,
    private readonly options: WriterOptions,
  ) {
    this.sweeper = new Sweeper(options.files, options.segmentBytes);
  }

  /** The waiting record in memory with this number. */
  get(lane: string, seq: number): Unwritten | undefined {
    return this.unwritten.get(lane)?.get(seq);
  }

  put(record: Unwritten): void {
    if (this.isStopped) {
      record.reject(notOpen());
      return;
    }
    const { lane, seq, durability } = record;
    const ofLane = this.unwritten.get(lane) ?? new Map<number, Unwritten>();
    this.unwritten.set(lane, ofLane.set(seq, record));
    if (durability !== 'memory') {
      this.queue.push(record);
      this.schedule();
      return;
    }
    this.held.add(record);
    this.arm();
    this.keep(record);
  }

  /** The record no longer waits. Removals of a whole range are told with `removeThrough`. */
  forget(lane: string, seq: number): 'on disk' | 'never written' {
    const record = this.get(lane, seq);
    if (record === undefined) return 'on disk';
    this.unwritten.get(lane)?.delete(seq);
    this.held.delete(record);
    record.isRemoved = true;
    record.resolve();
    return record.isWriting ? 'on disk' : 'never written';
  }

  remove(lane: string, from: number, through: number): void {
    this.removals.add({ lane, from, through });
    this.arm();
  }

  /** Runs work that nothing else is written during. */
  exclusively<T>(work: () => Promise<T>): Promise<T> {
    const result = this.working.then(work);
    this.working = result.catch(() => undefined);
    return result;
  }

  /** Resolves when all that waits is on disk. Called exclusively. */
  async writeAll(): Promise<void> {
    while (this.queue.length > 0) await this.writeBatch(this.takeQueue());
    await this.writeBatch([...this.held]);
  }

  /** Resolves when all that was written survives a power cut. */
  async sync(): Promise<void> {
    this.hasUnsyncedRecords = false;
    try {
      await this.journal.sync();
    } catch (error) {
      const reason = `What was written last may not survive a power cut: ${this.explain(error)}`;
      this.options.onFailure({ cause: 'sync_failed', reason });
      throw this.failure(error);
    }
  }

  /** Work that is under way ends first. None begins later: the directory may be another store's then. */
  async stop(): Promise<void> {
    this.isStopped = true;
    clearTimeout(this.timer);
    await this.working;
  }

  private schedule(): void {
    if (this.isScheduled || this.isStopped) return;
    this.isScheduled = true;
    void this.exclusively(async () => {
      this.isScheduled = false;
      await this.writeBatch(this.takeQueue()).catch(() => undefined);
      await this.trim();
      if (this.queue.length > 0) this.schedule();
    });
  }

  private takeQueue(): Unwritten[] {
    let bytes = 0;
    let end = 0;
    while (end < this.queue.length && bytes < BATCH_BYTES) bytes += this.queue[end++]?.frame.length ?? 0;
    return this.queue.splice(0, end);
  }

  private async writeBatch(given: readonly Unwritten[]): Promise<void> {
    const records = given.filter(({ isRemoved }) => !isRemoved);
    const { removals } = this;
    if (records.length === 0 && removals.isEmpty) return;
    this.removals = new PendingRemovals();
    for (const record of records) record.isWriting = true;
    try {
      const frames = [...records.map(({ frame }) => frame), ...removals.list().map(encodeRemoval)];
      const { segment, offset } = await this.journal.append(Buffer.concat(frames));
      this.place(records, segment.number, offset);
    } catch (error) {
      this.removals = removals.and(this.removals);
      for (const record of records) record.isWriting = false;
      this.failing(records.filter(({ durability }) => durability !== 'memory'))(error);
      this.arm();
      throw this.failure(error);
    }
    this.isFailing = false;
    this.hasUnsyncedRecords ||= records.length > 0;
    const power = records.filter(({ durability }) => durability === 'power');
    if (power.length > 0) void this.syncFor(power);
    this.arm();
  }

  private async syncFor(records: readonly Unwritten[]): Promise<void> {
    try {
      await this.sync();
      for (const record of records) this.keep(record);
    } catch (error) {
      for (const record of records) record.reject(error as Error);
    }
  }

  private place(records: readonly Unwritten[], number: number, start: number): void {
    let offset = start;
    for (const record of records) {
      const { lane, seq, frame, durability } = record;
      // If it was removed meanwhile, its removal is written next.
      if (!record.isRemoved) {
        this.waiting.move(lane, seq, number, offset);
        this.journal.count(number, 1, frame.length);
        this.unwritten.get(lane)?.delete(seq);
        this.held.delete(record);
        if (durability === 'disk') this.keep(record);
      }
      offset += frame.length;
    }
  }

  private keep(record: Unwritten): void {
    if (!record.isRemoved) this.options.onKept(record);
    record.resolve();
  }

  /** Rejects what is not kept, and reports the first of several failures. */
  private failing(records: readonly Unwritten[]): (error: unknown) => void {
    return (error) => {
      const failure = this.failure(error);
      if (!this.isFailing) this.options.onFailure({ cause: 'write_failed', reason: failure.message });
      this.isFailing = true;
      for (const record of records) record.reject(failure);
    };
  }

  private failure(error: unknown): OutboxStoreError {
    return new OutboxStoreError('outbox-write-failed', this.explain(error), error);
  }

  private explain(error: unknown): string {
    return explainFailure(error, this.options.directory);
  }

  /** Sets a timer if anything is to be written or flushed later. While nothing is, there is none. */
  private arm(): void {
    if (this.timer !== undefined || this.isStopped) return;
    const [oldest] = this.held;
    if (oldest === undefined && this.removals.isEmpty && !this.hasUnsyncedRecords) return;
    const { syncMs, monotonicNow } = this.options;
    const untilDue =
      oldest === undefined || this.isFailing ? syncMs : Math.max(1, oldest.dueAt - monotonicNow());
    this.timer = setTimeout(() => void this.onTimer(), Math.min(syncMs, untilDue));
  }

  private async onTimer(): Promise<void> {
    this.timer = undefined;
    await this.exclusively(async () => {
      const now = this.options.monotonicNow();
      await this.writeBatch([...this.held].filter(({ dueAt }) => dueAt <= now)).catch(() => undefined);
      await this.trim();
    });
    // Reported already. What is written meanwhile need not wait for the disk.
    if (this.hasUnsyncedRecords) await this.sync().catch(() => undefined);
    this.arm();
  }

  private async trim(): Promise<void> {
    try {
      const { journal, waiting } = this;
      if (await this.sweeper.removeOldest(journal, waiting, () => this.sync())) this.schedule();
      this.isTrimFailing = false;
    } catch (error) {
      const reason = `A file that is no longer needed cannot be removed: ${this.explain(error)}`;
      if (!this.isTrimFailing) this.options.onFailure({ cause: 'write_failed', reason });
      this.isTrimFailing = true;
    }
  }
}

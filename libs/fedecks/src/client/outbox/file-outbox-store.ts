import { resolve } from 'node:path';
import { DirectoryLock } from './directory-lock.js';
import { explainFailure, notOpen, OutboxStoreError } from './errors.js';
import { type Files, nodeFiles } from './files.js';
import { type FoundLane } from '../../delivery/index.js';
import { newEpoch } from './epoch.js';
import { Journal } from './journal.js';
import { load } from './load.js';
import { type Moment, momentNow } from './moment.js';
import {
  type Durability,
  type Expired,
  type OutboxListener,
  type OutboxMessage,
  type OutboxRecord,
  type OutboxState,
  type OutboxStore,
} from './outbox-store.js';
import { checkFrame, decodePut, encodePut, frameBytes, type Opening } from './record.js';
import { type OutboxLimits, Waiting } from './waiting.js';
import { IN_MEMORY, type Unwritten, Writer } from './writer.js';

export interface FileOutboxOptions extends OutboxLimits {
  /** How long what is written may wait for the disk to flush it. @default 1,000 ms */
  readonly syncMs?: number;
  /** A file that is longer is not added to. @default 1 MiB */
  readonly segmentBytes?: number;
}

/** What a test replaces. */
export interface OutboxEnvironment {
  readonly files: Files;
  readonly now: () => Moment;
}

interface Opened {
  readonly listener: OutboxListener;
  readonly lock: DirectoryLock;
  readonly writer: Writer;
  readonly journal: Journal;
  readonly waiting: Waiting;
  openings: readonly Opening[];
}

/**
 * Keeps messages in a directory of its own, which it makes if need be (mode 0700; files 0600). Files are only appended to,
 * and removed when nothing in them waits. They take at most twice what waits, and 2 MiB. One process at a time can use
 * a directory.
 *
 * A million messages take less than 50 MB of memory, as what they say is on disk. Each waiting message with a `key`
 * takes about 200 bytes more.
 */
export class FileOutboxStore implements OutboxStore {
  private readonly directory: string;
  private readonly environment: OutboxEnvironment;
  private opened: Opened | undefined;

  constructor(
    directory: string,
    private readonly options: FileOutboxOptions = {},
    environment: Partial<OutboxEnvironment> = {},
  ) {
    this.directory = resolve(directory);
    this.environment = {
      files: nodeFiles,
      now: momentNow,
      ...environment,
    };
  }

  async open(listener: OutboxListener): Promise<OutboxState> {
    const { files, now } = this.environment;
    let lock: DirectoryLock | undefined;
    try {
      await files.makeDirectory(this.directory);
      lock = await DirectoryLock.take(files, this.directory, now().bootId);
      return await this.load(listener, lock);
    } catch (error) {
      if (lock !== undefined) this.opened = undefined;
      await lock?.release().catch(() => undefined);
      if (error instanceof OutboxStoreError) throw error;
      throw new OutboxStoreError('outbox-unusable', explainFailure(error, this.directory), error);
    }
  }

  private async load(listener: OutboxListener, lock: DirectoryLock): Promise<OutboxState> {
    const { files, now } = this.environment;
    const { directory, segmentBytes } = this;
    const waiting = new Waiting(this.options);
    const onDamage = (reason: string): void => listener.onFailure({ cause: 'damaged', reason });
    const loaded = await load({ files, directory, now: now(), waiting, onDamage });
    waiting.forgetEmptyLanes();
    const openings = waiting.open(loaded.openings, newEpoch());
    const journal = new Journal(files, directory, segmentBytes, loaded.segments, () => ({
      openings: opened.openings,
      ...waiting.lanesOfHeader(),
    }));
    const writer = new Writer(journal, waiting, {
      files,
      directory,
      segmentBytes,
      syncMs: this.options.syncMs ?? 1_000,
      monotonicNow: () => now().monotonicMs,
      onFailure: (failure) => listener.onFailure(failure),
      onKept: (record) => this.onKept(record),
    });
    const opened: Opened = { listener, lock, writer, journal, waiting, openings };
    await journal.writeHeader();
    this.opened = opened;
    return this.state();
  }

  async append(message: OutboxMessage, durability: Durability): Promise<number> {
    const { listener, waiting, writer } = this.required();
    waiting.check(message);
    const { lane, ttlMs } = message;
    const bytes = frameBytes(message);
    waiting.makeRoom(bytes, (oldestLane, oldest) => {
      this.remove(oldestLane, oldest);
      listener.onRemoved(oldestLane, oldest, 'dropped');
    });
    const putAt = this.environment.now();
    const seq = waiting.takeNumber(lane);
    const frame = encodePut({ ...message, seq, putAt }, waiting.numberOf(lane));
    waiting.add(lane, seq, { segment: IN_MEMORY, offset: 0, bytes }, putAt.monotonicMs + ttlMs);
    const dueAt = putAt.monotonicMs + (this.options.syncMs ?? 1_000);
    try {
      await new Promise<void>((resolve, reject) => {
        const record = { lane, seq, frame, durability, dueAt, isWriting: false, isRemoved: false };
        writer.put({ ...record, resolve, reject });
      });
    } catch (error) {
      this.remove(lane, seq);
      throw error;
    }
    return seq;
  }

  async read(lane: string, seq: number): Promise<OutboxRecord | undefined> {
    const { journal, waiting, writer } = this.required();
    for (;;) {
      const place = waiting.at(lane, seq);
      if (place === undefined) return undefined;
      if (place.segment === IN_MEMORY) return recordIn(writer.get(lane, seq)?.frame);
      const segment = journal.segment(place.segment);
      const frame = Buffer.allocUnsafe(place.bytes);
      const isRead = segment !== undefined && (await journal.read(segment, frame, place.offset));
      if (isRead && checkFrame(frame, 0, frame.length) === frame.length) return recordIn(frame);
      const after = waiting.at(lane, seq);
      // Its segment was removed while it moved.
      if (after?.segment === place.segment) this.onUnreadable(lane, seq);
    }
  }

  following(lane: string, seq: number): number | undefined {
    return this.required().waiting.following(lane, seq);
  }

  remove(lane: string, seq: number): void {
    if (this.forget(lane, seq)) this.required().writer.remove(lane, seq, seq);
  }

  acknowledge(lane: string, through: number): void {
    const { waiting, writer } = this.required();
    let isOnDisk = false;
    let seq = waiting.following(lane, 0);
    for (; seq !== undefined && seq <= through; seq = waiting.following(lane, seq)) {
      isOnDisk = this.forget(lane, seq) || isOnDisk;
    }
    if (isOnDisk) writer.remove(lane, 1, through);
  }

  expired(limit: number): Expired {
    return this.required().waiting.expired(this.environment.now().monotonicMs, limit);
  }

  state(): OutboxState {
    const { openings, waiting } = this.required();
    return { epoch: openings.at(-1)?.epoch ?? '', lanes: waiting.state() };
  }

  numberOf(lane: string): number {
    return this.required().waiting.numberOf(lane);
  }

  positions(): readonly FoundLane[] {
    const { openings, waiting } = this.required();
    return waiting.positions(openings);
  }

  async newEpoch(): Promise<OutboxState> {
    const opened = this.required();
    const { writer, journal, waiting, openings } = opened;
    try {
      await writer.exclusively(async () => {
        opened.openings = waiting.reopen(newEpoch());
        await journal.writeHeader();
      });
    } catch (error) {
      opened.openings = openings;
      throw new OutboxStoreError('outbox-write-failed', explainFailure(error, this.directory), error);
    }
    return this.state();
  }

  async flush(): Promise<void> {
    const { writer } = this.required();
    await writer.exclusively(() => writer.writeAll());
    await writer.sync();
  }

  async close(): Promise<void> {
    const { writer, journal, lock } = this.required();
    try {
      await this.flush();
    } finally {
      await writer.stop();
      this.opened = undefined;
      await journal.close();
      await lock.release();
    }
  }

  private onKept({ lane, seq, frame }: Unwritten): void {
    const { waiting, listener } = this.required();
    const { key } = decodePut(frame, 0);
    const replaced = key === undefined ? undefined : waiting.claimKey(lane, seq, key);
    if (replaced === undefined) return;
    this.remove(lane, replaced);
    listener.onRemoved(lane, replaced, 'replaced');
  }

  private onUnreadable(lane: string, seq: number): void {
    const { listener } = this.required();
    this.remove(lane, seq);
    const reason = `Message ${seq} of lane '${lane}' in ${this.directory} is damaged and lost. Check the disk.`;
    listener.onFailure({ cause: 'damaged', reason });
    listener.onRemoved(lane, seq, 'damaged');
  }

  /** The record no longer waits. Returns whether it is on disk. */
  private forget(lane: string, seq: number): boolean {
    const { journal, waiting, writer } = this.required();
    const place = waiting.at(lane, seq);
    if (place === undefined) return false;
    waiting.remove(lane, seq);
    if (place.segment === IN_MEMORY) return writer.forget(lane, seq) === 'on disk';
    journal.count(place.segment, -1, -place.bytes);
    return true;
  }

  private get segmentBytes(): number {
    return this.options.segmentBytes ?? 1024 * 1024;
  }

  private required(): Opened {
    if (this.opened === undefined) throw notOpen();
    return this.opened;
  }
}

function recordIn(frame: Buffer | undefined): OutboxRecord | undefined {
  if (frame === undefined) return undefined;
  const { lane, seq, key, ttlMs, putAt, messageStart } = decodePut(frame, 0);
  return { lane, seq, key, ttlMs, putAt, message: Uint8Array.from(frame.subarray(messageStart)) };
}

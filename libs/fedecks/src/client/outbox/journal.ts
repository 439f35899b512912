import { join } from 'node:path';
import { type Files } from './files.js';
import { encodeHeader, encodeSeal, type Header } from './record.js';
import { fill, type Segment, segmentName } from './segment.js';

/**
 * The files of a store: appends to the newest segment, begins another when it is full, removes the oldest when nothing in
 * it waits. Only the oldest is ever removed: what says that a record is gone must not go before the record.
 */
export class Journal {
  private isDirty = false;
  /** The newest segment cannot be written to: a write has failed and could not be undone. */
  private isBroken = false;
  /** Syncs, one after another. */
  private syncing: Promise<unknown> = Promise.resolve();
  /** Reads and removals of files, one after another: no file is removed while it is read. */
  private reading: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly files: Files,
    private readonly directory: string,
    private readonly segmentBytes: number,
    /** Oldest first. The last one is written to. */
    readonly segments: Segment[],
    private readonly headerNow: () => Header,
  ) {}

  get bytes(): number {
    return this.segments.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  get liveBytes(): number {
    return this.segments.reduce((sum, { liveBytes }) => sum + liveBytes, 0);
  }

  segment(number: number): Segment | undefined {
    return this.segments[number - this.oldest.number];
  }

  /** So many more records wait in a segment. */
  count(number: number, records: number, bytes: number): void {
    const segment = this.segment(number);
    if (segment === undefined) return;
    segment.live += records;
    segment.liveBytes += bytes;
  }

  get oldest(): Segment {
    return this.segments[0] as Segment;
  }

  private get newest(): Segment {
    return this.segments[this.segments.length - 1] as Segment;
  }

  /** Writes the header once more. Resolves when it survives a power cut. */
  async writeHeader(): Promise<void> {
    await this.append(encodeHeader(this.headerNow()));
    await this.sync();
  }

  /** Resolves when the bytes survive the end of the process, with where they are. */
  async append(bytes: Uint8Array): Promise<{ readonly segment: Segment; readonly offset: number }> {
    if (this.newest.bytes >= this.segmentBytes || this.isBroken) await this.beginSegment();
    const segment = this.newest;
    const offset = segment.bytes;
    await this.write(segment, bytes);
    return { segment, offset };
  }

  private async write(segment: Segment, bytes: Uint8Array): Promise<void> {
    const file = await this.open(segment);
    try {
      await file.write(bytes, segment.bytes);
    } catch (error) {
      // Half a frame must not stand between what is intact and what comes next.
      await file.truncate(segment.bytes).catch(() => (this.isBroken = true));
      throw error;
    }
    segment.bytes += bytes.length;
    this.isDirty = true;
  }

  /** Resolves when all that was appended before survives a power cut. */
  sync(): Promise<void> {
    const sync = this.syncing.then(() => this.syncNewest());
    this.syncing = sync.catch(() => undefined);
    return sync;
  }

  private async syncNewest(): Promise<void> {
    if (!this.isDirty) return;
    this.isDirty = false;
    try {
      await (await this.open(this.newest)).sync();
    } catch (error) {
      // The system may have forgotten what it could not write: a second sync of this file would prove nothing.
      this.isBroken = true;
      throw error;
    }
  }

  private async beginSegment(): Promise<void> {
    const last = this.newest;
    if (!this.isBroken) {
      await this.write(last, encodeSeal());
      await this.sync();
    }
    const segment = await createSegment(this.files, this.directory, last.number + 1, this.headerNow());
    this.segments.push(segment);
    this.isBroken = false;
    await this.inTurn(() => this.closeFile(last));
  }

  /** Fills `buffer` from a segment; false if it has less, or the disk cannot read it. */
  read({ number }: Segment, buffer: Buffer, offset: number): Promise<boolean> {
    return this.inTurn(async () => {
      const segment = this.segment(number);
      if (segment === undefined) return false;
      const wasOpen = segment.file !== undefined;
      const file = await this.open(segment);
      if (!wasOpen) await this.closeAllBut(segment);
      return (await fill(file, buffer, offset).catch(ifUnreadable)) === buffer.length;
    });
  }

  /** Removes the oldest segment. Resolves when that survives a power cut. */
  removeOldest(): Promise<void> {
    return this.inTurn(async () => {
      const { oldest } = this;
      await this.closeFile(oldest);
      await this.files.unlink(oldest.path);
      this.segments.shift();
      await this.files.syncDirectory(this.directory);
    });
  }

  async close(): Promise<void> {
    await this.inTurn(async () => {
      await this.syncing;
      for (const segment of this.segments) await this.closeFile(segment);
    });
  }

  async open(segment: Segment): Promise<NonNullable<Segment['file']>> {
    segment.file ??= await this.files.open(segment.path, 'update');
    return segment.file;
  }

  /** Of the older segments, one is kept open. */
  private async closeAllBut(kept: Segment): Promise<void> {
    for (const segment of this.segments) {
      if (segment !== kept && segment !== this.newest) await this.closeFile(segment);
    }
  }

  private async closeFile(segment: Segment): Promise<void> {
    const { file } = segment;
    segment.file = undefined;
    await file?.close();
  }

  private inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.reading.then(work);
    this.reading = result.catch(() => undefined);
    return result;
  }
}

/** Makes a segment with a header, and more frames. It appears in one step, when all of it survives a power cut. */
export async function createSegment(
  files: Files,
  directory: string,
  number: number,
  header: Header,
  ...frames: Buffer[]
): Promise<Segment> {
  const path = join(directory, segmentName(number));
  const unfinished = `${path}.new`;
  await files.unlink(unfinished).catch(() => undefined);
  const file = await files.open(unfinished, 'create');
  const bytes = Buffer.concat([encodeHeader(header), ...frames]);
  try {
    await file.write(bytes, 0);
    await file.sync();
    await files.rename(unfinished, path);
  } catch (error) {
    await file.close().catch(() => undefined);
    await files.unlink(unfinished).catch(() => undefined);
    throw error;
  }
  await files.syncDirectory(directory);
  return { number, path, bytes: bytes.length, live: 0, liveBytes: 0, file };
}

function ifUnreadable(error: unknown): number {
  if ((error as NodeJS.ErrnoException).code === 'EIO') return 0;
  throw error as Error;
}

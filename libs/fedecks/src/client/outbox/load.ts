import { join } from 'node:path';
import { OutboxStoreError } from './errors.js';
import { type Files, type OpenFile } from './files.js';
import { createSegment } from './journal.js';
import { ageOf, type Moment } from './moment.js';
import {
  decodeHeader,
  decodePut,
  decodeRemoval,
  encodeSeal,
  HEADER,
  type Opening,
  PUT,
  REMOVE,
  SEAL,
  typeAt,
} from './record.js';
import { parseSegmentName, readFrames, type Segment, segmentName } from './segment.js';
import { type Waiting } from './waiting.js';

/** What the files of a directory say, beside what waits. */
export interface Loaded {
  /** Oldest first. */
  readonly segments: Segment[];
  readonly openings: readonly Opening[];
}

export interface LoadOptions {
  readonly files: Files;
  readonly directory: string;
  readonly now: Moment;
  /** Takes what waits. */
  readonly waiting: Waiting;
  /** Called with a sentence for each damage. */
  readonly onDamage: (reason: string) => void;
}

/**
 * Reads the segments of a directory, oldest first, and mends them: what is damaged is cut off, up to the end of its
 * segment, so that it is reported once. Makes the first segment where there is none.
 */
export async function load(options: LoadOptions): Promise<Loaded> {
  const { files, directory } = options;
  const names = await files.list(directory);
  for (const name of names) if (name.endsWith('.outbox.new')) await files.unlink(join(directory, name));
  const numbers = names.flatMap((name) => parseSegmentName(name) ?? []).sort((a, b) => a - b);
  return new Loader(options).load(numbers);
}

class Loader {
  private readonly segments: Segment[] = [];
  private openings: readonly Opening[] = [];

  constructor(private readonly options: LoadOptions) {}

  async load(numbers: readonly number[]): Promise<Loaded> {
    const last = numbers.at(-1);
    for (let number = numbers[0] ?? 0; last !== undefined && number <= last; number++) {
      if (numbers.includes(number)) await this.loadSegment(number, number === last);
      else await this.replaceMissing(number);
    }
    if (last === undefined) this.segments.push(await this.create(1));
    const { segments, openings } = this;
    return { segments, openings };
  }

  private create(number: number, ...frames: Buffer[]): Promise<Segment> {
    const { files, directory, waiting } = this.options;
    const header = { openings: this.openings, ...waiting.lanesOfHeader() };
    return createSegment(files, directory, number, header, ...frames);
  }

  private path(number: number): string {
    return join(this.options.directory, segmentName(number));
  }

  private async loadSegment(number: number, isLast: boolean): Promise<void> {
    const path = this.path(number);
    const file = await this.options.files.open(path, 'update');
    const segment: Segment = { number, path, bytes: 0, live: 0, liveBytes: 0, file };
    const size = await file.size();
    const seen = { hasHeader: false, isSealed: false };
    this.segments.push(segment);
    const end = await readFrames(file, size, (bytes, start, length, offset) => {
      if (offset === 0) seen.hasHeader = this.applyHeader(bytes, start);
      else if (seen.hasHeader) this.apply(segment, bytes, start, length, offset);
      seen.isSealed = typeAt(bytes, start) === SEAL;
      return undefined;
    });
    const { hasHeader, isSealed } = seen;
    if (!hasHeader) {
      this.damaged(`The start of ${path} is damaged: its ${size} bytes are lost.`);
      await closeFile(segment);
      Object.assign(segment, await this.create(number, ...(isLast ? [] : [encodeSeal()])));
    } else {
      segment.bytes = end;
      if (end < size) this.damaged(`${path} is damaged or cut at byte ${end}: ${size - end} bytes are lost.`);
      else if (!isLast && !isSealed)
        this.damaged(`${path} ends too early, at byte ${end}: what followed is lost.`);
      if (end < size || (!isLast && !isSealed)) await mend(segment, file);
    }
    if (!isLast) await closeFile(segment);
  }

  /** Returns false if there is none. */
  private applyHeader(bytes: Buffer, start: number): boolean {
    const header = decodeHeader(bytes, start);
    if (header === 'newer') {
      throw new OutboxStoreError(
        'outbox-unusable',
        `A newer version has written the outbox in ${this.options.directory}: use that version, or another directory.`,
      );
    }
    if (header === undefined) return false;
    this.openings = header.openings;
    this.options.waiting.applyHeader(header, (lane, seq) => this.remove(lane, seq));
    return true;
  }

  private apply(segment: Segment, bytes: Buffer, start: number, length: number, offset: number): void {
    const { waiting, now } = this.options;
    const type = typeAt(bytes, start);
    if (type === HEADER) this.applyHeader(bytes, start);
    if (type === REMOVE) {
      const { lane, from, through } = decodeRemoval(bytes, start);
      let seq = waiting.following(lane, from - 1);
      for (; seq !== undefined && seq <= through; seq = waiting.following(lane, seq)) this.remove(lane, seq);
    }
    if (type !== PUT) return;
    const { lane, laneNumber, seq, key, ttlMs, putAt } = decodePut(bytes, start);
    waiting.observe(lane, laneNumber, seq);
    // A copy of a record that was about to move when the process ended.
    this.remove(lane, seq);
    const age = ageOf(putAt, now);
    const expiry = now.monotonicMs + ttlMs - Math.max(0, age);
    waiting.add(lane, seq, { segment: segment.number, offset, bytes: length }, expiry);
    segment.live++;
    segment.liveBytes += length;
    if (key === undefined) return;
    const replaced = waiting.claimKey(lane, seq, key);
    if (replaced !== undefined) this.remove(lane, replaced);
  }

  private remove(lane: string, seq: number): void {
    const { waiting } = this.options;
    const place = waiting.at(lane, seq);
    if (place === undefined) return;
    waiting.remove(lane, seq);
    const segment = this.segments[place.segment - (this.segments[0]?.number ?? 0)];
    if (segment === undefined) return;
    segment.live--;
    segment.liveBytes -= place.bytes;
  }

  private async replaceMissing(number: number): Promise<void> {
    this.damaged(`${this.path(number)} is missing: what was in it is lost.`);
    const segment = await this.create(number, encodeSeal());
    this.segments.push(segment);
    await closeFile(segment);
  }

  private damaged(reason: string): void {
    this.options.onDamage(`${reason} Check the disk.`);
  }
}

/** Cuts off what is damaged, and marks what is left as complete. */
async function mend(segment: Segment, file: OpenFile): Promise<void> {
  await file.truncate(segment.bytes);
  const seal = encodeSeal();
  await file.write(seal, segment.bytes);
  await file.sync();
  segment.bytes += seal.length;
}

async function closeFile(segment: Segment): Promise<void> {
  await segment.file?.close();
  segment.file = undefined;
}

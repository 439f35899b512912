import { type OpenFile } from './files.js';
import { checkFrame } from './record.js';

const CHUNK_BYTES = 1024 * 1024;
const NAME = /^([0-9a-f]{8})\.outbox$/;

/** A file of frames: a header, then what happened, in order. */
export interface Segment {
  readonly number: number;
  readonly path: string;
  /** The length of what is intact. */
  bytes: number;
  /** How many records in it wait, and their bytes. */
  live: number;
  liveBytes: number;
  /** Open while it is used. */
  file: OpenFile | undefined;
}

export function segmentName(number: number): string {
  return `${number.toString(16).padStart(8, '0')}.outbox`;
}

export function parseSegmentName(name: string): number | undefined {
  const digits = NAME.exec(name)?.[1];
  return digits === undefined ? undefined : parseInt(digits, 16);
}

/**
 * Calls `onFrame` with each intact frame of a file, in order, up to the first that is damaged or cut.
 * @param onFrame `offset` is where the frame begins in the file, `start` where it begins in `bytes`, which are reused. A
 *   promise is waited for.
 * @returns where the intact frames end.
 */
export async function readFrames(
  file: OpenFile,
  size: number,
  onFrame: (bytes: Buffer, start: number, length: number, offset: number) => undefined | Promise<void>,
): Promise<number> {
  let buffer = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, size));
  let offset = 0;
  let filled = 0;
  for (;;) {
    filled += await fill(
      file,
      buffer.subarray(filled, Math.min(buffer.length, size - offset)),
      offset + filled,
    );
    let start = 0;
    let length = checkFrame(buffer, start, filled);
    for (; length > 0; length = checkFrame(buffer, start, filled)) {
      const pending = onFrame(buffer, start, length, offset + start);
      if (pending !== undefined) await pending;
      start += length;
    }
    const isCut = offset + start - length > size || offset + filled >= size;
    if (length === 0 || isCut) return offset + start;
    const next = -length > buffer.length ? Buffer.allocUnsafe(-length) : buffer;
    buffer.copy(next, 0, start, filled);
    buffer = next;
    offset += start;
    filled -= start;
  }
}

/** Reads until `buffer` is full or the file ends. */
export async function fill(file: OpenFile, buffer: Buffer, position: number): Promise<number> {
  let done = 0;
  while (done < buffer.length) {
    const read = await file.read(buffer.subarray(done), position + done);
    if (read === 0) break;
    done += read;
  }
  return done;
}

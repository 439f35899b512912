import { type Files } from './files.js';
import { decodePut, PUT, type PutHead, typeAt } from './record.js';
import { readFrames, type Segment } from './segment.js';
import { type Waiting } from './waiting.js';

/** A frame of a record that waits. It is a copy. */
export interface LiveFrame {
  readonly head: PutHead;
  readonly frame: Buffer;
  readonly offset: number;
}

const BATCH_BYTES = 256 * 1024;

/**
 * Calls `onBatch` with the frames in a segment whose records wait there, some at a time.
 * @returns false if the segment is damaged, so that some are missing.
 */
export async function readLiveFrames(
  files: Files,
  segment: Segment,
  waiting: Waiting,
  onBatch: (batch: readonly LiveFrame[]) => Promise<void>,
): Promise<boolean> {
  let batch: LiveFrame[] = [];
  let bytes = 0;
  const flush = async (): Promise<void> => {
    const full = batch;
    batch = [];
    bytes = 0;
    if (full.length > 0) await onBatch(full);
  };
  // A handle of its own: others read and close the one of the segment.
  const file = await files.open(segment.path, 'read');
  try {
    const end = await readFrames(file, segment.bytes, (buffer, start, length, offset) => {
      if (typeAt(buffer, start) !== PUT) return undefined;
      const head = decodePut(buffer, start);
      const place = waiting.at(head.lane, head.seq);
      if (place?.segment !== segment.number || place.offset !== offset) return undefined;
      batch.push({ head, frame: Buffer.from(buffer.subarray(start, start + length)), offset });
      bytes += length;
      return bytes < BATCH_BYTES ? undefined : flush();
    });
    await flush();
    return end === segment.bytes;
  } finally {
    await file.close();
  }
}

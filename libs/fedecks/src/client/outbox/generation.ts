import { randomBytes } from 'node:crypto';
import { type Files } from './files.js';
import { createSegment, type Journal, type JournalState, RESERVED_NUMBERS } from './journal.js';
import { readLiveFrames } from './live-frames.js';
import { ageOf, type Moment } from './moment.js';
import { renumber } from './record.js';
import { type Segment } from './segment.js';
import { type Waiting } from './waiting.js';

export interface GenerationOptions {
  readonly files: Files;
  readonly directory: string;
  readonly machine: Uint8Array;
  readonly now: Moment;
}

/**
 * Writes all that waits into one file of a new generation, under a new epoch, numbered from 1 in each lane. It takes over
 * when it appears: a power cut leaves the old numbers or the new ones.
 */
export async function beginGeneration(
  { files, directory, machine, now }: GenerationOptions,
  journal: Journal,
  waiting: Waiting,
  onDamage: (reason: string) => void,
): Promise<JournalState & { readonly waiting: Waiting }> {
  const fresh = waiting.emptied(1);
  const header = {
    epoch: Uint8Array.from(randomBytes(16)),
    machine,
    ceiling: waiting.count + 1 + RESERVED_NUMBERS,
  };
  const generation = journal.generation + 1;
  const copy = async (old: Segment, write: (bytes: Uint8Array) => Promise<number>): Promise<void> => {
    const isIntact = await readLiveFrames(files, old, waiting, async (batch) => {
      const seqs = batch.map(({ head }) => waiting.rank(head.lane, head.seq) + 1);
      let offset = await write(
        Buffer.concat(batch.map(({ frame }, index) => renumber(frame, seqs[index] ?? 0))),
      );
      for (const [index, { head, frame }] of batch.entries()) {
        const seq = seqs[index] ?? 0;
        const expiry = now.monotonicMs + head.ttlMs - Math.max(0, ageOf(head.putAt, now));
        fresh.add(head.lane, seq, { segment: 1, offset, bytes: frame.length }, expiry);
        if (head.key !== undefined) fresh.claimKey(head.lane, seq, head.key);
        offset += frame.length;
      }
    });
    if (!isIntact) onDamage(`${old.path} is damaged: some messages in it are lost. Check the disk.`);
  };
  const segment = await createSegment(files, directory, generation, 1, header, async (write) => {
    for (const old of journal.segments) await copy(old, write);
  });
  segment.live = fresh.count;
  segment.liveBytes = fresh.bytes;
  return { generation, segments: [segment], header, waiting: fresh };
}

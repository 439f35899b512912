import { type Files } from './files.js';
import { type Journal } from './journal.js';
import { type LiveFrame, readLiveFrames } from './live-frames.js';
import { type Waiting } from './waiting.js';

/** Frees the disk: removes the oldest segment when nothing in it waits, and sees to it that this happens. */
export class Sweeper {
  /** False once a segment turned out to be damaged: the next open cuts it off. */
  private canCopy = true;

  constructor(
    private readonly files: Files,
    private readonly segmentBytes: number,
  ) {}

  /**
   * Removes the oldest segment if nothing in it waits. Copies what waits there if too much of all segments is dead.
   * @param sync flushes what was written.
   * @returns whether there may be more to remove.
   */
  async removeOldest(journal: Journal, waiting: Waiting, sync: () => Promise<void>): Promise<boolean> {
    if (journal.segments.length === 1) return false;
    const { oldest } = journal;
    if (oldest.live > 0) {
      const isSparse = journal.bytes > 2 * journal.liveBytes + 2 * this.segmentBytes;
      if (!isSparse || !this.canCopy) return false;
      this.canCopy = await readLiveFrames(this.files, oldest, waiting, (batch) =>
        copy(journal, waiting, batch),
      );
      if (oldest.live > 0) return false;
    }
    // What has taken the place of its records must not be lost with them.
    await sync();
    await journal.removeOldest();
    return true;
  }
}

async function copy(journal: Journal, waiting: Waiting, batch: readonly LiveFrame[]): Promise<void> {
  const from = journal.oldest.number;
  const { segment, offset } = await journal.append(Buffer.concat(batch.map(({ frame }) => frame)));
  let at = offset;
  for (const { head, frame } of batch) {
    // Meanwhile it may have been removed.
    if (waiting.at(head.lane, head.seq)?.segment === from) {
      waiting.move(head.lane, head.seq, segment.number, at);
      journal.count(from, -1, -frame.length);
      journal.count(segment.number, 1, frame.length);
    }
    at += frame.length;
  }
}

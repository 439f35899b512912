import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { type HandledPosition, isDeliveryClaim } from '../delivery/index.js';
import { type Files, nodeFiles, type OpenFile } from './outbox/files.js';

const FORMAT = 'fedecks-positions 1';
/** The positions of eight lanes have less than 1 KB. */
const MAX_FILE_BYTES = 4_096;

/**
 * Keeps the positions in the file `positions` of a directory, for one device id. A power cut at any moment leaves the old
 * file or the new one: a new one is written beside the old, flushed, and moved into its place. A checksum detects any
 * damage.
 */
export class PositionsFile {
  private readonly current: string;
  private readonly unfinished: string;
  private readonly owner: string;

  constructor(
    private readonly directory: string,
    deviceId: string,
    private readonly files: Files = nodeFiles,
  ) {
    this.current = join(directory, 'positions');
    this.unfinished = join(directory, 'positions.new');
    this.owner = sha256(deviceId);
  }

  /** The positions saved last; none if there is no such file. @param report takes why the file counts as none. */
  async load(report: (reason: string) => void): Promise<readonly HandledPosition[]> {
    const found = await this.read();
    if (typeof found !== 'string') return found;
    report(
      `${found}: what was handled before this start, and has not been acknowledged, may be handled again.`,
    );
    return [];
  }

  /** Resolves when they survive a power cut. */
  async save(positions: readonly HandledPosition[]): Promise<void> {
    const { files } = this;
    await files.makeDirectory(this.directory);
    // An earlier attempt may have left one.
    await files.unlink(this.unfinished).catch((error: unknown) => {
      if (!isMissing(error)) throw error as Error;
    });
    const content = `${this.owner}\n${JSON.stringify(positions)}\n`;
    const file = await files.open(this.unfinished, 'create');
    try {
      await file.write(Buffer.from(`${FORMAT}\n${sha256(content)}\n${content}`), 0);
      await file.sync();
    } finally {
      await file.close();
    }
    await files.rename(this.unfinished, this.current);
    await files.syncDirectory(this.directory);
  }

  /** The positions, or what is wrong with the file. */
  private async read(): Promise<readonly HandledPosition[] | string> {
    try {
      const file = await this.files.open(this.current, 'read');
      try {
        return this.parse(await textOf(file));
      } finally {
        await file.close();
      }
    } catch (error) {
      return isMissing(error) ? [] : `${this.current} cannot be read (${String(error)})`;
    }
  }

  private parse(text: string): readonly HandledPosition[] | string {
    const [, checksum, owner, json = ''] = text.split('\n');
    const content = `${owner}\n${json}\n`;
    if (text !== `${FORMAT}\n${checksum}\n${content}` || checksum !== sha256(content))
      return `${this.current} is damaged`;
    if (owner !== this.owner) return `${this.current} is that of another device id`;
    const handled = JSON.parse(json) as readonly HandledPosition[];
    return isDeliveryClaim({ generation: 0, handled }) ? handled : `${this.current} is damaged`;
  }
}

async function textOf(file: OpenFile): Promise<string> {
  // One extra byte, to detect a longer file.
  const buffer = Buffer.alloc(MAX_FILE_BYTES + 1);
  let length = 0;
  for (let bytesRead = -1; bytesRead !== 0 && length < buffer.length; length += bytesRead)
    bytesRead = await file.read(buffer.subarray(length), length);
  return buffer.toString('latin1', 0, length);
}

function isMissing(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'ENOENT';
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

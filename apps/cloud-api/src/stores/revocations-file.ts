import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Revocation } from './revocation-table.js';

/** How long, in milliseconds, changes are collected. */
const COLLECT_MS = 1_000;
const FORMAT = 1;

/**
 * A copy of the revocations on the disk, so that a start without the database knows them: `revocations.json`, for its
 * owner alone. A power cut leaves the old one or the new one.
 */
export class RevocationsFile {
  private readonly path: string;
  private timer: NodeJS.Timeout | undefined;
  private current: Promise<void> = Promise.resolve();
  private next: Promise<void> | undefined;
  private isClosed = false;

  /**
   * @param directory is made where it does not exist.
   * @param contents what is to be written at that moment.
   * @param onFailure is told why a copy that nobody waits for could not be written.
   */
  constructor(
    private readonly directory: string,
    private readonly contents: () => Iterable<Revocation>,
    private readonly onFailure: (error: unknown) => void,
  ) {
    this.path = join(directory, 'revocations.json');
  }

  /**
   * What was written last; undefined if there is no file.
   * @throws {Error} (rejects) when it cannot be read, or was not written by this class.
   */
  async read(): Promise<readonly Revocation[] | undefined> {
    let text: string;
    try {
      text = await readFile(this.path, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
    return parse(text);
  }

  /** Writes what is to be written within a second. */
  save(): void {
    if (this.isClosed) return;
    this.timer ??= setTimeout(() => void this.flush().catch(this.onFailure), COLLECT_MS);
  }

  /** Writes what {@link save} has left for later, and nothing after that. Rejects as {@link flush}. */
  close(): Promise<void> {
    this.isClosed = true;
    return this.timer ? this.flush() : (this.next ?? this.current);
  }

  /**
   * Writes what is to be written now. Resolves when it would survive a power cut.
   * @throws {Error} (rejects) when it cannot be written.
   */
  flush(): Promise<void> {
    clearTimeout(this.timer);
    this.timer = undefined;
    // All that ask while one copy is written share the one after it.
    return (this.next ??= this.current
      .catch(() => undefined)
      .then(() => {
        this.next = undefined;
        return (this.current = this.write());
      }));
  }

  private async write(): Promise<void> {
    const revocations = Array.from(this.contents(), ({ deviceId, at, until }) => [deviceId, at, until]);
    const text = JSON.stringify({ format: FORMAT, revocations });
    await mkdir(this.directory, { recursive: true, mode: 0o700 });
    // Processes of one machine may share the directory.
    const unfinished = `${this.path}.${process.pid}.new`;
    try {
      await writeThrough(unfinished, text);
      await rename(unfinished, this.path);
    } catch (error) {
      await rm(unfinished, { force: true }).catch(() => undefined);
      throw error;
    }
    await syncDirectory(dirname(this.path));
  }
}

async function writeThrough(path: string, text: string): Promise<void> {
  const file = await open(path, 'w', 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

function parse(text: string): readonly Revocation[] {
  const { format, revocations } = parsedObject(text);
  if (format !== FORMAT || !Array.isArray(revocations))
    throw new Error('revocations.json is not a file of this version of the app.');
  return revocations.map((row: unknown) => {
    const [deviceId, at, until] = Array.isArray(row) ? (row as unknown[]) : [];
    if (typeof deviceId !== 'string' || !Number.isSafeInteger(at) || !Number.isSafeInteger(until))
      throw new Error('revocations.json has an entry that is not a device id and two times.');
    return { deviceId, at: at as number, until: until as number };
  });
}

function parsedObject(text: string): { readonly format?: unknown; readonly revocations?: unknown } {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Error('revocations.json is not JSON.');
  }
  return typeof value === 'object' && value !== null ? value : {};
}

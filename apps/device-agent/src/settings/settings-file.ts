import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { problemsOfChange, type SettingsChange } from './settings.js';

/** All settings have less than 200 bytes. */
const MAX_FILE_BYTES = 4_096;

/**
 * Keeps the settings in the file `settings.json` of a directory. A power cut at any moment leaves the old file or the new
 * one: a new one is written beside the old, flushed, and moved into its place.
 */
export class SettingsFile {
  private readonly current: string;
  private readonly unfinished: string;

  constructor(private readonly directory: string) {
    this.current = join(directory, 'settings.json');
    this.unfinished = join(directory, 'settings.json.new');
  }

  /** The settings that were saved last; none if there is no such file. @throws {Error} that says why it cannot be used. */
  load(): SettingsChange {
    const text = this.read();
    if (text === undefined) return {};
    let saved: unknown;
    try {
      saved = JSON.parse(text);
    } catch {
      throw new Error(`${this.current} is damaged`);
    }
    const problems = problemsOfChange(saved);
    if (problems.length > 0) throw new Error(`${this.current} is wrong: ${problems.join('; ')}`);
    return saved as SettingsChange;
  }

  /** Resolves when they survive a power cut. */
  async save(settings: SettingsChange): Promise<void> {
    await mkdir(this.directory, { recursive: true, mode: 0o700 });
    // An earlier attempt may have left one.
    await rm(this.unfinished, { force: true });
    const file = await open(this.unfinished, 'wx', 0o600);
    try {
      await file.writeFile(`${JSON.stringify(settings)}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(this.unfinished, this.current);
    const directory = await open(this.directory, 'r');
    try {
      await directory.sync();
    } finally {
      await directory.close();
    }
  }

  /** A FIFO would hang whoever opens it. */
  private read(): string | undefined {
    let file: number;
    try {
      file = openSync(this.current, constants.O_RDONLY | constants.O_NONBLOCK);
    } catch (error) {
      const { code = 'unknown error' } = error as NodeJS.ErrnoException;
      // Nothing can be in a directory that is none.
      if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
      throw new Error(`${this.current} cannot be read (${code})`, { cause: error });
    }
    try {
      const stats = fstatSync(file);
      if (!stats.isFile() || stats.size > MAX_FILE_BYTES)
        throw new Error(`${this.current} is no file of at most ${MAX_FILE_BYTES} bytes`);
      return readFileSync(file, 'utf8');
    } finally {
      closeSync(file);
    }
  }
}

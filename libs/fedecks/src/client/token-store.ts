import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { lstat, mkdir, open, rename, rm, rmdir, stat, unlink } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { isRenewal } from './token-claims.js';

/**
 * Stores a client's token between runs. Calls never overlap, so one that never settles blocks all
 * follow, and logins with them; `stop` does not wait for it longer than 3 s.
 */
export interface TokenStore {
  /**
   * The token saved last, or undefined if there is none.
   * @param report takes a sentence about a token that is there but cannot be used; it is told as the event
   *   `token_load_failed`. A rejection is told likewise, and counts as no token.
   */
  load(report: (reason: string) => void): Promise<string | undefined>;

  /** Resolves when the token would survive a power cut. A rejection is told as the event `token_store_failed`. */
  save(token: string): Promise<void>;

  /** Resolves when no token is stored, also if none was. */
  remove(): Promise<void>;
}

/** Keeps the token for as long as the process runs: for tests, and for devices without a disk of their own. */
export class MemoryTokenStore implements TokenStore {
  /** Of the engine's own kind of private: a log that is given the store does not show it. */
  #token: string | undefined;

  constructor(token?: string) {
    this.#token = token;
  }

  async load(): Promise<string | undefined> {
    return this.#token;
  }

  async save(token: string): Promise<void> {
    this.#token = token;
  }

  async remove(): Promise<void> {
    this.#token = undefined;
  }
}

const FORMAT = 'fedecks-token 1';
/** A token that fits the auth header makes a file of less than 1.5 KB. */
const MAX_FILE_BYTES = 4096;

/**
 * Keeps the token in a directory of its own, which it makes if need be (mode 0700; files 0600). A power cut at any
 * moment leaves the old token or the new one: a new one is written beside the old, flushed, and moved into its
 * place. The one before is kept as `token.previous`, for the case that the disk damages the newest. A checksum
 * detects any damage, and a token of another device id is not returned.
 *
 * Only a regular file of at most 4 KB is opened as a token. A directory in its place is moved aside when a token is saved.
 * A renewal that extends the stored token only slightly is not written: a flapping link would wear out
 * the disk.
 */
export class FileTokenStore implements TokenStore {
  private readonly current: string;
  private readonly previous: string;
  private readonly unfinished: string;
  /** Where it keeps the token. */
  readonly directory: string;
  private readonly owner: string;

  constructor(directory: string, deviceId: string) {
    this.directory = resolve(directory);
    this.current = join(this.directory, 'token');
    this.previous = join(this.directory, 'token.previous');
    this.unfinished = join(this.directory, 'token.new');
    this.owner = sha256(deviceId);
  }

  async load(report: (reason: string) => void): Promise<string | undefined> {
    const current = await this.read(this.current);
    if (current.token !== undefined) return current.token;
    const previous = await this.read(this.previous);
    if (current.problem === undefined && previous.problem === undefined && previous.token === undefined) {
      return undefined;
    }
    const fallback =
      previous.token === undefined
        ? 'the client starts without a token'
        : 'the client uses the previous token';
    const problems = [current.problem ?? `${this.current} is missing`, previous.problem ?? []].flat();
    report(`${problems.join(', and ')}: ${fallback}.`);
    return previous.token;
  }

  async save(token: string): Promise<void> {
    const made = await mkdir(this.directory, { recursive: true, mode: 0o700 });
    const { token: stored } = await this.read(this.current);
    if (stored !== undefined && isRenewal(stored, token)) return;
    try {
      for (const path of this.paths) await moveDirectoryAside(path);
      // Removed first: a leftover file may have another mode or owner. 'wx' does not follow links.
      await rm(this.unfinished, { force: true });
      await write(this.unfinished, this.format(token));
      // A damaged token must not replace the good previous one.
      if (stored !== undefined) await rename(this.current, this.previous);
      await rename(this.unfinished, this.current);
    } catch (error) {
      // Removes the partial file, and rethrows the original error.
      await rm(this.unfinished, { force: true }).catch(() => undefined);
      throw error;
    }
    await flush(this.directory);
    if (made === undefined) return;
    for (let path = this.directory; path.length >= made.length; path = dirname(path))
      await flush(dirname(path));
  }

  async remove(): Promise<void> {
    for (const path of this.paths) await removeFile(path);
    await flush(this.directory);
  }

  private get paths(): readonly string[] {
    return [this.current, this.previous, this.unfinished];
  }

  private format(token: string): string {
    const content = `${this.owner}\n${Buffer.from(token).toString('base64')}\n`;
    return `${FORMAT}\n${sha256(content)}\n${content}`;
  }

  /** A token, a problem, or neither if there is no such file. */
  private async read(path: string): Promise<{ token?: string; problem?: string }> {
    let text: string | undefined;
    try {
      text = await readSmallFile(path);
    } catch (error) {
      return isMissing(error) ? {} : { problem: `${path} cannot be read (${String(error)})` };
    }
    if (text === undefined)
      return { problem: `${path} is not a regular file of at most ${MAX_FILE_BYTES} bytes` };
    const [format, checksum, owner, token] = text.split('\n');
    const content = `${owner}\n${token}\n`;
    if (text !== `${FORMAT}\n${checksum}\n${content}` || format !== FORMAT || checksum !== sha256(content)) {
      return { problem: `${path} is damaged` };
    }
    if (owner !== this.owner) return { problem: `${path} holds the token of another device id` };
    return { token: Buffer.from(token ?? '', 'base64').toString() };
  }
}

/**
 * Flushes a directory, so that its changes survive a power cut. Errors are ignored, as some file systems do not support
 * it.
 */
async function flush(path: string): Promise<void> {
  const directory = await open(path, 'r').catch(() => undefined);
  await directory?.sync().catch(() => undefined);
  await directory?.close();
}

/**
 * The text of a regular file of at most `MAX_FILE_BYTES`; undefined for anything else. A FIFO would hang whoever opens it,
 * and to open a device may do something: so it is looked at first, and again once it is open.
 */
async function readSmallFile(path: string): Promise<string | undefined> {
  if (!(await stat(path)).isFile()) return undefined;
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    if (!(await file.stat()).isFile()) return undefined;
    // One extra byte, to detect a longer file.
    const buffer = Buffer.alloc(MAX_FILE_BYTES + 1);
    let length = 0;
    for (let bytesRead = -1; bytesRead !== 0; length += bytesRead) {
      ({ bytesRead } = await file.read(buffer, length, buffer.length - length));
    }
    return length > MAX_FILE_BYTES ? undefined : buffer.toString('latin1', 0, length);
  } finally {
    await file.close();
  }
}

/** A file cannot replace a directory, and what is in it may be somebody's: only an empty one is removed. */
async function moveDirectoryAside(path: string): Promise<void> {
  if (!(await isDirectory(path))) return;
  await rmdir(path).catch(() => rename(path, `${path}.directory`));
}

/** A directory holds no token, so it may stay. */
async function removeFile(path: string): Promise<void> {
  if (await isDirectory(path)) return;
  await unlink(path).catch((error: unknown) => {
    if (!isMissing(error)) throw error as Error;
  });
}

async function isDirectory(path: string): Promise<boolean> {
  try {
    return (await lstat(path)).isDirectory();
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
}

async function write(path: string, text: string): Promise<void> {
  const file = await open(path, 'wx', 0o600);
  try {
    await file.writeFile(text, 'latin1');
    await file.sync();
  } finally {
    await file.close();
  }
}

function isMissing(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'ENOENT';
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

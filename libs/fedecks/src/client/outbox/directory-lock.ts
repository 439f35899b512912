import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { OutboxStoreError } from './errors.js';
import { type Files } from './files.js';

/** A process may have the id of one that is gone: with the time of its start it is unique within a boot. */
interface Owner {
  readonly pid: number;
  readonly startedAt: string;
  readonly bootId: string;
}

let ownStart: string | undefined;

/**
 * Lets one process use a directory: a file `lock` that names it. The lock of a process that has ended, or of another boot,
 * is taken over. It need not survive a power cut, so it is never flushed.
 */
export class DirectoryLock {
  private constructor(
    private readonly files: Files,
    private readonly path: string,
  ) {}

  /** @throws {OutboxStoreError} if a process that runs has it. */
  static async take(files: Files, directory: string, bootId: string): Promise<DirectoryLock> {
    const path = join(directory, 'lock');
    ownStart ??= startOf(process.pid);
    const own = `${process.pid} ${ownStart} ${bootId}\n`;
    // A second attempt follows the removal of a stale lock; a third the case that somebody else was faster.
    for (let attempt = 0; attempt < 3; attempt++) {
      if (await create(files, path, own)) return new DirectoryLock(files, path);
      const text = await read(files, path);
      const owner = parse(text);
      if (owner !== undefined && isRunning(owner, bootId)) throw locked(directory, owner.pid);
      await removeStale(files, path, text);
    }
    throw locked(directory, undefined);
  }

  async release(): Promise<void> {
    await this.files.unlink(this.path);
  }
}

async function create(files: Files, path: string, text: string): Promise<boolean> {
  try {
    const file = await files.open(path, 'create');
    await file.write(Buffer.from(text, 'latin1'), 0);
    await file.close();
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** The text of a lock; empty if there is none. */
async function read(files: Files, path: string): Promise<string> {
  const file = await files.open(path, 'read').catch(() => undefined);
  if (file === undefined) return '';
  const buffer = Buffer.alloc(256);
  const length = await file.read(buffer, 0);
  await file.close();
  return buffer.toString('latin1', 0, length);
}

/** Two processes may find the same stale lock: whoever moves aside a lock that is not the stale one puts it back. */
async function removeStale(files: Files, path: string, stale: string): Promise<void> {
  const aside = `${path}.${process.pid}`;
  try {
    await files.rename(path, aside);
  } catch {
    return;
  }
  if ((await read(files, aside)) === stale) await files.unlink(aside);
  else await files.rename(aside, path);
}

function parse(text: string): Owner | undefined {
  const [, pid, startedAt = '', bootId = ''] = /^(\d+) (\S+) ([0-9a-f]+)\n$/.exec(text) ?? [];
  return pid === undefined ? undefined : { pid: Number(pid), startedAt, bootId };
}

function isRunning({ pid, startedAt, bootId }: Owner, currentBoot: string): boolean {
  if (bootId !== currentBoot) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    // EPERM: it runs as another user.
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  return startOf(pid) === startedAt;
}

/** When a process began, in ticks since the boot; `-` where the system does not say it. */
export function startOf(pid: number): string {
  try {
    // The name of the program, in parentheses, may contain anything.
    const fields = readFileSync(`/proc/${pid}/stat`, 'latin1')
      .replace(/^.*\) /s, '')
      .split(' ');
    // Killed, and not yet reaped by its parent.
    const isZombie = fields[0] === 'Z';
    return isZombie ? 'ended' : (fields[19] ?? '-');
  } catch {
    return '-';
  }
}

function locked(directory: string, pid: number | undefined): OutboxStoreError {
  const who = pid === undefined ? 'Another process' : pid === process.pid ? 'This process' : `Process ${pid}`;
  return new OutboxStoreError(
    'outbox-locked',
    `${who} uses the outbox in ${directory} already: stop it, or give each client a directory of its own.`,
  );
}

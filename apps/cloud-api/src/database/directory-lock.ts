import { once } from 'node:events';
import { randomBytes } from 'node:crypto';
import { readdir, rename, rm } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { join, relative } from 'node:path';

const PREFIX = 'database-lock-';

/** Another process uses the embedded database. */
export class DatabaseInUseError extends Error {
  constructor(directory: string) {
    super(
      `The embedded database in ${directory} is used by another process. End that, or give this one a DATA_DIR of its ` +
        'own; several processes need a Postgres server: set DATABASE_URL.',
    );
  }
}

/**
 * Holds a directory for one process, by a unix socket in it: the system closes that when the process ends, however it
 * ends, and containers that share the directory see it. Each process has a socket with a name of its own, so that nobody
 * removes one that is in use: who finds another one that answers gives up. Of two that begin at once, both may do so.
 */
export class DirectoryLock {
  private constructor(
    private readonly server: Server,
    private readonly path: string,
  ) {}

  /**
   * @throws {DatabaseInUseError} (rejects) if another process holds it.
   * @throws {Error} (rejects) if the directory cannot hold a socket.
   */
  static async take(directory: string): Promise<DirectoryLock> {
    const name = PREFIX + randomBytes(6).toString('hex');
    const lock = new DirectoryLock(await listen(directory, `${name}.new`), join(directory, name));
    try {
      // It listens before the others can see it: one that does not is taken for a leftover.
      await rename(join(directory, `${name}.new`), lock.path);
      for (const other of await readdir(directory)) {
        if (!other.startsWith(PREFIX) || other === name || other.endsWith('.new')) continue;
        if (await answers(join(directory, other))) throw new DatabaseInUseError(directory);
        await rm(join(directory, other), { force: true });
      }
    } catch (error) {
      await lock.release();
      throw error;
    }
    return lock;
  }

  async release(): Promise<void> {
    await rm(this.path, { force: true });
    this.server.close();
  }
}

async function listen(directory: string, name: string): Promise<Server> {
  const server = createServer((socket) => socket.destroy());
  server.listen(shortest(join(directory, name)));
  try {
    await once(server, 'listening');
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code ?? 'unknown error';
    throw new Error(
      `The embedded database needs a unix socket in ${directory}, and there can be none (${reason}). Set DATA_DIR to a ` +
        'directory with a shorter path, on a disk of this machine, or DATABASE_URL to a Postgres server.',
      { cause: error },
    );
  }
  // A lock alone keeps no process running.
  return server.unref();
}

/** Whether a process listens there. */
async function answers(path: string): Promise<boolean> {
  const socket = connect(shortest(path));
  try {
    await once(socket, 'connect');
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code !== 'ECONNREFUSED' && code !== 'ENOENT';
  } finally {
    socket.destroy();
  }
}

/** The path of a socket has at most 107 bytes. */
function shortest(path: string): string {
  const fromHere = relative('.', path);
  return fromHere.length < path.length ? fromHere : path;
}

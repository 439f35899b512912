import { createHash } from 'node:crypto';
import { statSync } from 'node:fs';
import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import { basename, dirname, join, resolve } from 'node:path';
import { AlreadyRunningError } from './control-socket.js';

/** Fills the address of a socket, so that it does not matter whether a version of Node pads it. */
const NAME_LENGTH = 106;

/**
 * Holds a state directory against other agents where no socket can be made in it, on a read-only disk for example: by
 * the name of an abstract unix socket, which needs no disk and ends with the process. It answers nothing.
 * Abstract sockets are of Linux, and of one network namespace.
 * @returns what holds the directory until it is closed; undefined where there are no abstract sockets.
 * @throws {AlreadyRunningError} (rejects) if another agent holds it.
 */
export async function lockStateDirectory(directory: string): Promise<Server | undefined> {
  if (process.platform !== 'linux') return undefined;
  const server = createServer((socket) => socket.destroy());
  server.listen(`\0${nameOf(directory)}`);
  try {
    await once(server, 'listening');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') throw new AlreadyRunningError();
    return undefined;
  }
  // A lock alone keeps no process running.
  return server.unref();
}

/** Of the directory itself, and not of its path: containers that share a network call different ones the same. */
function nameOf(directory: string): string {
  const identity = createHash('sha256')
    .update(identityOf(resolve(directory)))
    .digest('hex');
  return `fedecks-agent/${identity}`.padEnd(NAME_LENGTH, '/');
}

/** One that is not there is known by the nearest that is, and the way from there. */
function identityOf(path: string): string {
  try {
    const { dev, ino } = statSync(path);
    return `${dev}:${ino}`;
  } catch (error) {
    const parent = dirname(path);
    if (parent === path) throw error;
    return join(identityOf(parent), basename(path));
  }
}

import { lstatSync, mkdirSync, statSync, unlinkSync } from 'node:fs';
import { once } from 'node:events';
import { connect, type Server } from 'node:net';
import { dirname } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';

/** Another agent listens at the path. */
export class AlreadyRunningError extends Error {
  constructor() {
    super(
      'Another agent is running with this state directory. Set FEDECKS_STATE_DIR to a directory of its own.',
    );
  }
}

/** An agent that is just starting listens within this time, and is not taken for a dead one. */
const SECOND_LOOK_MS = 50;

/**
 * Makes a server listen at the path of a unix socket that this user alone can use: in a directory that is made with
 * mode 0700 if need be, with mode 0600. What an agent that was killed has left there is replaced.
 * @returns whether others may enter the directory, which was there before.
 * @throws {AlreadyRunningError} (rejects) if somebody listens there.
 * @throws {Error} (rejects) if it cannot be, on a disk that cannot be written for example.
 */
export async function listenAt(path: string, server: Server): Promise<{ openToOthers: boolean }> {
  const directory = dirname(path);
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const openToOthers = (statSync(directory).mode & 0o077) !== 0;
  try {
    await listen(path, server);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    if (await answers(path)) throw new AlreadyRunningError();
    await wait(SECOND_LOOK_MS);
    if (await answers(path)) throw new AlreadyRunningError();
    // Somebody else's file is not ours to remove.
    if (!lstatSync(path).isSocket()) throw new Error(`${path} exists and is not a socket`, { cause: error });
    unlinkSync(path);
    await listen(path, server);
  }
  return { openToOthers };
}

async function listen(path: string, server: Server): Promise<void> {
  // The socket is made before `listen` returns, and from the beginning with this mode.
  const before = process.umask(0o177);
  try {
    server.listen(path);
  } finally {
    process.umask(before);
  }
  await once(server, 'listening');
}

async function answers(path: string): Promise<boolean> {
  const socket = connect(path);
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

import { once } from 'node:events';
import { createServer } from 'node:net';

/**
 * Below the ports that a kernel gives away for port 0 (from 32,768 on Linux, 49,152 on macOS): a server that a test starts
 * meanwhile on any free port does not take one of these.
 */
const FIRST_PORT = 20_000;
/** Each worker of Jest takes from ports of its own. */
const PORTS_OF_WORKER = 1_000;
const WORKERS = 12;

const first = FIRST_PORT + PORTS_OF_WORKER * ((Number(process.env['JEST_WORKER_ID']) || 0) % WORKERS);
/** Test files of one worker run one after the other, perhaps beside another run of Jest. */
let taken = Math.floor(Math.random() * PORTS_OF_WORKER);

/** A free port of this machine, for a program that cannot choose one itself, or for one on which nothing listens. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = first + (taken++ % PORTS_OF_WORKER);
    if (await isFree(port)) return port;
  }
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer().listen(port, '127.0.0.1');
  try {
    await once(server, 'listening');
  } catch {
    return false;
  }
  server.close();
  await once(server, 'close');
  return true;
}

import { once } from 'node:events';
import { createServer } from 'node:net';

const FIRST = 10_000;
/** From 32,768 on, Linux takes ports for connections, and for servers that ask for any. */
const END = 32_768;

/**
 * A port that is free, and that the system gives to nobody who does not ask for it: a server that starts there later, or
 * again after it was killed, finds it free.
 */
export async function freePort(): Promise<number> {
  const port = FIRST + Math.floor(Math.random() * (END - FIRST));
  return (await isFree(port)) ? port : freePort();
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

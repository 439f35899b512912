import { open } from 'node:fs/promises';
import { CommandError } from './exit.js';

/** All of standard input. @throws {CommandError} (rejects) beyond `maxBytes`. */
export async function readStdin(maxBytes: number, signal?: AbortSignal): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  const stop = (): void => void process.stdin.destroy();
  signal?.addEventListener('abort', stop);
  try {
    for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
      length += chunk.length;
      if (length > maxBytes) throw tooLong('Standard input', maxBytes);
      chunks.push(chunk);
    }
  } catch (error) {
    if (signal?.aborted !== true) throw error;
  } finally {
    signal?.removeEventListener('abort', stop);
  }
  return Buffer.concat(chunks, length);
}

/** A whole file. @throws {CommandError} (rejects) if it cannot be read, or is longer than `maxBytes`. */
export async function readSmallFile(path: string, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    const file = await open(path, 'r');
    // One extra byte, to detect a longer file.
    for await (const chunk of file.createReadStream({ end: maxBytes }) as AsyncIterable<Buffer>) {
      length += chunk.length;
      chunks.push(chunk);
    }
  } catch (error) {
    const { code = 'unknown error' } = error as NodeJS.ErrnoException;
    throw new CommandError(`Cannot read ${path} (${code}).`);
  }
  if (length > maxBytes) throw tooLong(path, maxBytes);
  return Buffer.concat(chunks, length);
}

function tooLong(what: string, maxBytes: number): CommandError {
  return new CommandError(`${what} is longer than ${maxBytes} bytes, the maximum.`);
}

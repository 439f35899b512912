import { readFile } from 'node:fs/promises';
import { ask } from '../control/control-client.js';
import { CommandError, EXIT } from './exit.js';

/** An attempt to connect and the wait for the token take the client 10 s each, at most. */
const TIMEOUT_MS = 30_000;
const MAX_BYTES = 64 * 1024;

/** Logs the device in, and says so. @throws {CommandError} (rejects) with the reason if it does not work. */
export async function login(
  socketPath: string,
  { credentialsFile, stdin }: { readonly credentialsFile?: string; readonly stdin?: boolean },
): Promise<void> {
  // Before anybody types a password.
  await ask(socketPath, { method: 'GET', path: '/status', timeoutMs: 5_000 });
  const credentials =
    credentialsFile !== undefined
      ? parsed(await fileText(credentialsFile), 'The credentials file')
      : stdin
        ? parsed(await stdinText(), 'Standard input')
        : await prompted();
  await ask(socketPath, { method: 'POST', path: '/login', body: credentials, timeoutMs: TIMEOUT_MS });
  process.stdout.write('Logged in. The device is connected and has its token: the password is not kept.\n');
}

async function fileText(path: string): Promise<string> {
  return readFile(path, 'utf8').catch((error: unknown) => {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown error';
    throw new CommandError(EXIT.failed, `The credentials file cannot be read (${code}).`);
  });
}

async function stdinText(): Promise<string> {
  let text = '';
  for await (const chunk of process.stdin.setEncoding('utf8') as AsyncIterable<string>) {
    text += chunk;
    if (text.length > MAX_BYTES) throw new CommandError(EXIT.failed, 'Standard input is too long.');
  }
  return text;
}

/** The message of the error of `JSON.parse` would show what it has read: it is not used. */
function parsed(text: string, what: string): unknown {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  } catch {
    // Said below.
  }
  throw new CommandError(
    EXIT.failed,
    `${what} must be JSON of the form { "username": "...", "password": "..." }.`,
  );
}

async function prompted(): Promise<{ username: string; password: string }> {
  if (!process.stdin.isTTY) {
    throw new CommandError(
      EXIT.usage,
      'Standard input is not a terminal: use --credentials-file FILE, or --stdin with JSON.',
    );
  }
  const { read } = await import('read');
  const prompt = { output: process.stderr, terminal: true };
  try {
    const username = await read({ ...prompt, prompt: 'Username:' });
    const password = await read({ ...prompt, prompt: 'Password:', silent: true });
    return { username, password };
  } catch {
    throw new CommandError(EXIT.cancelled, 'Cancelled: nothing was sent.');
  }
}

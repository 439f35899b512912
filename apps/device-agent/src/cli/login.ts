import { readFile } from 'node:fs/promises';
import { ask } from '../control/control-client.js';
import { CommandError, EXIT } from './exit.js';

/** An attempt to connect and the wait for the token take the client 10 s each, at most. */
const TIMEOUT_MS = 30_000;
const MAX_BYTES = 64 * 1024;

/** Where the credentials come from; at a terminal if nothing is given. */
export interface LoginOptions {
  readonly credentialsFile?: string;
  readonly stdin?: boolean;
  /** A claim code; true: it is asked for, or in standard input. */
  readonly claim?: string | true;
}

/** Logs the device in, and says so. @throws {CommandError} (rejects) with the reason if it does not work. */
export async function login(socketPath: string, options: LoginOptions): Promise<void> {
  // Before anybody types a password.
  await ask(socketPath, { method: 'GET', path: '/status', timeoutMs: 5_000 });
  const body = options.claim === undefined ? await credentialsOf(options) : await claimOf(options);
  await ask(socketPath, { method: 'POST', path: '/login', body, timeoutMs: TIMEOUT_MS });
  const spent = options.claim === undefined ? 'the password is not kept' : 'the claim code is of no more use';
  process.stdout.write(`Logged in. The device is connected and has its token: ${spent}.\n`);
}

async function credentialsOf({ credentialsFile, stdin }: LoginOptions): Promise<unknown> {
  if (credentialsFile !== undefined) return parsed(await fileText(credentialsFile), 'The credentials file');
  return stdin ? parsed(await stdinText(), 'Standard input') : promptedPassword();
}

async function claimOf({ claim, stdin }: LoginOptions): Promise<{ claim: string }> {
  const given = typeof claim === 'string' ? claim : stdin ? await stdinText() : await promptedClaim();
  if (given.trim() === '') throw new CommandError(EXIT.failed, 'The claim code is empty.');
  return { claim: given.trim() };
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

async function promptedPassword(): Promise<{ username: string; password: string }> {
  expectTerminal('use --credentials-file FILE, or --stdin with JSON');
  const username = await prompted({ prompt: 'Username:' });
  return { username, password: await prompted({ prompt: 'Password:', silent: true }) };
}

async function promptedClaim(): Promise<string> {
  expectTerminal('use --claim CODE, or --claim --stdin with the code');
  return prompted({ prompt: 'Claim code:' });
}

function expectTerminal(advice: string): void {
  if (!process.stdin.isTTY)
    throw new CommandError(EXIT.usage, `Standard input is not a terminal: ${advice}.`);
}

async function prompted(options: { readonly prompt: string; readonly silent?: boolean }): Promise<string> {
  const { read } = await import('read');
  try {
    return await read({ output: process.stderr, terminal: true, ...options });
  } catch {
    throw new CommandError(EXIT.cancelled, 'Cancelled: nothing was sent.');
  }
}

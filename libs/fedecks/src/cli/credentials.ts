import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';
import { type Credentials } from '../client/index.js';
import { Cancelled, CommandError } from './exit.js';
import { readStdin } from './input.js';
import { fromJson, type Json, NotationError } from './term-json.js';

/** More does not fit into the auth header. */
const MAX_BYTES = 16 * 1024;
const FIELDS = ['username', 'password'];

/** The option that names the fields to ask for. */
export const ASK_OPTION = {
  value: 'NAME',
  isRepeated: true,
  help: 'ask for this field; repeatable (default: username and password)',
} as const;

export const CREDENTIALS_NOTE =
  'At a terminal, fedecks asks for each field and does not show what you type. Otherwise it reads the credentials from\n' +
  'standard input, as a JSON object. It sends them once, and never stores or prints them.';

/**
 * Reads credentials: from a person at a terminal, or as a JSON object on standard input.
 * @param fields the fields to ask a person for.
 * @throws {CommandError} (rejects) if they are missing or invalid.
 */
export async function readCredentials(fields: readonly string[], signal: AbortSignal): Promise<Credentials> {
  if (process.stdin.isTTY) return prompt(fields.length === 0 ? FIELDS : fields, signal);
  const text = (await readStdin(MAX_BYTES, signal)).toString();
  if (signal.aborted) throw new Cancelled();
  let json: Json;
  try {
    json = JSON.parse(text) as Json;
  } catch {
    // The parser's message would quote the input.
    throw notCredentials();
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json)) throw notCredentials();
  try {
    return fromJson(json) as Credentials;
  } catch (error) {
    if (error instanceof NotationError) throw new CommandError(`Invalid credentials: ${error.message}.`);
    throw error;
  }
}

function notCredentials(): CommandError {
  return new CommandError(
    'Standard input must contain a JSON object of the form {"username":"...","password":"..."}.',
  );
}

async function prompt(fields: readonly string[], signal: AbortSignal): Promise<Credentials> {
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const typed = createInterface({ input: process.stdin, output: nowhere, terminal: true, historySize: 0 });
  const close = (): void => typed.close();
  // Ctrl-C sends no signal while readline reads the terminal in raw mode.
  typed.on('SIGINT', close);
  signal.addEventListener('abort', close);
  if (signal.aborted) close();
  const lines = typed[Symbol.asyncIterator]();
  const values: [string, string][] = [];
  try {
    for (const field of fields) {
      process.stderr.write(`${field} (hidden): `);
      const line = await lines.next();
      process.stderr.write('\n');
      if (line.done === true) throw new Cancelled();
      values.push([field, line.value]);
    }
    return Object.fromEntries(values);
  } finally {
    signal.removeEventListener('abort', close);
    close();
  }
}

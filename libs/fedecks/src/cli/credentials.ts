import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';
import { type Credentials } from '../client/index.js';
import { Cancelled, CommandError } from './exit.js';
import { readStdin } from './input.js';
import { fromJson, type Json, NotationError } from './term-json.js';

/** More does not fit into the header of a login. */
const MAX_BYTES = 16 * 1024;
const FIELDS = ['username', 'password'];

/** The option that names what is asked for. */
export const ASK_OPTION = {
  value: 'NAME',
  isRepeated: true,
  help: 'ask for this field; repeat it for more (default: username and password)',
} as const;

export const CREDENTIALS_NOTE =
  'At a terminal each field is asked for, and not shown as it is typed. Otherwise the credentials are read from\n' +
  'standard input, as a JSON object. They are sent once, and never stored or printed.';

/**
 * What to log in with: typed by a person, or a JSON object on standard input.
 * @param fields what a person is asked for.
 * @throws {CommandError} (rejects) if there is none.
 */
export async function readCredentials(fields: readonly string[], signal: AbortSignal): Promise<Credentials> {
  if (process.stdin.isTTY) return prompt(fields.length === 0 ? FIELDS : fields, signal);
  const text = (await readStdin(MAX_BYTES, signal)).toString();
  if (signal.aborted) throw new Cancelled();
  let json: Json;
  try {
    json = JSON.parse(text) as Json;
  } catch {
    // What the parser says would show what it has read.
    throw notCredentials();
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json)) throw notCredentials();
  try {
    return fromJson(json) as Credentials;
  } catch (error) {
    if (error instanceof NotationError) throw new CommandError(`The credentials: ${error.message}.`);
    throw error;
  }
}

function notCredentials(): CommandError {
  return new CommandError(
    'What came on standard input is not JSON of the form {"username":"...","password":"..."}.',
  );
}

async function prompt(fields: readonly string[], signal: AbortSignal): Promise<Credentials> {
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const typed = createInterface({ input: process.stdin, output: nowhere, terminal: true, historySize: 0 });
  const close = (): void => typed.close();
  // A terminal that is read key by key sends no signal.
  typed.on('SIGINT', close);
  signal.addEventListener('abort', close);
  if (signal.aborted) close();
  const lines = typed[Symbol.asyncIterator]();
  const values: [string, string][] = [];
  try {
    for (const field of fields) {
      process.stderr.write(`${field} (not shown): `);
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

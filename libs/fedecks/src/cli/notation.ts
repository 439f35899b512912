import { type Term } from '../wire/internal.js';
import { Cancelled, CommandError } from './exit.js';
import { readStdin } from './input.js';
import { fromJson, type Json, NotationError } from './term-json.js';

const MAX_PAYLOAD_BYTES = 16 * 1024 * 1024;

/** The notation of terms, for the help. */
export const NOTATION_NOTE = [
  'Terms in JSON: JSON types represent themselves. Every other type is an object with one key:',
  '  {"$atom":"ok"}  {"$tuple":[1,2]}  {"$bytes":"AQID"} (Base64)  {"$integer":"9007199254740993"}  {"$float":1}',
  '  {"$date":"2026-01-31T12:00:00.000Z"}  {"$map":[[1,"one"]]} (keys that are not strings)  {"$bits":["oA==",3]}',
  '  {"$improper":[1,2,"tail"]}  {"$pid":"..."}  {"$reference":"..."}',
].join('\n');

/**
 * Parses a term in JSON notation.
 * @param what the name of the text, for error messages.
 * @throws {CommandError} with the path of the problem.
 */
export function parseTerm(text: string, what: string): Term {
  let json: Json;
  try {
    json = JSON.parse(text) as Json;
  } catch (error) {
    const hint = /^\s*[A-Za-z]\w*\s*$/.test(text) ? ` Put a string in double quotes: '"text"'.` : '';
    throw new CommandError(`${what} is not JSON (${placeIn(error)}).${hint}`);
  }
  try {
    return fromJson(json);
  } catch (error) {
    if (error instanceof NotationError) throw new CommandError(`${what} is invalid: ${error.message}.`);
    throw error;
  }
}

/**
 * Reads the payload of an event.
 * @param json the text, or `-` for standard input.
 * @throws {CommandError} (rejects) if it is not a term, or at Ctrl-C.
 */
export async function readPayload(json: string, signal: AbortSignal): Promise<Term> {
  const text = json === '-' ? (await readStdin(MAX_PAYLOAD_BYTES, signal)).toString() : json;
  if (signal.aborted) throw new Cancelled();
  return parseTerm(text, 'The payload');
}

/** Where the parser stopped, without the text that its message quotes. */
function placeIn(error: unknown): string {
  const [place] = /at position \d+|end of JSON input/.exec((error as Error).message) ?? [];
  return place ?? 'at the beginning';
}

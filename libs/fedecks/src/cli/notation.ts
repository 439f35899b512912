import { type Term } from '../wire/internal.js';
import { CommandError } from './exit.js';
import { fromJson, type Json, NotationError } from './term-json.js';

/** What the help says of the notation of terms. */
export const NOTATION_NOTE = [
  'Terms in JSON: what JSON has stands for itself. The rest is an object with one key:',
  '  {"$atom":"ok"}  {"$tuple":[1,2]}  {"$bytes":"AQID"} (Base64)  {"$integer":"9007199254740993"}  {"$float":1}',
  '  {"$date":"2026-01-31T12:00:00.000Z"}  {"$map":[[1,"one"]]} (other keys than strings)  {"$bits":["oA==",3]}',
  '  {"$improper":[1,2,"tail"]}  {"$pid":"..."}  {"$reference":"..."}',
].join('\n');

/**
 * The term of a text in that notation.
 * @param what it is, for the message.
 * @throws {CommandError} if it is none, with the path of what is wrong.
 */
export function parseTerm(text: string, what: string): Term {
  let json: Json;
  try {
    json = JSON.parse(text) as Json;
  } catch (error) {
    const hint = /^\s*[A-Za-z]\w*\s*$/.test(text) ? ` A string is in double quotes: '"text"'.` : '';
    throw new CommandError(`${what} is not JSON (${placeIn(error)}).${hint}`);
  }
  try {
    return fromJson(json);
  } catch (error) {
    if (error instanceof NotationError) throw new CommandError(`${what}: ${error.message}.`);
    throw error;
  }
}

/** Where the parser stopped, without the text it quotes. */
function placeIn(error: unknown): string {
  const [place] = /at position \d+|end of JSON input/.exec((error as Error).message) ?? [];
  return place ?? 'at its beginning';
}

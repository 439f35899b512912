import { type Term } from '@fedecks/nest/wire';
import { toJson } from '../live/term-json.js';

const REPLACEMENT = '\ufffd';
const MORE = '"..."';

/** Text that Postgres takes: without NUL and lone surrogates, and with at most so many characters. */
export function storedText(text: string, maxLength = Infinity): string {
  const cut = text.length > maxLength ? text.slice(0, maxLength) : text;
  return cut.replace(/[\0\p{Cs}]/gu, REPLACEMENT);
}

/** A term as JSON that Postgres takes, of at most so many bytes. `...` stands for what does not fit. */
export function storedJson(term: Term, maxBytes: number): string {
  // A character takes one byte or more, so that most terms fit at first.
  for (let room = maxBytes; room > 0; room = Math.floor(room / 2)) {
    const text = withoutBadEscapes(textOf(term, room));
    if (Buffer.byteLength(text) <= maxBytes) return text;
  }
  return MORE;
}

function textOf(term: Term, room: number): string {
  try {
    return JSON.stringify(toJson(term, room));
  } catch (error) {
    // It is nested too deep: the stack does not suffice.
    if (error instanceof RangeError) return MORE;
    throw error;
  }
}

/** `JSON.stringify` writes what Postgres refuses, and only that, as these escapes. */
function withoutBadEscapes(json: string): string {
  if (!json.includes('\\u')) return json;
  return json.replace(/\\(?:u[0-9a-f]{4}|.)/g, (escape) =>
    escape === '\\u0000' || escape.startsWith('\\ud') ? REPLACEMENT : escape,
  );
}

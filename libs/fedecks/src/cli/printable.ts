/** Control and bidirectional characters that JSON does not escape. */
const TO_ESCAPE = /[\u007F-\u009F\u2028\u2029\u202A-\u202E\u2066-\u2069]/g;

/** A value as one line of JSON, with control characters escaped. */
export function jsonLine(value: unknown): string {
  return JSON.stringify(value).replace(TO_ESCAPE, escape);
}

/** Makes a text of a peer safe for a terminal, and truncates it to `maxCharacters`. */
export function sanitize(text: string, maxCharacters = 200): string {
  const shown = text.length > maxCharacters ? `${text.slice(0, maxCharacters)}...` : text;
  // eslint-disable-next-line no-control-regex -- it replaces control characters
  return shown.replace(/[\u0000-\u001F]/g, escape).replace(TO_ESCAPE, escape);
}

/** Writes an error to standard error. */
export function printError(text: string): void {
  const lines = text.split('\n').map((line) => sanitize(line, Infinity));
  process.stderr.write(`fedecks: ${lines.join('\n')}\n`);
}

function escape(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

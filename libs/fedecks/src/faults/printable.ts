/**
 * What begins a line of its own, makes a terminal do something, or turns around what is read: C0, C1, line breaks,
 * directions.
 */
// eslint-disable-next-line no-control-regex -- these are what it is about
const CONTROLS = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/** A text that a peer may have had a part in, as one line of a log that it cannot forge. */
export function printable(text: string, maxChars: number): string {
  return text.slice(0, maxChars).replace(CONTROLS, escaped);
}

function escaped(control: string): string {
  return control === '\n' ? '\\n' : `\\u${control.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

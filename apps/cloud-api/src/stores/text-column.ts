/** Begins the four hexadecimal digits of a character. */
const ESCAPE = '\u001a';
const ESCAPED = new RegExp(`${ESCAPE}([0-9a-f]{4})`, 'g');
/** Control characters, the escape among them, and halves of surrogate pairs. */
const TO_ESCAPE = /[\p{Cc}\p{Cs}]/gu;

/**
 * Any text as a column of Postgres can hold it, which knows no NUL and no half of a surrogate pair. Different texts remain
 * different, and a text without control characters remains as it is.
 */
export function textToColumn(text: string): string {
  return text.replace(TO_ESCAPE, (char) => ESCAPE + char.charCodeAt(0).toString(16).padStart(4, '0'));
}

/** The text that {@link textToColumn} was given. */
export function textOfColumn(column: string): string {
  return column.replace(ESCAPED, (_all, digits: string) => String.fromCharCode(parseInt(digits, 16)));
}

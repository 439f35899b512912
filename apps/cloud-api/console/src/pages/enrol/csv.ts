/** Spreadsheets calculate what begins with one of these. */
const FORMULA = /^[=+\-@\t\r]/;

/** Rows as CSV (RFC 4180). A device chooses its id: what looks like a formula gets an apostrophe. */
export function csvOf(rows: readonly (readonly string[])[]): string {
  return rows.map((row) => `${row.map(fieldOf).join(',')}\r\n`).join('');
}

function fieldOf(text: string): string {
  const safe = FORMULA.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

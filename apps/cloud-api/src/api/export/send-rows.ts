import { type ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { stringify } from 'csv-stringify/sync';
import { type Format } from './export.dto.js';

/** How long, in milliseconds, a reader may read nothing before it is disconnected. */
const IDLE_MS = 60_000;

const CONTENT_TYPES: Readonly<Record<Format, string>> = {
  csv: 'text/csv; charset=utf-8; header=present',
  ndjson: 'application/x-ndjson; charset=utf-8',
};

/**
 * Sends rows as they are read: a page more when the reader has taken the one before. A reader that goes away ends it.
 * @param columns of the CSV, in order.
 * @throws what the first page throws, before anything is sent. What a later one throws breaks the connection, so that the
 *   reader notices that something is missing.
 */
export async function sendRows<Row extends object>(
  response: ServerResponse,
  name: string,
  format: Format,
  columns: readonly (keyof Row & string)[],
  pages: AsyncGenerator<readonly Row[]>,
): Promise<void> {
  const first = await pages.next();
  response.setHeader('content-type', CONTENT_TYPES[format]);
  response.setHeader('content-disposition', `attachment; filename="${name}.${format}"`);
  response.setTimeout(IDLE_MS, () => response.destroy());
  const text = format === 'csv' ? csvOf(columns) : ndjsonOf;
  await pipeline(textsOf(first, pages, text), response);
}

async function* textsOf<Row>(
  first: IteratorResult<readonly Row[]>,
  pages: AsyncGenerator<readonly Row[]>,
  text: (rows: readonly Row[]) => string,
): AsyncGenerator<string> {
  try {
    yield text([]);
    for (let page = first; page.done !== true; page = await pages.next()) yield text(page.value);
  } finally {
    await pages.return(undefined);
  }
}

/** The header comes first, and only once. */
function csvOf<Row extends object>(
  columns: readonly (keyof Row & string)[],
): (rows: readonly Row[]) => string {
  let header = true;
  return (rows) => {
    const text = stringify([...rows], {
      columns: [...columns],
      header,
      // What a device calls itself must not be computed by a spreadsheet.
      escape_formulas: true,
      cast: {
        date: (date) => date.toISOString(),
        boolean: String,
        object: (list) => (Array.isArray(list) ? list.map(String).join(';') : JSON.stringify(list)),
      },
    });
    header = false;
    return text;
  };
}

function ndjsonOf(rows: readonly object[]): string {
  return rows.map((row) => `${JSON.stringify(row)}\n`).join('');
}

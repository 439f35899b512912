const MAX_TEXT = 256;
const MAX_ITEMS = 20;
const MAX_DEPTH = 3;
/** What Postgres cannot keep: NUL, and halves of characters. */
const NOT_KEPT = /\0|\p{Cs}/gu;

/** Text as the audit keeps it: up to 256 characters, without what Postgres cannot keep. */
export function keptText(text: string): string {
  const kept = text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}...` : text;
  return kept.replace(NOT_KEPT, '\ufffd');
}

/**
 * The fields of a body that the audit keeps, by their paths. A request that was refused for its body is kept, too: so everything
 * is cut to a size, and what is deep or long is left out.
 */
export function detailsOf(body: unknown, fields: readonly string[]): object | undefined {
  const given = fields
    .map((field) => [field, valueAt(body, field.split('.'))] as const)
    .filter(([, value]) => value !== undefined);
  if (given.length === 0) return undefined;
  return Object.fromEntries(given.map(([name, value]) => [name, kept(value, MAX_DEPTH)]));
}

function valueAt(value: unknown, [name, ...rest]: readonly string[]): unknown {
  if (name === undefined) return value;
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined;
  return valueAt((value as Readonly<Record<string, unknown>>)[name], rest);
}

function kept(value: unknown, room: number): unknown {
  if (typeof value === 'string') return keptText(value);
  if (typeof value !== 'object' || value === null) return value;
  if (room === 0) return '...';
  if (Array.isArray(value)) {
    const items = value.slice(0, MAX_ITEMS).map((item) => kept(item, room - 1));
    return value.length > MAX_ITEMS ? [...items, `... ${value.length} in all`] : items;
  }
  const entries = Object.entries(value).slice(0, MAX_ITEMS);
  return Object.fromEntries(entries.map(([name, item]) => [keptText(name), kept(item, room - 1)]));
}

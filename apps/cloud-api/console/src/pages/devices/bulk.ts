import { api } from '../../api.js';
import { type BulkResult } from '../../types.js';
import { type Select } from './selection.js';

/** A body of the API has at most 100 KiB. */
const MAX_IDS_CHARACTERS = 60_000;

/** How many devices are hit. */
export async function hitBy(select: Select): Promise<number> {
  if ('ids' in select) return select.ids.length;
  const action = { type: 'disconnect' };
  return (await api<BulkResult>('POST', 'bulk', { select, action, dryRun: true })).selected;
}

/** Does the same to many devices: as many ids at once as fit into a request. */
export async function runBulk(select: Select, action: object): Promise<BulkResult> {
  const parts = 'ids' in select ? partsOf(select.ids).map((ids) => ({ ids })) : [select];
  const results: BulkResult[] = [];
  for (const part of parts) results.push(await api<BulkResult>('POST', 'bulk', { select: part, action }));
  const outcomes: Record<string, number> = {};
  for (const result of results)
    for (const [name, count] of Object.entries(result.outcomes))
      outcomes[name] = (outcomes[name] ?? 0) + count;
  return {
    selected: results.reduce((sum, { selected }) => sum + selected, 0),
    outcomes,
    failures: results.flatMap(({ failures }) => failures),
  };
}

/** As many ids in each part as fit into a request. */
export function partsOf(ids: readonly string[]): readonly (readonly string[])[] {
  const parts: string[][] = [[]];
  let room = MAX_IDS_CHARACTERS;
  for (const id of ids) {
    room -= encodedLength(id);
    if (room < 0) {
      parts.push([]);
      room = MAX_IDS_CHARACTERS - encodedLength(id);
    }
    parts.at(-1)?.push(id);
  }
  return parts;
}

/** In bytes of JSON, with a comma. */
function encodedLength(id: string): number {
  return new TextEncoder().encode(JSON.stringify(id)).length + 1;
}

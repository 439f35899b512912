import { type RawBuilder, sql } from 'kysely';

export const DEVICE_SORTS = ['id', 'lastSeen', '-lastSeen', 'name', 'stateSince', '-stateSince'] as const;
export type DeviceSort = (typeof DEVICE_SORTS)[number];

/** Of a key that is a number, or a text. */
export interface SortKey {
  readonly expression: RawBuilder<string | number>;
  readonly type: 'number' | 'string';
  readonly direction: 'asc' | 'desc';
}

/** Each key is never null, and exact: a `Date` has no microseconds. */
export const SORT_KEYS: Readonly<Record<DeviceSort, SortKey>> = {
  id: { expression: sql`devices.id`, type: 'string', direction: 'asc' },
  name: {
    expression: sql`lower(coalesce(devices.name, devices.id)) COLLATE "C"`,
    type: 'string',
    direction: 'asc',
  },
  lastSeen: { expression: microseconds('last_seen_at'), type: 'number', direction: 'asc' },
  '-lastSeen': { expression: microseconds('last_seen_at'), type: 'number', direction: 'desc' },
  stateSince: { expression: microseconds('state_since'), type: 'number', direction: 'asc' },
  '-stateSince': { expression: microseconds('state_since'), type: 'number', direction: 'desc' },
};

/** Since 1970; -1 for never. */
function microseconds(column: 'last_seen_at' | 'state_since'): RawBuilder<number> {
  return sql`coalesce((extract(epoch from ${sql.ref(`devices.${column}`)}) * 1000000)::bigint, -1)`;
}

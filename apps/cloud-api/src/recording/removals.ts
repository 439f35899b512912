import { type RawBuilder, sql } from 'kysely';
import { MAX_OF_EACH_DEVICE, RETENTION_DAYS } from './retention.js';
import { type UpkeepJob } from './upkeep.js';

/** How many rows one step removes. */
const STEP = 2_000;
/** Of how many devices one step looks for too many rows. */
const DEVICES_STEP = 100;

/**
 * Jobs that remove what is kept long enough, the oldest first.
 * @param rows how many a step removes.
 */
export function removals(rows = STEP): readonly UpkeepJob[] {
  // In the order of an index, where the table may be large: whatever the planner believes, it finds them without reading the rest.
  const remove = (table: string, condition: RawBuilder<unknown>, time: string): UpkeepJob => ({
    name: `Removal of old ${table}`,
    async step(tx) {
      const old = sql`SELECT ctid FROM ${sql.ref(table)} WHERE ${condition} ORDER BY ${sql.ref(time)} LIMIT ${rows}`;
      const { numAffectedRows = 0n } = await sql`
        DELETE FROM ${sql.ref(table)} WHERE ctid = ANY (ARRAY(${old}))`.execute(tx);
      return numAffectedRows === BigInt(rows);
    },
  });
  const removeByTime = (table: keyof typeof RETENTION_DAYS, time: string): UpkeepJob =>
    remove(table, sql`${sql.ref(time)} < ${daysAgo(table)}`, time);
  return [
    // Not what the summaries still need.
    remove(
      'readings',
      sql`at < ${daysAgo('readings')} AND at < (SELECT done_until FROM upkeep WHERE job = 'summaries')`,
      'at',
    ),
    removeByTime('readings_by_minute', 'at'),
    removeByTime('readings_by_hour', 'at'),
    removeByTime('messages', 'at'),
    remove(
      'connections',
      sql`came_at < ${daysAgo('connections')} AND went_at < ${daysAgo('connections')}`,
      'came_at',
    ),
    removeByTime('audit', 'at'),
    removeByTime('claims', 'expires_at'),
    removeByTime('delivery_messages', 'written_at'),
    remove('sessions', sql`expires_at < now()`, 'expires_at'),
    remove('setup_links', sql`expires_at < now()`, 'expires_at'),
    remove(
      'nodes',
      sql`seen_at < ${daysAgo('nodes')}
        AND NOT EXISTS (SELECT 1 FROM connections c WHERE c.node_id = nodes.id AND c.went_at IS NULL)
        AND NOT EXISTS (SELECT 1 FROM devices d WHERE d.node_id = nodes.id AND d.online)`,
      'seen_at',
    ),
  ];
}

function daysAgo(kind: keyof typeof RETENTION_DAYS): RawBuilder<unknown> {
  return sql`now() - ${RETENTION_DAYS[kind]} * interval '1 day'`;
}

/** Removes the oldest rows of devices that have more of them than are kept, device after device. */
export class ExcessRemoval implements UpkeepJob {
  readonly name: string;
  /** Where this node has stopped. */
  private last = '';

  constructor(
    private readonly table: 'messages' | 'connections',
    private readonly max = MAX_OF_EACH_DEVICE,
  ) {
    this.name = `Removal of too many ${table}`;
  }

  async step(tx: Parameters<UpkeepJob['step']>[0]): Promise<boolean> {
    const devices = await tx
      .selectFrom('devices')
      .select('id')
      .where('id', '>', this.last)
      .orderBy('id')
      .limit(DEVICES_STEP)
      .execute();
    const table = sql.ref(this.table);
    const order = sql.ref(this.table === 'messages' ? 'id' : 'came_at');
    const { numAffectedRows = 0n } = await sql`
      DELETE FROM ${table} WHERE ctid = ANY (ARRAY(
        SELECT row.ctid FROM unnest(${devices.map(({ id }) => id)}::text[]) AS device (id)
        CROSS JOIN LATERAL (
          SELECT t.ctid FROM ${table} t WHERE t.device_id = device.id ORDER BY t.${order} DESC OFFSET ${this.max}
        ) AS row
        LIMIT ${STEP}
      ))`.execute(tx);
    // There may be more of the same devices.
    if (numAffectedRows === BigInt(STEP)) return true;
    this.last = devices.length === DEVICES_STEP ? (devices.at(-1)?.id ?? '') : '';
    return this.last !== '';
  }
}

import { sql, type Transaction } from 'kysely';
import { type Tables } from '../database/tables.js';
import { type RecordedRows, type RecordedTable } from './recorded-rows.js';
import { OLD_READING_HOURS } from './retention.js';

/** Writes rows of one table. */
export type RowsWriter<Row> = (
  tx: Transaction<Tables>,
  nodeId: string,
  rows: readonly Row[],
) => Promise<unknown>;

/**
 * Writes rows of one table, each in one statement with a list for each column: of what was measured, that takes the least
 * time on both kinds of database. No two rows have the same key, except readings.
 */
export const WRITE_ROWS: { readonly [Table in RecordedTable]: RowsWriter<RecordedRows[Table]> } = {
  devices: async (tx, nodeId, rows) => {
    const ids = rows.map(({ id }) => id);
    await sql`INSERT INTO devices (id) SELECT unnest(${ids}::text[]) ON CONFLICT DO NOTHING`.execute(tx);
    // What another node says of a newer connection counts more.
    const applies = sql`(d.node_id IS NULL OR d.node_id = ${nodeId}::uuid OR x.came_at::timestamptz >= d.state_since
      OR x.online AND NOT d.online)`;
    await sql`
      UPDATE devices d SET
        first_seen_at = least(d.first_seen_at, x.first_seen_at::timestamptz),
        last_seen_at = greatest(d.last_seen_at, x.last_seen_at::timestamptz),
        agent_version = coalesce(x.agent_version, d.agent_version),
        hello = coalesce(x.hello::jsonb, d.hello),
        online = CASE WHEN ${applies} THEN x.online ELSE d.online END,
        state_since = CASE WHEN ${applies} THEN x.state_since::timestamptz ELSE d.state_since END,
        offline_cause = CASE WHEN ${applies} THEN x.cause ELSE d.offline_cause END,
        node_id = CASE WHEN ${applies} THEN ${nodeId}::uuid ELSE d.node_id END,
        address = CASE WHEN ${applies} THEN x.address ELSE d.address END
      FROM unnest(
        ${ids}::text[],
        ${rows.map(({ firstSeenAt }) => textOf(firstSeenAt))}::text[],
        ${rows.map(({ lastSeenAt }) => textOf(lastSeenAt))}::text[],
        ${rows.map(({ isOnline }) => isOnline)}::boolean[],
        ${rows.map(({ since }) => textOf(since))}::text[],
        ${rows.map(({ cameAt }) => textOf(cameAt))}::text[],
        ${rows.map(({ cause }) => cause)}::text[],
        ${rows.map(({ address }) => address)}::text[],
        ${rows.map(({ agentVersion }) => agentVersion)}::text[],
        ${rows.map(({ hello }) => hello)}::text[]
      ) AS x (id, first_seen_at, last_seen_at, online, state_since, came_at, cause, address, agent_version, hello)
      WHERE d.id = x.id`.execute(tx);
  },

  connections: (tx, nodeId, rows) =>
    sql`
      INSERT INTO connections (device_id, came_at, address, went_at, cause, code, node_id)
      SELECT device_id, came_at::timestamptz, address, went_at::timestamptz, cause, code, ${nodeId}::uuid
      FROM unnest(
        ${rows.map(({ deviceId }) => deviceId)}::text[],
        ${rows.map(({ cameAt }) => textOf(cameAt))}::text[],
        ${rows.map(({ address }) => address)}::text[],
        ${rows.map(({ wentAt }) => (wentAt ? textOf(wentAt) : null))}::text[],
        ${rows.map(({ cause }) => cause)}::text[],
        ${rows.map(({ code }) => code)}::integer[]
      ) AS x (device_id, came_at, address, went_at, cause, code)
      ON CONFLICT (device_id, came_at, node_id)
      DO UPDATE SET went_at = excluded.went_at, cause = excluded.cause, code = excluded.code`.execute(tx),

  messages: (tx, _nodeId, rows) =>
    sql`
      INSERT INTO messages (device_id, at, direction, event, body)
      SELECT device_id, at::timestamptz, direction, event, body::jsonb
      FROM unnest(
        ${rows.map(({ deviceId }) => deviceId)}::text[],
        ${rows.map(({ at }) => textOf(at))}::text[],
        ${rows.map(({ direction }) => direction)}::text[],
        ${rows.map(({ event }) => event)}::text[],
        ${rows.map(({ body }) => body)}::text[]
      ) AS x (device_id, at, direction, event, body)`.execute(tx),

  readings: (tx, _nodeId, rows) =>
    sql`
      WITH given AS MATERIALIZED (
        SELECT device_id, metric, at::timestamptz AS at, value,
          at::timestamptz < now() - ${OLD_READING_HOURS} * interval '1 hour' AS is_old
        FROM unnest(
          ${rows.map(({ deviceId }) => deviceId)}::text[],
          ${rows.map(({ metric }) => metric)}::text[],
          ${rows.map(({ at }) => textOf(at))}::text[],
          ${rows.map(({ value }) => value)}::double precision[]
        ) AS x (device_id, metric, at, value)
      ), late AS (
        INSERT INTO late_readings (device_id, metric, at)
        SELECT DISTINCT device_id, metric, date_trunc('minute', at) FROM given
        WHERE NOT is_old AND at < now() - interval '1 minute'
        -- An update waits for an upkeep that is about to delete the row, and comes after it.
        ON CONFLICT (device_id, metric, at) DO UPDATE SET at = excluded.at
      ), ${old('minute')}, ${old('hour')}
      INSERT INTO readings (device_id, metric, at, value)
      SELECT device_id, metric, at, value FROM given WHERE NOT is_old
      ON CONFLICT DO NOTHING`.execute(tx),
};

/** What `ON CONFLICT DO UPDATE SET` does to a row `s` of a summary, for more readings of its time. */
export const ADD_TO_SUMMARY = sql`
  min = least(s.min, excluded.min), max = greatest(s.max, excluded.max),
  sum = s.sum + excluded.sum, count = s.count + excluded.count`;

/** Adds the old readings of `given` to their summaries. */
function old(unit: 'minute' | 'hour') {
  const table = sql.ref(`readings_by_${unit}`);
  return sql`${sql.ref(`old_by_${unit}`)} AS (
    INSERT INTO ${table} AS s (device_id, metric, at, min, max, sum, count)
    SELECT device_id, metric, date_trunc(${sql.lit(unit)}, at, 'UTC') AS began, min(value), max(value), sum(value), count(*)
    FROM given WHERE is_old GROUP BY device_id, metric, began
    ON CONFLICT (device_id, metric, at) DO UPDATE SET ${ADD_TO_SUMMARY}
  )`;
}

/** Lists of texts are written the same way to both kinds of database. */
function textOf(date: Date): string {
  return date.toISOString();
}

import { sql, type Transaction } from 'kysely';
import { type Tables } from '../database/tables.js';
import { RETENTION_DAYS } from './retention.js';
import { type UpkeepJob } from './upkeep.js';
import { ADD_TO_SUMMARY } from './write-rows.js';

/** How many readings one step takes. */
const STEP = 5_000;
/** How many late minutes one step makes again. */
const LATE_STEP = 500;

/**
 * Adds readings to the summaries of their minute and hour when the minute has been over for two, in the order of their times.
 * Later readings are noted as late: they are written within a minute, so that none is missed between both.
 * @param rows how many readings a step takes. Those of one instant go together: one of each metric of each device.
 */
export function summarize(rows = STEP): UpkeepJob {
  return {
    name: 'Summaries',
    async step(tx) {
      const range = await rangeToDo(tx, rows);
      if (!range) return false;
      const { began, ends, hasMore } = range;
      await sql`
        WITH minute AS (
          SELECT device_id, metric, date_trunc('minute', at, 'UTC') AS began,
            min(value) AS min, max(value) AS max, sum(value) AS sum, count(*)::integer AS count
          FROM readings WHERE at >= ${began}::timestamptz AND at < ${ends}::timestamptz
          GROUP BY device_id, metric, began
        ), hour AS (
          INSERT INTO readings_by_hour AS s (device_id, metric, at, min, max, sum, count)
          SELECT device_id, metric, date_trunc('hour', began, 'UTC') AS at, min(min), max(max), sum(sum), sum(count)
          FROM minute GROUP BY device_id, metric, at
          ON CONFLICT (device_id, metric, at) DO UPDATE SET ${ADD_TO_SUMMARY}
        )
        INSERT INTO readings_by_minute AS s (device_id, metric, at, min, max, sum, count)
        SELECT device_id, metric, began, min, max, sum, count FROM minute
        ON CONFLICT (device_id, metric, at) DO UPDATE SET ${ADD_TO_SUMMARY}`.execute(tx);
      // In the same transaction: each reading counts once.
      await sql`UPDATE upkeep SET done_until = ${ends}::timestamptz WHERE job = 'summaries'`.execute(tx);
      return hasMore;
    },
  };
}

/** Makes the summaries of minutes again that readings came for afterwards, and those of their hours. */
export const summarizeLate: UpkeepJob = {
  name: 'Summaries of late readings',
  async step(tx) {
    const { rows: late } = await sql<{ device_id: string; metric: string; at: string }>`
      DELETE FROM late_readings WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM late_readings
        WHERE at + interval '1 minute' <= (SELECT done_until FROM upkeep WHERE job = 'summaries')
        LIMIT ${LATE_STEP} FOR UPDATE SKIP LOCKED
      )) RETURNING device_id, metric, at::text`.execute(tx);
    // Of minutes whose readings are being deleted, the summaries know more.
    const lists = sql`unnest(
        ${late.map(({ device_id }) => device_id)}::text[],
        ${late.map(({ metric }) => metric)}::text[],
        ${late.map(({ at }) => at)}::text[]
      ) AS x (device_id, metric, at)
      WHERE x.at::timestamptz >= now() - ${RETENTION_DAYS.readings} * interval '1 day'`;
    await sql`
      INSERT INTO readings_by_minute (device_id, metric, at, min, max, sum, count)
      SELECT r.device_id, r.metric, m.at, min(r.value), max(r.value), sum(r.value), count(*)
      FROM (SELECT x.device_id, x.metric, x.at::timestamptz AS at FROM ${lists}) AS m
      JOIN readings r ON r.device_id = m.device_id AND r.metric = m.metric
        AND r.at >= m.at AND r.at < m.at + interval '1 minute'
      GROUP BY r.device_id, r.metric, m.at
      ON CONFLICT (device_id, metric, at) DO UPDATE SET
        min = excluded.min, max = excluded.max, sum = excluded.sum, count = excluded.count`.execute(tx);
    await sql`
      INSERT INTO readings_by_hour (device_id, metric, at, min, max, sum, count)
      SELECT s.device_id, s.metric, h.at, min(s.min), max(s.max), sum(s.sum), sum(s.count)
      FROM (SELECT DISTINCT x.device_id, x.metric, date_trunc('hour', x.at::timestamptz, 'UTC') AS at FROM ${lists}) AS h
      JOIN readings_by_minute s ON s.device_id = h.device_id AND s.metric = h.metric
        AND s.at >= h.at AND s.at < h.at + interval '1 hour'
      GROUP BY s.device_id, s.metric, h.at
      ON CONFLICT (device_id, metric, at) DO UPDATE SET
        min = excluded.min, max = excluded.max, sum = excluded.sum, count = excluded.count`.execute(tx);
    return late.length === LATE_STEP;
  },
};

interface Range {
  readonly began: string;
  readonly ends: string;
  readonly hasMore: boolean;
}

/** Times as text, exact: where the summaries are to go on, and to where. Undefined if no minute is over yet. */
async function rangeToDo(tx: Transaction<Tables>, rows: number): Promise<Range | undefined> {
  await sql`
    INSERT INTO upkeep (job, done_until)
    SELECT 'summaries', date_trunc('minute', coalesce((SELECT min(at) FROM readings), now()))
    ON CONFLICT DO NOTHING`.execute(tx);
  const result = await sql<Range>`
    WITH open AS (
      SELECT done_until AS began, date_trunc('minute', now() - interval '2 minutes') AS ends
      FROM upkeep WHERE job = 'summaries'
    ), next AS (
      SELECT at FROM readings WHERE at >= (SELECT began FROM open) AND at < (SELECT ends FROM open)
      ORDER BY at OFFSET ${rows}::bigint LIMIT 1
    )
    SELECT open.began::text, next.at IS NOT NULL AS "hasMore", (CASE
      WHEN next.at IS NULL THEN open.ends
      -- At least to the next instant that a time can have.
      ELSE greatest(next.at, open.began + interval '1 microsecond')
    END)::text AS ends
    FROM open LEFT JOIN next ON true WHERE open.began < open.ends`.execute(tx);
  return result.rows[0];
}

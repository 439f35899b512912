import { Injectable } from '@nestjs/common';
import { type RawBuilder, sql } from 'kysely';
import { Database } from '../../database/database.js';
import { DeviceRecords } from '../devices/device-records.js';
import { type MetricDto, type PointDto, type ReadingsDto, type ReadingsQueryDto } from './readings.dto.js';
import { beginOf, rangeOf, type Source, sourceOf, stepOf } from './step.js';

/** How many metrics of a device are shown. */
const MAX_METRICS = 1_000;

/** Where each source is, with the values of a row. */
const SOURCES: Readonly<
  Record<Source, { readonly table: string; readonly sum: string; readonly count: string }>
> = {
  readings: { table: 'readings', sum: 'value', count: '1' },
  minutes: { table: 'readings_by_minute', sum: 'sum', count: 'count' },
  hours: { table: 'readings_by_hour', sum: 'sum', count: 'count' },
};

/** What devices have measured. */
@Injectable()
export class Readings {
  constructor(
    private readonly database: Database,
    private readonly devices: DeviceRecords,
  ) {}

  /** @throws {NotFoundException} */
  async points(deviceId: string, query: ReadingsQueryDto): Promise<ReadingsDto> {
    const { metric } = query;
    const { from: start, to } = rangeOf(query);
    const step = stepOf(start, to, query.step);
    const from = beginOf(start, step);
    const source = sourceOf(step);
    await this.devices.mustExist(deviceId);
    const { table, sum, count } = SOURCES[source];
    const [least, most] = source === 'readings' ? ['value', 'value'] : ['min', 'max'];
    const { rows } = await sql<PointDto>`
      SELECT date_bin(${step}::bigint * interval '1 millisecond', at, 'epoch'::timestamptz) AS at,
        min(${sql.ref(least)}) AS min, sum(${sql.ref(sum)}) / sum(${sql.raw(count)}) AS avg,
        max(${sql.ref(most)}) AS max, sum(${sql.raw(count)})::bigint AS count
      FROM ${sql.table(table)}
      WHERE device_id = ${deviceId} AND metric = ${metric} AND at >= ${from} AND at < ${to}
      GROUP BY 1 ORDER BY 1`.execute(this.database);
    return { metric, from, to, step, source, points: rows };
  }

  /**
   * The metrics of a device, with their last values.
   * @throws {NotFoundException}
   */
  async metrics(deviceId: string): Promise<MetricDto[]> {
    await this.devices.mustExist(deviceId);
    const { rows } = await sql<MetricDto>`
      WITH RECURSIVE raw AS (${namesIn('readings', 'raw', deviceId)}),
        hours AS (${namesIn('readings_by_hour', 'hours', deviceId)})
      SELECT names.metric, coalesce(last.at, old.at) AS at, coalesce(last.value, old.value) AS value
      FROM (SELECT metric FROM raw UNION SELECT metric FROM hours) AS names
      LEFT JOIN LATERAL (
        SELECT at, value FROM readings
        WHERE device_id = ${deviceId} AND metric = names.metric ORDER BY at DESC LIMIT 1) AS last ON true
      LEFT JOIN LATERAL (
        SELECT at, sum / count AS value FROM readings_by_hour
        WHERE device_id = ${deviceId} AND metric = names.metric ORDER BY at DESC LIMIT 1) AS old ON true
      WHERE names.metric IS NOT NULL
      ORDER BY names.metric LIMIT ${MAX_METRICS}`.execute(this.database);
    return rows;
  }

  /** The names of all metrics of a device of which single readings are kept. */
  async namesOfReadings(deviceId: string): Promise<readonly string[]> {
    const { rows } = await sql<{ metric: string }>`
      WITH RECURSIVE raw AS (${namesIn('readings', 'raw', deviceId)})
      SELECT metric FROM raw WHERE metric IS NOT NULL`.execute(this.database);
    return rows.map(({ metric }) => metric);
  }
}

/** From name to name by the index: there are few names, and many readings. The last one is null. */
function namesIn(table: string, itself: string, deviceId: string): RawBuilder<unknown> {
  return sql`
    (SELECT metric FROM ${sql.table(table)} WHERE device_id = ${deviceId} ORDER BY metric LIMIT 1)
    UNION ALL
    SELECT (
      SELECT next.metric FROM ${sql.table(table)} AS next
      WHERE next.device_id = ${deviceId} AND next.metric > ${sql.ref(`${itself}.metric`)}
      ORDER BY next.metric LIMIT 1)
    FROM ${sql.table(itself)} WHERE ${sql.ref(`${itself}.metric`)} IS NOT NULL`;
}

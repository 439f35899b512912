import { Injectable } from '@nestjs/common';
import { sql } from 'kysely';
import { Database } from '../../database/database.js';
import { type Page, pageOf, readCursor } from '../../http/page.js';
import { type DeviceFilterDto, type DeviceQueryDto } from './device-query.dto.js';
import { type DeviceDto } from './device.dto.js';
import { type DeviceSort, SORT_KEYS } from './device-sorts.js';
import { flappingDevices } from './flapping.js';

/** With how many match in all, if that was asked. */
export interface DevicePage extends Page<DeviceDto> {
  readonly total?: number;
}

/** A row of the list: after which one the next page begins is in its key and its id. */
type Key = [string, string] | [number, string];

/** Finds devices. */
@Injectable()
export class DeviceList {
  constructor(private readonly database: Database) {}

  async page({ sort, limit, cursor, total, ...filter }: DeviceQueryDto): Promise<DevicePage> {
    const list = `devices/${sort}`;
    const after =
      SORT_KEYS[sort].type === 'number'
        ? readCursor<[number, string]>(list, cursor, ['number', 'string'])
        : readCursor<[string, string]>(list, cursor, ['string', 'string']);
    const rows = await this.find(filter, sort, after, limit + 1);
    const page = pageOf(
      rows,
      limit,
      list,
      ({ key, device }) => [key, device.id],
      ({ device }) => device,
    );
    return total === 'true' ? { ...page, total: await this.count(filter) } : page;
  }

  /** The ids of those that match, in order. */
  async ids(filter: DeviceFilterDto, limit: number): Promise<readonly string[]> {
    const rows = await this.matching(filter)
      .select('devices.id')
      .orderBy('devices.id')
      .limit(limit)
      .execute();
    return rows.map(({ id }) => id);
  }

  /** All of them, page by page, by id. */
  async *pages(filter: DeviceFilterDto, size: number): AsyncGenerator<readonly DeviceDto[]> {
    let after: Key | undefined;
    for (;;) {
      const rows = await this.find(filter, 'id', after, size);
      const last = rows.at(-1)?.device.id;
      if (last === undefined) return;
      yield rows.map(({ device }) => device);
      if (rows.length < size) return;
      after = [last, last];
    }
  }

  private async count(filter: DeviceFilterDto): Promise<number> {
    const { count } = await this.matching(filter)
      .select(({ fn }) => fn.countAll<number>().as('count'))
      .executeTakeFirstOrThrow();
    return count;
  }

  private async find(
    filter: DeviceFilterDto,
    sort: DeviceSort,
    after: Key | undefined,
    limit: number,
  ): Promise<{ readonly key: string | number; readonly device: DeviceDto }[]> {
    const { expression, type, direction } = SORT_KEYS[sort];
    let query = this.matching(filter).select([
      'devices.id',
      'name',
      'tags',
      'notes',
      'first_seen_at',
      'last_seen_at',
      'online',
      'state_since',
      'offline_cause',
      'node_id',
      'address',
      'agent_version',
      'blocked',
      'flapping.connects',
      expression.as('key'),
    ]);
    if (after) {
      const [key, id] = after;
      const sqlType = sql.raw(type === 'number' ? 'bigint' : 'text');
      const comparison = sql.raw(direction === 'asc' ? '>' : '<');
      query = query.where(
        sql<boolean>`(${expression}, devices.id) ${comparison} (${key}::${sqlType}, ${id}::text)`,
      );
    }
    const rows = await query
      .orderBy(expression, direction)
      .orderBy('devices.id', direction)
      .limit(limit)
      .execute();
    return rows.map((row) => ({ key: row.key, device: deviceOf(row) }));
  }

  private matching({ search, tag, state, version, lastSeenBefore, lastSeenAfter }: DeviceFilterDto) {
    let query = this.database
      .selectFrom('devices')
      .leftJoin(flappingDevices(this.database).as('flapping'), 'flapping.device_id', 'devices.id');
    if (search !== undefined) {
      // Not ILIKE, where % and _ would mean something.
      const text = sql`concat_ws(E'\n', devices.id, name, notes) COLLATE "default"`;
      query = query.where(sql<boolean>`strpos(lower(${text}), lower(${search}::text)) > 0`);
    }
    if (tag !== undefined) query = query.where(sql<boolean>`tags @> ${tag}::text[]`);
    if (version !== undefined) query = query.where('agent_version', '=', version);
    if (lastSeenBefore) query = query.where('last_seen_at', '<', lastSeenBefore);
    if (lastSeenAfter) query = query.where('last_seen_at', '>', lastSeenAfter);
    if (state === 'online') query = query.where('online', '=', true);
    if (state === 'offline') query = query.where('online', '=', false).where('first_seen_at', 'is not', null);
    if (state === 'never_seen') query = query.where('online', '=', false).where('first_seen_at', 'is', null);
    if (state === 'flapping') query = query.where('flapping.connects', 'is not', null);
    if (state === 'blocked') query = query.where('blocked', '=', true);
    return query;
  }
}

interface DeviceRow {
  readonly id: string;
  readonly name: string | null;
  readonly tags: string[];
  readonly notes: string;
  readonly first_seen_at: Date | null;
  readonly last_seen_at: Date | null;
  readonly online: boolean;
  readonly state_since: Date | null;
  readonly offline_cause: string | null;
  readonly node_id: string | null;
  readonly address: string | null;
  readonly agent_version: string | null;
  readonly blocked: boolean;
  readonly connects: number | null;
}

/** A device as operators see it. */
export function deviceOf(row: DeviceRow): Pick<DeviceDto, keyof DeviceDto> {
  const { id, name, tags, notes, address, blocked, online } = row;
  return {
    id,
    name,
    tags,
    notes,
    state: online ? 'online' : row.first_seen_at ? 'offline' : 'never_seen',
    stateSince: row.state_since,
    offlineCause: row.offline_cause,
    flapping: row.connects !== null,
    firstSeen: row.first_seen_at,
    lastSeen: row.last_seen_at,
    address,
    agentVersion: row.agent_version,
    nodeId: row.node_id,
    blocked,
  };
}

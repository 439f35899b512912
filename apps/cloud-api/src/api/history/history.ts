import { Injectable } from '@nestjs/common';
import { sql } from 'kysely';
import { Database } from '../../database/database.js';
import { DeviceRecords } from '../devices/device-records.js';
import { type Page, pageOf, type PageQuery, readCursor } from '../../http/page.js';
import { type ConnectionDto, type MessageDto, type MessageQueryDto } from './history.dto.js';

/** Exact: a `Date` has no microseconds. */
const CAME = sql<number>`(extract(epoch from came_at) * 1000000)::bigint`;

/** What a device did, the newest first. */
@Injectable()
export class History {
  constructor(
    private readonly database: Database,
    private readonly devices: DeviceRecords,
  ) {}

  /** @throws {NotFoundException} */
  async connections(deviceId: string, { limit, cursor }: PageQuery): Promise<Page<ConnectionDto>> {
    const after = readCursor<[number, number]>('connections', cursor, ['number', 'number']);
    await this.devices.mustExist(deviceId);
    let query = this.database
      .selectFrom('connections')
      .select(['id', 'came_at', 'went_at', 'cause', 'code', 'address', 'node_id', CAME.as('came')])
      .where('device_id', '=', deviceId);
    if (after) {
      const [came, id] = after;
      const at = sql`'epoch'::timestamptz + ${came}::bigint * interval '1 microsecond'`;
      query = query.where(sql<boolean>`(came_at, id) < (${at}, ${id}::bigint)`);
    }
    const rows = await query
      .orderBy('came_at', 'desc')
      .orderBy('id', 'desc')
      .limit(limit + 1)
      .execute();
    return pageOf(
      rows,
      limit,
      'connections',
      ({ came, id }) => [came, id],
      ({ came_at: cameAt, went_at: wentAt, cause, code, address, node_id: nodeId }) => {
        return { cameAt, wentAt, cause, code, address, nodeId };
      },
    );
  }

  /** @throws {NotFoundException} */
  async messages(deviceId: string, query: MessageQueryDto): Promise<Page<MessageDto>> {
    const { direction, event, limit, cursor } = query;
    const after = readCursor<[number]>('messages', cursor, ['number']);
    await this.devices.mustExist(deviceId);
    const rows = await this.database
      .selectFrom('messages')
      .select(['id', 'at', 'direction', 'event', 'body'])
      .where('device_id', '=', deviceId)
      .$if(direction !== undefined, (messages) => messages.where('direction', '=', direction ?? 'up'))
      .$if(event !== undefined, (messages) => messages.where('event', '=', event ?? ''))
      .$if(after !== undefined, (messages) => messages.where('id', '<', after?.[0] ?? 0))
      .orderBy('id', 'desc')
      .limit(limit + 1)
      .execute();
    return pageOf(
      rows,
      limit,
      'messages',
      ({ id }) => [id],
      ({ id: _id, ...message }) => message,
    );
  }
}

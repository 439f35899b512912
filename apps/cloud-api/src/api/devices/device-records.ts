import {
  ConflictException,
  Injectable,
  NotFoundException,
  ServiceUnavailableException,
} from '@nestjs/common';
import { Fedecks } from '@fedecks/nest';
import { type Kysely, sql } from 'kysely';
import { Database } from '../../database/database.js';
import { inTime } from '../../database/in-time.js';
import { type Tables } from '../../database/tables.js';
import { BatchWriter } from '../../recording/batch-writer.js';
import { Deliveries } from '../messages/deliveries.js';
import { sendErrorOf } from '../messages/send-errors.js';
import { type AddDeviceDto, type ChangeDeviceDto, type DeviceDetailDto } from './device.dto.js';
import { deviceOf } from './device-list.js';
import { flappingDevices } from './flapping.js';

/** What belongs to a device. Not its revocation, without which its old tokens would count again. */
const TABLES_OF_DEVICES = [
  'connections',
  'messages',
  'readings',
  'readings_by_minute',
  'readings_by_hour',
  'claims',
] as const satisfies readonly (keyof Tables)[];
/** Rows that one statement deletes, so that each takes much less time than a statement may. */
const DELETED_AT_ONCE = 20_000;
/** How long, in milliseconds, a deletion waits for what the device did before. */
const FLUSH_MS = 10_000;

/** Each device in the database. */
@Injectable()
export class DeviceRecords {
  constructor(
    private readonly database: Database,
    private readonly fedecks: Fedecks,
    private readonly deliveries: Deliveries,
    private readonly writer: BatchWriter,
  ) {}

  /** @throws {NotFoundException} */
  async one(id: string): Promise<DeviceDetailDto> {
    const row = await this.database
      .selectFrom('devices')
      .leftJoin('nodes', 'nodes.id', 'devices.node_id')
      .leftJoin(
        flappingDevices(this.database).where('device_id', '=', id).as('flapping'),
        'flapping.device_id',
        'devices.id',
      )
      .selectAll('devices')
      .select(['nodes.id as node', 'host', 'started_at', 'seen_at', 'flapping.connects'])
      .where('devices.id', '=', id)
      .executeTakeFirst();
    if (!row) throw unknown(id);
    const { node, host, started_at: startedAt, seen_at: seenAt, hello } = row;
    const isKnownNode = node !== null && host !== null && startedAt !== null && seenAt !== null;
    return {
      ...deviceOf(row),
      hello,
      settings: hello !== null && 'settings' in hello ? hello.settings : null,
      node: isKnownNode ? { id: node, host, startedAt, seenAt } : null,
      createdAt: row.created_at,
    };
  }

  /** @throws {NotFoundException} */
  async mustExist(id: string): Promise<void> {
    const row = await this.database
      .selectFrom('devices')
      .select('id')
      .where('id', '=', id)
      .executeTakeFirst();
    if (!row) throw unknown(id);
  }

  /** @throws {ConflictException} when there is one with this id. */
  async add(device: AddDeviceDto): Promise<DeviceDetailDto> {
    const { id } = device;
    const added = await this.database
      .insertInto('devices')
      .values({ id, ...definedOf(device) })
      .onConflict((conflict) => conflict.column('id').doNothing())
      .returning('id')
      .executeTakeFirst();
    if (!added) throw new ConflictException([`id ${JSON.stringify(id)} is the id of another device`]);
    return this.one(id);
  }

  /** @throws {NotFoundException} */
  async change(id: string, change: ChangeDeviceDto): Promise<DeviceDetailDto> {
    const changes = definedOf(change);
    if (Object.keys(changes).length > 0)
      await this.database.updateTable('devices').set(changes).where('id', '=', id).execute();
    return this.one(id);
  }

  /**
   * Revokes the tokens of a device, disconnects it, and deletes everything of it. The device comes last: who fails half-way
   * may begin again.
   * @throws {NotFoundException}
   */
  async delete(id: string): Promise<void> {
    await this.mustExist(id);
    await this.revoke(id);
    await this.deliveries.cancelAllOf(id);
    await this.flush();
    for (const table of TABLES_OF_DEVICES) await this.deleteAllOf(id, table);
    await this.database.deleteFrom('devices').where('id', '=', id).execute();
  }

  /** @throws {HttpException} with 503 when the other nodes do not know of it. */
  async revoke(id: string): Promise<void> {
    await this.fedecks.revoke(id).catch((error: unknown) => {
      throw sendErrorOf(error);
    });
  }

  /** What this node has recorded and not written yet, such as the end of the connection, would add the device again. */
  private async flush(): Promise<void> {
    await inTime(
      this.writer.flush(),
      FLUSH_MS,
      () => new ServiceUnavailableException('The database is slow: repeat the request.'),
    );
  }

  private async deleteAllOf(id: string, table: (typeof TABLES_OF_DEVICES)[number]): Promise<void> {
    // Their tables have different types, of which only `device_id` matters.
    const database = this.database as unknown as Kysely<Record<string, { device_id: string }>>;
    const some = database
      .selectFrom(table)
      .select(sql`ctid`.as('ctid'))
      .where('device_id', '=', id)
      .limit(DELETED_AT_ONCE);
    let deleted: number;
    do {
      const result = await database
        .deleteFrom(table)
        .where(sql`ctid`, 'in', some)
        .executeTakeFirst();
      deleted = Number(result.numDeletedRows);
    } while (deleted === DELETED_AT_ONCE);
  }
}

/** Without what is undefined. */
function definedOf({ name, tags, notes }: ChangeDeviceDto): {
  name?: string | null;
  tags?: string[];
  notes?: string;
} {
  return {
    ...(name !== undefined && { name }),
    ...(tags !== undefined && { tags }),
    ...(notes !== undefined && { notes }),
  };
}

function unknown(id: string): NotFoundException {
  return new NotFoundException(`Nothing is known of device ${JSON.stringify(id)}.`);
}

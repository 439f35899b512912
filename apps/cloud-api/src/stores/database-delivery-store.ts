import { Injectable } from '@nestjs/common';
import {
  type DeliveryClaim,
  type DeliveryStore,
  type DeviceQueue,
  type HandledPosition,
} from '@fedecks/nest';
import { type Kysely, sql, Transaction } from 'kysely';
import { Database } from '../database/database.js';
import { type Tables } from '../database/tables.js';
import { textOfColumn, textToColumn } from './text-column.js';

/**
 * Keeps in the database which deliveries of devices were handled, and what waits for devices. Each change is one statement
 * that compares and sets, so that several processes may share the database. Rejects with what the database throws.
 */
@Injectable()
export class DatabaseDeliveryStore implements DeliveryStore {
  constructor(private readonly database: Database) {}

  async claim(endpoint: string, deviceId: string): Promise<DeliveryClaim> {
    const claim = await this.database
      .insertInto('delivery_claims')
      .values({ endpoint, device_id: textToColumn(deviceId), generation: Date.now(), positions: '{}' })
      .onConflict((conflict) =>
        conflict.columns(['endpoint', 'device_id']).doUpdateSet({
          generation: sql`GREATEST(delivery_claims.generation + 1, excluded.generation)`,
        }),
      )
      .returning(['generation', 'positions'])
      .executeTakeFirstOrThrow();
    const handled = Object.entries(claim.positions).map(([lane, { epoch, seq }]) => ({
      lane: Number(lane),
      epoch: textOfColumn(epoch),
      seq,
    }));
    return { generation: claim.generation, handled };
  }

  setHandled(
    endpoint: string,
    deviceId: string,
    generation: number,
    handled: HandledPosition,
  ): Promise<boolean> {
    return setHandled(this.database, endpoint, deviceId, generation, handled);
  }

  /**
   * As a part of a transaction of {@link Database}, for `delivery.commit(tx)`. Until its end, a newer connection of the device
   * waits with its claim.
   * @throws {TypeError} (rejects) when `tx` is something else.
   */
  async setHandledIn(
    tx: unknown,
    endpoint: string,
    deviceId: string,
    generation: number,
    handled: HandledPosition,
  ): Promise<boolean> {
    if (!(tx instanceof Transaction)) {
      throw new TypeError(
        'delivery.commit(tx): tx must be the transaction that database.transaction().execute(async (tx) => ...) provides.',
      );
    }
    return setHandled(tx as Transaction<Tables>, endpoint, deviceId, generation, handled);
  }

  async readQueue(endpoint: string, deviceId: string): Promise<DeviceQueue | undefined> {
    const row = await this.database
      .selectFrom('delivery_queues')
      .select('queue')
      .where('endpoint', '=', endpoint)
      .where('device_id', '=', textToColumn(deviceId))
      .executeTakeFirst();
    return row?.queue;
  }

  async writeQueue(
    endpoint: string,
    deviceId: string,
    queue: DeviceQueue | undefined,
    after: number | undefined,
  ): Promise<boolean> {
    const key = { endpoint, device_id: textToColumn(deviceId) };
    if (after === undefined) return queue ? this.insertQueue(key, queue) : this.hasNoQueue(key);
    if (!queue) {
      const { numDeletedRows } = await this.database
        .deleteFrom('delivery_queues')
        .where((where) => where.and({ ...key, revision: after }))
        .executeTakeFirstOrThrow();
      return numDeletedRows > 0n;
    }
    const { numUpdatedRows } = await this.database
      .updateTable('delivery_queues')
      .set(columnsOf(queue))
      .where((where) => where.and({ ...key, revision: after }))
      .executeTakeFirstOrThrow();
    return numUpdatedRows > 0n;
  }

  async dueQueues(endpoint: string, now: number, limit: number): Promise<readonly string[]> {
    const rows = await this.database
      .selectFrom('delivery_queues')
      .select('device_id')
      .where('endpoint', '=', endpoint)
      .where('due_at', '<=', Math.floor(now))
      .orderBy('due_at')
      .limit(limit)
      .execute();
    return rows.map(({ device_id }) => textOfColumn(device_id));
  }

  async writeMessage(endpoint: string, deviceId: string, name: string, message: Uint8Array): Promise<void> {
    await this.database
      .insertInto('delivery_messages')
      .values({ endpoint, device_id: textToColumn(deviceId), name, body: message })
      .onConflict((conflict) =>
        conflict.columns(['endpoint', 'device_id', 'name']).doUpdateSet({ body: message }),
      )
      .execute();
  }

  async readMessage(endpoint: string, deviceId: string, name: string): Promise<Uint8Array | undefined> {
    const row = await this.database
      .selectFrom('delivery_messages')
      .select('body')
      .where((where) => where.and({ endpoint, device_id: textToColumn(deviceId), name }))
      .executeTakeFirst();
    return row?.body;
  }

  async removeMessages(endpoint: string, deviceId: string, names: readonly string[]): Promise<void> {
    if (names.length === 0) return;
    await this.database
      .deleteFrom('delivery_messages')
      .where((where) => where.and({ endpoint, device_id: textToColumn(deviceId) }))
      .where(sql<boolean>`name = ANY(${names}::text[])`)
      .execute();
  }

  private async insertQueue(key: QueueKey, queue: DeviceQueue): Promise<boolean> {
    const { numInsertedOrUpdatedRows } = await this.database
      .insertInto('delivery_queues')
      .values({ ...key, ...columnsOf(queue) })
      .onConflict((conflict) => conflict.columns(['endpoint', 'device_id']).doNothing())
      .executeTakeFirstOrThrow();
    return numInsertedOrUpdatedRows === 1n;
  }

  private async hasNoQueue(key: QueueKey): Promise<boolean> {
    const row = await this.database
      .selectFrom('delivery_queues')
      .select('revision')
      .where((where) => where.and(key))
      .executeTakeFirst();
    return row === undefined;
  }
}

interface QueueKey {
  readonly endpoint: string;
  readonly device_id: string;
}

function columnsOf(queue: DeviceQueue): { revision: number; due_at: number; queue: string } {
  // A lifetime may have a fraction. What is asked for is due at a whole millisecond.
  return { revision: queue.revision, due_at: Math.ceil(queue.dueAt), queue: JSON.stringify(queue) };
}

async function setHandled(
  database: Kysely<Tables>,
  endpoint: string,
  deviceId: string,
  generation: number,
  { lane, epoch, seq }: HandledPosition,
): Promise<boolean> {
  const positions = JSON.stringify({ [lane]: { epoch: textToColumn(epoch), seq } });
  const known = sql`delivery_claims.positions -> ${String(lane)}::text`;
  const given = sql`excluded.positions -> ${String(lane)}::text`;
  const row = await database
    .insertInto('delivery_claims')
    .values({ endpoint, device_id: textToColumn(deviceId), generation, positions })
    .onConflict((conflict) =>
      conflict
        .columns(['endpoint', 'device_id'])
        .doUpdateSet({
          generation,
          // A call that was slow may arrive after a later one.
          positions: sql`CASE
            WHEN ${known} ->> 'epoch' = ${given} ->> 'epoch' AND (${known} ->> 'seq')::bigint >= ${seq}::bigint
            THEN delivery_claims.positions ELSE delivery_claims.positions || excluded.positions END`,
        })
        .where('delivery_claims.generation', '<=', generation),
    )
    .returning('generation')
    .executeTakeFirst();
  return row !== undefined;
}

import { Injectable } from '@nestjs/common';
import { sql } from 'kysely';
import { Database } from '../../database/database.js';
import { flappingDevices } from '../devices/flapping.js';
import {
  type CountsDto,
  type FlappingDto,
  type FleetEventDto,
  type LastHourDto,
  type OverviewDto,
  type ServingNodeDto,
} from './fleet.dto.js';

const HOUR_MS = 60 * 60 * 1_000;
/** A node writes every few seconds: one that has not for so long, in milliseconds, is dead. */
const ALIVE_MS = 30_000;
const SHOWN_FLAPPING = 20;
const SHOWN_EVENTS = 50;

/** The fleet at a glance. */
@Injectable()
export class Fleet {
  constructor(private readonly database: Database) {}

  async overview(): Promise<OverviewDto> {
    const [devices, nodes, lastHour, flapping, events] = await Promise.all([
      this.counts(),
      this.nodes(),
      this.lastHour(),
      this.flapping(),
      this.events(),
    ]);
    return { devices, nodes, lastHour, flapping, events };
  }

  /** The newest first. */
  async nodes(): Promise<ServingNodeDto[]> {
    const rows = await this.database
      .selectFrom('nodes')
      .select(['id', 'host', 'started_at', 'seen_at', 'backplane_up'])
      .select((nodes) =>
        nodes
          .selectFrom('devices')
          .select(({ fn }) => fn.countAll<number>().as('devices'))
          .whereRef('node_id', '=', 'nodes.id')
          .where('online', '=', true)
          .as('devices'),
      )
      .orderBy('started_at', 'desc')
      .orderBy('id')
      .execute();
    const alive = Date.now() - ALIVE_MS;
    return rows.map(
      ({ id, host, started_at: startedAt, seen_at: seenAt, backplane_up: backplaneUp, devices }) => {
        const isAlive = seenAt.getTime() >= alive;
        return { id, host, startedAt, seenAt, alive: isAlive, backplaneUp, devices: devices ?? 0 };
      },
    );
  }

  private async counts(): Promise<CountsDto> {
    const count = (condition: string) => sql<number>`count(*) FILTER (WHERE ${sql.raw(condition)})`;
    return this.database
      .selectFrom('devices')
      .leftJoin(flappingDevices(this.database).as('flapping'), 'flapping.device_id', 'devices.id')
      .select([
        count('true').as('all'),
        count('online').as('online'),
        count('NOT online AND first_seen_at IS NOT NULL').as('offline'),
        count('NOT online AND first_seen_at IS NULL').as('neverSeen'),
        count('flapping.device_id IS NOT NULL').as('flapping'),
        count('blocked').as('blocked'),
      ])
      .executeTakeFirstOrThrow();
  }

  private async lastHour(): Promise<LastHourDto> {
    const since = new Date(Date.now() - HOUR_MS);
    const { connects } = await this.database
      .selectFrom('connections')
      .select(({ fn }) => fn.countAll<number>().as('connects'))
      .where('came_at', '>', since)
      .executeTakeFirstOrThrow();
    const closes = await this.database
      .selectFrom('connections')
      .select(({ fn }) => ['cause', fn.countAll<number>().as('count')])
      .where('went_at', '>', since)
      .groupBy('cause')
      .orderBy('cause')
      .execute();
    return {
      connects,
      closes: Object.fromEntries(closes.map(({ cause, count }) => [cause ?? 'unknown', count])),
    };
  }

  private async flapping(): Promise<FlappingDto[]> {
    const rows = await flappingDevices(this.database)
      .orderBy('connects', 'desc')
      .orderBy('device_id')
      .limit(SHOWN_FLAPPING)
      .execute();
    return rows.map(({ device_id: id, connects }) => ({ id, connects }));
  }

  /** Each half is read from the end of an index. */
  private async events(): Promise<FleetEventDto[]> {
    const [came, went] = await Promise.all([this.newest('came_at'), this.newest('went_at')]);
    return [
      ...came.map(({ at, deviceId }) => ({ at, deviceId, type: 'connected' as const, cause: null })),
      ...went.map((event) => ({ ...event, type: 'disconnected' as const })),
    ]
      .sort((one, other) => other.at.getTime() - one.at.getTime())
      .slice(0, SHOWN_EVENTS);
  }

  private newest(column: 'came_at' | 'went_at') {
    return this.database
      .selectFrom('connections')
      .select(['device_id as deviceId', 'cause', sql.ref<Date>(column).as('at')])
      .where(column, 'is not', null)
      .orderBy(column, 'desc')
      .limit(SHOWN_EVENTS)
      .execute();
  }
}

import { BadRequestException, Injectable } from '@nestjs/common';
import { sql } from 'kysely';
import { Database } from '../../database/database.js';
import { DeviceList } from './device-list.js';
import { type DeviceFilterDto } from './device-query.dto.js';

/** Which devices something is done to: exactly one of the fields. */
export interface Selection {
  readonly ids?: readonly string[] | undefined;
  /** Devices with all of these tags. */
  readonly tags?: readonly string[] | undefined;
  readonly filter?: DeviceFilterDto | undefined;
  readonly all?: true | undefined;
}

/** How many devices one request may act on. */
export const MAX_SELECTED = 10_000;

/** Finds the devices that something is done to. */
@Injectable()
export class DeviceSelection {
  constructor(
    private readonly database: Database,
    private readonly list: DeviceList,
  ) {}

  /**
   * @returns the ids, and of the given ones those that do not exist.
   * @throws {BadRequestException} for more than 10,000 devices.
   */
  async select({ ids, tags, filter }: Selection): Promise<{
    known: readonly string[];
    unknown: readonly string[];
  }> {
    if (ids) {
      const known = await this.known(ids);
      const found = new Set(known);
      return { known, unknown: ids.filter((id) => !found.has(id)) };
    }
    const matching = filter ?? { ...(tags && { tag: [...tags] }) };
    const known = await this.list.ids(matching, MAX_SELECTED + 1);
    if (known.length > MAX_SELECTED)
      throw new BadRequestException([`select must hit at most ${MAX_SELECTED} devices: select fewer`]);
    return { known, unknown: [] };
  }

  private async known(ids: readonly string[]): Promise<readonly string[]> {
    const rows = await this.database
      .selectFrom('devices')
      .select('id')
      .where(sql<boolean>`id = any(${ids}::text[])`)
      .orderBy('id')
      .execute();
    return rows.map(({ id }) => id);
  }
}

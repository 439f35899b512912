import { Injectable } from '@nestjs/common';
import { Database } from '../database/database.js';
import { hashPassword } from '../devices/password.js';
import { isDeviceId } from '../http/device-id.js';

/** What a login needs to know of a device. */
export interface DeviceAccount {
  readonly isBlocked: boolean;
  /** Undefined: it has none in the database. */
  readonly passwordHash: string | undefined;
}

const NO_ACCOUNT: DeviceAccount = { isBlocked: false, passwordHash: undefined };

/** Passwords and blocks of devices, in the database. */
@Injectable()
export class DeviceAccounts {
  constructor(private readonly database: Database) {}

  async find(deviceId: string): Promise<DeviceAccount> {
    if (!isDeviceId(deviceId)) return NO_ACCOUNT;
    const row = await this.database
      .selectFrom('devices')
      .select(['blocked', 'password_hash'])
      .where('id', '=', deviceId)
      .executeTakeFirst();
    return row ? { isBlocked: row.blocked, passwordHash: row.password_hash ?? undefined } : NO_ACCOUNT;
  }

  /** Sets the password of a device, and adds the device if it is not known. */
  async setPassword(deviceId: string, password: string): Promise<void> {
    const password_hash = await hashPassword(password);
    await this.database
      .insertInto('devices')
      .values({ id: deviceId, password_hash })
      .onConflict((conflict) => conflict.column('id').doUpdateSet({ password_hash }))
      .execute();
  }

  /** Returns whether the device is known. */
  async removePassword(deviceId: string): Promise<boolean> {
    return this.update(deviceId, { password_hash: null });
  }

  /** Returns whether the device is known. */
  async setBlocked(deviceId: string, blocked: boolean): Promise<boolean> {
    return this.update(deviceId, { blocked });
  }

  /** Blocks a device that is connected, and not in the database yet. */
  async addBlocked(deviceId: string): Promise<void> {
    await this.database
      .insertInto('devices')
      .values({ id: deviceId, blocked: true })
      .onConflict((conflict) => conflict.column('id').doUpdateSet({ blocked: true }))
      .execute();
  }

  async isKnown(deviceId: string): Promise<boolean> {
    const row = await this.database
      .selectFrom('devices')
      .select('id')
      .where('id', '=', deviceId)
      .executeTakeFirst();
    return row !== undefined;
  }

  /** The ids of the blocked devices. */
  async blockedIds(): Promise<readonly string[]> {
    const rows = await this.database.selectFrom('devices').select('id').where('blocked', '=', true).execute();
    return rows.map(({ id }) => id);
  }

  private async update(
    deviceId: string,
    values: { password_hash: null } | { blocked: boolean },
  ): Promise<boolean> {
    const { numUpdatedRows } = await this.database
      .updateTable('devices')
      .set(values)
      .where('id', '=', deviceId)
      .executeTakeFirst();
    return numUpdatedRows > 0n;
  }
}

import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { type RawBuilder, sql, type Transaction } from 'kysely';
import { Database } from '../database/database.js';
import { type Tables } from '../database/tables.js';
import { makeClaimCode } from './claim-code.js';

/** What an operator asks for. */
export interface ClaimOrder {
  /** The device of each claim; null: any device that is not known yet. */
  readonly deviceIds: readonly (string | null)[];
  /** Given to the devices. */
  readonly tags: readonly string[];
  readonly expiresInMs: number;
  /** The name of who asks. */
  readonly createdBy: string;
}

/** A claim with its code, which nobody can look up later. */
export interface NewClaim {
  readonly id: string;
  readonly code: string;
  readonly deviceId: string | null;
  readonly expiresAt: Date;
}

export type ClaimState = 'open' | 'used' | 'expired';

/** A claim, without its code. */
export interface Claim {
  readonly id: string;
  readonly state: ClaimState;
  readonly deviceId: string | null;
  readonly tags: readonly string[];
  readonly createdBy: string;
  readonly createdAt: Date;
  readonly expiresAt: Date;
  readonly usedAt: Date | null;
  readonly usedBy: string | null;
}

/** Where a page of claims begins: behind this one. */
export interface ClaimPosition {
  readonly createdAt: Date;
  readonly id: string;
}

/**
 * How long a device may use its claim again, in minutes: its connection may be lost before it has stored its token. Ends
 * when the cloud knows that the device has it ({@link Claims.confirm}).
 */
export const REUSE_MINUTES = 10;

/** The claim must stay as it was. */
class ClaimRefused extends Error {}

/** The claims of devices: codes with which they log in for the first time. Only the SHA-256 of a code is kept. */
@Injectable()
export class Claims {
  constructor(private readonly database: Database) {}

  /** Makes claims, and adds the devices that are named and not known yet. */
  async create({ deviceIds, tags, expiresInMs, createdBy }: ClaimOrder): Promise<readonly NewClaim[]> {
    // Of the app, in whole milliseconds: it is part of the cursor of a page.
    const createdAt = new Date();
    const expiresAt = new Date(createdAt.getTime() + expiresInMs);
    const claims = deviceIds.map((deviceId) => {
      return { id: randomUUID(), ...makeClaimCode(), deviceId, expiresAt };
    });
    const rows = claims.map(({ id, codeHash, deviceId }) => ({
      id,
      code_hash: codeHash,
      device_id: deviceId,
      tags: [...tags],
      created_by: createdBy,
      created_at: createdAt,
      expires_at: expiresAt,
    }));
    // In one order, so that two requests do not wait for each other.
    const named = deviceIds.filter((id) => id !== null).sort();
    await this.database.transaction().execute(async (transaction) => {
      if (named.length > 0) await addDevices(transaction, named, tags);
      await transaction.insertInto('claims').values(rows).execute();
    });
    return claims.map(({ id, code, deviceId }) => ({ id, code, deviceId, expiresAt }));
  }

  /** The newest first. @param state of those to list; undefined: all. */
  async list(state: ClaimState | undefined, limit: number, after?: ClaimPosition): Promise<readonly Claim[]> {
    let query = this.database
      .selectFrom('claims')
      .select(['id', 'device_id', 'tags', 'created_by', 'created_at', 'expires_at', 'used_at', 'used_by'])
      .select(sql<boolean>`expires_at <= now()`.as('is_over'));
    if (state !== undefined) query = query.where(isIn(state));
    if (after) query = query.where(sql<boolean>`(created_at, id) < (${after.createdAt}, ${after.id}::uuid)`);
    const rows = await query.orderBy('created_at', 'desc').orderBy('id', 'desc').limit(limit).execute();
    return rows.map((row) => ({
      id: row.id,
      state: row.used_at !== null ? 'used' : row.is_over ? 'expired' : 'open',
      deviceId: row.device_id,
      tags: row.tags,
      createdBy: row.created_by,
      createdAt: row.created_at,
      expiresAt: row.expires_at,
      usedAt: row.used_at,
      usedBy: row.used_by,
    }));
  }

  /** Deletes a claim: nobody can use it any more. Returns whether there was one. */
  async remove(id: string): Promise<boolean> {
    const { numDeletedRows } = await this.database
      .deleteFrom('claims')
      .where('id', '=', id)
      .executeTakeFirst();
    return numDeletedRows > 0n;
  }

  /**
   * Uses a claim for a device. Of several devices at once, one gets it. The device that has it may use it again for
   * {@link REUSE_MINUTES}, unless it was confirmed.
   * @param codeHash see `hashOfClaimCode`.
   * @returns false: nobody has made it, it has expired, it is for another device or used; or it is for any device, and
   * this one is known already.
   */
  async use(codeHash: Buffer, deviceId: string): Promise<boolean> {
    // Most wrong codes end here, without a transaction.
    const known = this.database.selectFrom('claims').select('id').where('code_hash', '=', codeHash);
    if (!(await known.executeTakeFirst())) return false;
    try {
      return await this.database
        .transaction()
        .execute((transaction) => useIn(transaction, codeHash, deviceId));
    } catch (error) {
      if (error instanceof ClaimRefused) return false;
      throw error;
    }
  }

  /** Says that the device has its token: from now on, no claim that it has used is good for anything. */
  async confirm(deviceId: string): Promise<void> {
    await this.database
      .updateTable('claims')
      .set({ confirmed_at: sql<Date>`now()` })
      .where('used_by', '=', deviceId)
      .where('confirmed_at', 'is', null)
      .execute();
  }
}

function isIn(state: ClaimState): RawBuilder<boolean> {
  if (state === 'used') return sql`used_at IS NOT NULL`;
  return state === 'open'
    ? sql`used_at IS NULL AND expires_at > now()`
    : sql`used_at IS NULL AND expires_at <= now()`;
}

async function useIn(transaction: Transaction<Tables>, codeHash: Buffer, deviceId: string): Promise<boolean> {
  const claim = await transaction
    .selectFrom('claims')
    .select(['id', 'device_id', 'tags', 'used_at'])
    .select(isIn('open').as('is_open'))
    .select(
      sql<boolean>`used_by = ${deviceId} AND confirmed_at IS NULL
        AND used_at > now() - make_interval(mins => ${REUSE_MINUTES}::integer)`.as('is_again'),
    )
    .where('code_hash', '=', codeHash)
    .forUpdate()
    .executeTakeFirst();
  if (!claim) return false;
  if (claim.is_again) return true;
  if (!claim.is_open) return false;
  if (claim.device_id !== null && claim.device_id !== deviceId) return false;
  if (claim.device_id === null) await addUnknown(transaction, deviceId, claim.tags);
  await transaction
    .updateTable('claims')
    .set({ used_at: sql<Date>`now()`, used_by: deviceId })
    .where('id', '=', claim.id)
    .execute();
  return true;
}

/**
 * Adds a device by a claim for any. One that has been here, or has a password or a claim of its own, is not taken over.
 * The row of the device is locked: of two such claims for one device, the second sees the first.
 */
async function addUnknown(
  transaction: Transaction<Tables>,
  deviceId: string,
  tags: readonly string[],
): Promise<void> {
  await addDevices(transaction, [deviceId], []);
  const { first_seen_at, password_hash } = await transaction
    .selectFrom('devices')
    .select(['first_seen_at', 'password_hash'])
    .where('id', '=', deviceId)
    .forUpdate()
    .executeTakeFirstOrThrow();
  const other = await transaction
    .selectFrom('claims')
    .select('id')
    .where(sql<boolean>`(device_id = ${deviceId} OR used_by = ${deviceId})`)
    .limit(1)
    .executeTakeFirst();
  if (first_seen_at || password_hash !== null || other) throw new ClaimRefused();
  await addDevices(transaction, [deviceId], tags);
}

/** Adds devices that are not there, and the tags to all of them. */
async function addDevices(
  transaction: Transaction<Tables>,
  ids: readonly string[],
  tags: readonly string[],
): Promise<void> {
  const insert = transaction.insertInto('devices').values(ids.map((id) => ({ id, tags: [...tags] })));
  await insert
    .onConflict((conflict) =>
      tags.length === 0
        ? conflict.column('id').doNothing()
        : conflict.column('id').doUpdateSet({
            tags: sql<string[]>`ARRAY(SELECT DISTINCT unnest(devices.tags || excluded.tags) ORDER BY 1)`,
          }),
    )
    .execute();
}

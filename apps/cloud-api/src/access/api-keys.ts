import { randomUUID } from 'node:crypto';
import { ConflictException, Injectable, NotFoundException } from '@nestjs/common';
import { sql } from 'kysely';
import { Database } from '../database/database.js';
import { ActorCache, type FoundActor } from './actor-cache.js';
import { type Role } from './actor.js';
import { hashOfToken, isRandomToken, randomToken } from './random-token.js';

/** By which people and secret scanners recognise a key. */
const PREFIX = 'fdk_';

/** An API key, without what it consists of. */
export interface ShownApiKey {
  readonly name: string;
  readonly role: Role;
  readonly createdBy: string;
  readonly createdAt: Date;
  /** Null: never. */
  readonly expiresAt: Date | null;
  /** To the minute; null: never. */
  readonly lastUsedAt: Date | null;
}

/** What an admin says of a new key. */
export interface NewApiKey {
  readonly name: string;
  readonly role: Role;
  /** Null: never. */
  readonly expiresAt: Date | null;
}

/** Whether a key may be one of the database. */
export function isApiKey(key: string): boolean {
  return isRandomToken(key, PREFIX);
}

/** The API keys in the database. */
@Injectable()
export class ApiKeys {
  constructor(
    private readonly database: Database,
    private readonly cache: ActorCache,
  ) {}

  /** The actor of a key that has not expired. */
  async find(keyHash: Buffer): Promise<FoundActor | undefined> {
    const row = await this.database
      .selectFrom('api_keys')
      .select(['id', 'name', 'role', 'expires_at', NEEDS_MARK.as('needsMark')])
      .where('key_hash', '=', keyHash)
      .where((where) =>
        where.or([where('expires_at', 'is', null), where('expires_at', '>', sql<Date>`now()`)]),
      )
      .executeTakeFirst();
    if (!row) return undefined;
    const { id, name, role, expires_at: expiresAt, needsMark } = row;
    if (needsMark) await this.markUsed(id);
    return { actor: { kind: 'api_key', id, name, role }, expiresAt };
  }

  /** Up to `limit`, in the order of their names, after this one. */
  async list(limit: number, after: string | undefined): Promise<ShownApiKey[]> {
    const rows = await this.database
      .selectFrom('api_keys')
      .select(['name', 'role', 'created_by', 'created_at', 'expires_at', 'last_used_at'])
      .$if(after !== undefined, (query) => query.where('name', '>', after ?? ''))
      .orderBy('name')
      .limit(limit)
      .execute();
    return rows.map(({ name, role, ...row }) => ({
      name,
      role,
      createdBy: row.created_by,
      createdAt: row.created_at,
      expiresAt: row.expires_at,
      lastUsedAt: row.last_used_at,
    }));
  }

  /**
   * Makes a key. Nothing can show it again.
   * @throws {ConflictException} (rejects) when the name is taken.
   */
  async add({ name, role, expiresAt }: NewApiKey, createdBy: string): Promise<ShownApiKey & { key: string }> {
    const key = randomToken(PREFIX);
    const row = await this.database
      .insertInto('api_keys')
      .values({
        id: randomUUID(),
        name,
        role,
        key_hash: hashOfToken(key),
        created_by: createdBy,
        expires_at: expiresAt,
      })
      .onConflict((conflict) => conflict.column('name').doNothing())
      .returning('created_at')
      .executeTakeFirst();
    if (!row) throw new ConflictException(`The name ${name} is taken: choose another one.`);
    return { name, role, createdBy, createdAt: row.created_at, expiresAt, lastUsedAt: null, key };
  }

  /** @throws {NotFoundException} (rejects) for an unknown name. */
  async remove(name: string): Promise<void> {
    try {
      const row = await this.database
        .deleteFrom('api_keys')
        .where('name', '=', name)
        .returning('id')
        .executeTakeFirst();
      if (!row) throw new NotFoundException(`There is no API key ${name}.`);
    } finally {
      this.cache.clear();
    }
  }

  private async markUsed(id: string): Promise<void> {
    await this.database
      .updateTable('api_keys')
      .set({ last_used_at: sql<Date>`now()` })
      .where('id', '=', id)
      .where(NEEDS_MARK)
      .execute();
  }
}

/** At most one write a minute for each key. */
const NEEDS_MARK = sql<boolean>`(last_used_at IS NULL OR last_used_at < now() - interval '1 minute')`;

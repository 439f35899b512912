import { randomUUID } from 'node:crypto';
import { ConflictException, Injectable, NotFoundException } from '@nestjs/common';
import { sql, type Transaction } from 'kysely';
import { Database } from '../database/database.js';
import { type Tables } from '../database/tables.js';
import { ActorCache } from './actor-cache.js';
import { type Role } from './actor.js';

/** An operator, without secrets. */
export interface ShownOperator {
  readonly name: string;
  readonly role: Role;
  readonly createdAt: Date;
}

/** What logging in needs. */
export interface OperatorSecret {
  readonly id: string;
  readonly passwordHash: string;
}

/** The people who may log in. A change of one ends its sessions. */
@Injectable()
export class Operators {
  constructor(
    private readonly database: Database,
    private readonly cache: ActorCache,
  ) {}

  /** Up to `limit`, in the order of their names, after this one. */
  async list(limit: number, after: string | undefined): Promise<ShownOperator[]> {
    const rows = await this.database
      .selectFrom('operators')
      .select(['name', 'role', 'created_at'])
      .$if(after !== undefined, (query) => query.where('name', '>', after ?? ''))
      .orderBy('name')
      .limit(limit)
      .execute();
    return rows.map(({ name, role, created_at: createdAt }) => ({ name, role, createdAt }));
  }

  async secretOf(name: string): Promise<OperatorSecret | undefined> {
    const row = await this.database
      .selectFrom('operators')
      .select(['id', 'password_hash'])
      .where('name', '=', name)
      .executeTakeFirst();
    return row && { id: row.id, passwordHash: row.password_hash };
  }

  /** @throws {ConflictException} (rejects) when the name is taken. */
  async add(name: string, role: Role, passwordHash: string): Promise<ShownOperator> {
    const row = await this.database
      .insertInto('operators')
      .values({ id: randomUUID(), name, role, password_hash: passwordHash })
      .onConflict((conflict) => conflict.column('name').doNothing())
      .returning('created_at')
      .executeTakeFirst();
    if (!row) throw new ConflictException(`The name ${name} is taken: choose another one.`);
    return { name, role, createdAt: row.created_at };
  }

  /**
   * @param isStill what the hash must be; undefined: any.
   * @throws {NotFoundException} (rejects) for an unknown name, or another hash.
   */
  async setPassword(name: string, passwordHash: string, isStill?: string): Promise<void> {
    await this.change(async (transaction) => {
      const row = await transaction
        .updateTable('operators')
        .set({ password_hash: passwordHash })
        .where('name', '=', name)
        .$if(isStill !== undefined, (query) => query.where('password_hash', '=', isStill ?? ''))
        .returning('id')
        .executeTakeFirst();
      if (!row) throw unknown(name);
      await endSessions(transaction, row.id);
    });
  }

  /** @throws {NotFoundException | ConflictException} (rejects) for an unknown name, or when no admin would be left. */
  async setRole(name: string, role: Role): Promise<void> {
    await this.change(async (transaction) => {
      const id = await lockForChange(transaction, name, role === 'admin');
      await transaction.updateTable('operators').set({ role }).where('id', '=', id).execute();
      await endSessions(transaction, id);
    });
  }

  /** @throws {NotFoundException | ConflictException} (rejects) for an unknown name, or when no admin would be left. */
  async remove(name: string): Promise<void> {
    await this.change(async (transaction) => {
      const id = await lockForChange(transaction, name, false);
      // The sessions go with the row.
      await transaction.deleteFrom('operators').where('id', '=', id).execute();
    });
  }

  private async change(work: (transaction: Transaction<Tables>) => Promise<void>): Promise<void> {
    try {
      await this.database.transaction().execute(work);
    } finally {
      // Also when it failed: a commit may have come through without its answer.
      this.cache.clear();
    }
  }
}

function unknown(name: string): NotFoundException {
  return new NotFoundException(`There is no operator ${name}.`);
}

/**
 * The id of an operator who is about to change. Locks the table: two admins who remove each other at the same time would both
 * see the other.
 */
async function lockForChange(
  transaction: Transaction<Tables>,
  name: string,
  staysAdmin: boolean,
): Promise<string> {
  await sql`LOCK TABLE operators IN SHARE ROW EXCLUSIVE MODE`.execute(transaction);
  const operator = await transaction
    .selectFrom('operators')
    .select(['id', 'role'])
    .where('name', '=', name)
    .executeTakeFirst();
  if (!operator) throw unknown(name);
  if (operator.role === 'admin' && !staysAdmin) {
    const other = await transaction
      .selectFrom('operators')
      .select('id')
      .where('role', '=', 'admin')
      .where('id', '!=', operator.id)
      .limit(1)
      .executeTakeFirst();
    if (!other) throw new ConflictException('This is the last admin: make another operator an admin first.');
  }
  return operator.id;
}

async function endSessions(transaction: Transaction<Tables>, operatorId: string): Promise<void> {
  await transaction.deleteFrom('sessions').where('operator_id', '=', operatorId).execute();
}

import { Injectable, UnauthorizedException } from '@nestjs/common';
import { sql, type Transaction } from 'kysely';
import { Database } from '../database/database.js';
import { type Tables } from '../database/tables.js';
import { ActorCache, type FoundActor } from './actor-cache.js';
import { type Actor } from './actor.js';
import { hashOfToken, randomToken } from './random-token.js';
import { SESSION_SECONDS } from './session-cookie.js';

/** What an operator gets who logs in. */
export interface NewSession {
  readonly actor: Actor;
  readonly token: string;
}

/** The oldest session of an operator ends when one more begins. */
const MAX_SESSIONS = 20;

/** The operators who are logged in, on all nodes. */
@Injectable()
export class Sessions {
  constructor(
    private readonly database: Database,
    private readonly cache: ActorCache,
  ) {}

  /** The operator of a session that has not expired. */
  async find(tokenHash: Buffer): Promise<FoundActor | undefined> {
    const row = await this.database
      .selectFrom('sessions')
      .innerJoin('operators', 'operators.id', 'sessions.operator_id')
      .select(['operators.id', 'operators.name', 'operators.role', 'sessions.expires_at'])
      .where('sessions.token_hash', '=', tokenHash)
      .where('sessions.expires_at', '>', sql<Date>`now()`)
      .executeTakeFirst();
    if (!row) return undefined;
    const { id, name, role, expires_at: expiresAt } = row;
    return { actor: { kind: 'operator', id, name, role }, expiresAt };
  }

  /**
   * Begins a session of an operator who has presented the password of this hash, and returns it with its token.
   * @throws {UnauthorizedException} (rejects) when the password has changed since, or the operator is deleted.
   */
  async begin(operatorId: string, passwordHash: string): Promise<NewSession> {
    const token = randomToken();
    const actor = await this.database.transaction().execute(async (transaction): Promise<Actor> => {
      // The lock: a change of the password ends this session, too, or comes first and is seen here.
      const operator = await transaction
        .selectFrom('operators')
        .select(['id', 'name', 'role'])
        .where('id', '=', operatorId)
        .where('password_hash', '=', passwordHash)
        .forUpdate()
        .executeTakeFirst();
      if (!operator) throw new UnauthorizedException('The password has just changed: log in again.');
      await insertSession(transaction, operatorId, token);
      return { kind: 'operator', ...operator };
    });
    // Of sessions that were too many.
    this.cache.clear();
    return { actor, token };
  }

  /** Ends a session; does nothing where there is none. */
  async end(token: string): Promise<void> {
    try {
      await this.database.deleteFrom('sessions').where('token_hash', '=', hashOfToken(token)).execute();
    } finally {
      this.cache.clear();
    }
  }
}

/** Adds a session, and deletes those of the operator that are too many. The caller has locked the operator. */
export async function insertSession(
  transaction: Transaction<Tables>,
  operatorId: string,
  token: string,
): Promise<void> {
  const newest = transaction
    .selectFrom('sessions')
    .select('token_hash')
    .where('operator_id', '=', operatorId)
    .where('expires_at', '>', sql<Date>`now()`)
    .orderBy('created_at', 'desc')
    .limit(MAX_SESSIONS - 1);
  await transaction
    .deleteFrom('sessions')
    .where('operator_id', '=', operatorId)
    .where('token_hash', 'not in', newest)
    .execute();
  await transaction
    .insertInto('sessions')
    .values({
      token_hash: hashOfToken(token),
      operator_id: operatorId,
      // Not now(), which is that of the beginning of the transaction: sessions are to be in order.
      created_at: sql<Date>`clock_timestamp()`,
      expires_at: sql<Date>`now() + make_interval(secs => ${SESSION_SECONDS})`,
    })
    .execute();
}

import { randomUUID } from 'node:crypto';
import { type AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type BeforeApplicationShutdown,
  ForbiddenException,
  Injectable,
  Logger,
  type OnModuleInit,
} from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { sql } from 'kysely';
import { Database } from '../database/database.js';
import { isUnreachable } from '../database/database-errors.js';
import { DatabaseLink } from '../database/database-link.js';
import { hashOfToken, isRandomToken, randomToken } from './random-token.js';
import { insertSession, type NewSession } from './sessions.js';

const NO_OPERATOR = sql<boolean>`NOT EXISTS (SELECT FROM operators)`;
const TRY_AGAIN_MS = 1_000;
const WRONG =
  'The set-up link is wrong, expired or used. Where there is no operator, a restart logs a new one.';

/**
 * The first start: while there is no operator, each node logs a link when it begins to listen, and whoever uses one becomes the
 * first admin. Links are valid for an hour. With the first operator all of them end.
 */
@Injectable()
export class SetupLinks implements OnModuleInit, BeforeApplicationShutdown {
  private readonly logger = new Logger('Setup');
  private readonly ending = new AbortController();
  private offering: Promise<void> | undefined;

  constructor(
    private readonly database: Database,
    private readonly link: DatabaseLink,
    private readonly adapterHost: HttpAdapterHost,
  ) {}

  onModuleInit(): void {
    this.adapterHost.listen$.subscribe(() => {
      this.offering = this.offer();
    });
  }

  async beforeApplicationShutdown(): Promise<void> {
    this.ending.abort();
    await this.offering;
  }

  /** @throws {ForbiddenException} (rejects) unless it is the code of a link that may be used. */
  async check(code: string): Promise<void> {
    if (!isRandomToken(code)) throw new ForbiddenException(WRONG);
    const link = await this.database
      .selectFrom('setup_links')
      .select('code_hash')
      .where('code_hash', '=', hashOfToken(code))
      .where('expires_at', '>', sql<Date>`now()`)
      .where(NO_OPERATOR)
      .executeTakeFirst();
    if (!link) throw new ForbiddenException(WRONG);
  }

  /**
   * Makes the first admin, and begins a session. Of several at once, one comes through.
   * @throws {ForbiddenException} (rejects) unless it is the code of a link that may be used.
   */
  async use(code: string, name: string, passwordHash: string): Promise<NewSession> {
    const [id, token] = [randomUUID(), randomToken()];
    await this.database.transaction().execute(async (transaction) => {
      // Nobody adds an operator, or uses another link, meanwhile.
      await sql`LOCK TABLE operators IN SHARE ROW EXCLUSIVE MODE`.execute(transaction);
      const { numDeletedRows } = await transaction
        .deleteFrom('setup_links')
        .where('code_hash', '=', hashOfToken(code))
        .where('expires_at', '>', sql<Date>`now()`)
        .where(NO_OPERATOR)
        .executeTakeFirstOrThrow();
      if (numDeletedRows === 0n) throw new ForbiddenException(WRONG);
      await transaction.deleteFrom('setup_links').execute();
      const operator = { id, name, password_hash: passwordHash, role: 'admin' } as const;
      await transaction.insertInto('operators').values(operator).execute();
      await insertSession(transaction, id, token);
    });
    return { actor: { kind: 'operator', id, name, role: 'admin' }, token };
  }

  /** Logs a link, if there is no operator, as soon as the database can be asked. */
  private async offer(): Promise<void> {
    const { signal } = this.ending;
    while (!signal.aborted) {
      if (this.link.isReady && (await this.hasOffered())) return;
      await sleep(TRY_AGAIN_MS, undefined, { signal, ref: false }).catch(() => undefined);
    }
  }

  private async hasOffered(): Promise<boolean> {
    const code = randomToken();
    try {
      if (!(await this.insert(code))) return true;
    } catch (error) {
      if (isUnreachable(error)) return false;
      const reason = error instanceof Error ? error.message : 'unknown error';
      this.logger.error(`The set-up link cannot be made, restart the app for one: ${reason}`);
      return true;
    }
    // After the hash, so that the code is never part of a request that proxies log.
    const url = `${this.address}/setup#${code}`;
    this.logger.log(`There is no operator yet. Make the first admin within an hour: ${url}`);
    return true;
  }

  /** Returns false where there is an operator. */
  private async insert(code: string): Promise<boolean> {
    await this.database
      .deleteFrom('setup_links')
      .where('expires_at', '<=', sql<Date>`now()`)
      .execute();
    const { numAffectedRows } = await sql`
      INSERT INTO setup_links (code_hash, expires_at)
      SELECT ${hashOfToken(code)}::bytea, now() + interval '1 hour' WHERE ${NO_OPERATOR}`.execute(
      this.database,
    );
    return numAffectedRows === 1n;
  }

  /** Where it listens, for a browser on this machine. */
  private get address(): string {
    const server = this.adapterHost.httpAdapter.getHttpServer() as { address(): AddressInfo | string | null };
    const address = server.address();
    if (address === null || typeof address === 'string') return '';
    const { address: ip, family, port } = address;
    const isAny = ip === '0.0.0.0' || ip === '::';
    const host = isAny ? 'localhost' : family === 'IPv6' ? `[${ip}]` : ip;
    return `http://${host}:${port}`;
  }
}

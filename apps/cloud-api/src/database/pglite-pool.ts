import { join } from 'node:path';
import { PGlite, types } from '@electric-sql/pglite';
import { type PostgresPool, type PostgresPoolClient, type PostgresQueryResult } from 'kysely';
import { DirectoryLock } from './directory-lock.js';

/**
 * An embedded Postgres as a pool of one connection, which is all it has: who asks while it is taken waits. So its queries
 * go through the same dialect as those to a server.
 */
export class PglitePool implements PostgresPool {
  private free: Promise<void> = Promise.resolve();

  /**
   * @param directory for its files, in `database` there.
   * @throws {DatabaseInUseError} (rejects) if another process uses it.
   */
  static async open(directory: string): Promise<PglitePool> {
    const lock = await DirectoryLock.take(directory);
    try {
      const files = join(directory, 'database');
      return new PglitePool(await PGlite.create(files, { parsers: { [types.INT8]: Number } }), lock);
    } catch (error) {
      await lock.release();
      throw error;
    }
  }

  private constructor(
    private readonly pglite: PGlite,
    private readonly lock: DirectoryLock,
  ) {}

  async connect(): Promise<PostgresPoolClient> {
    const before = this.free;
    let release = (): void => undefined;
    this.free = new Promise((resolve) => (release = resolve));
    await before;
    const query = (sql: string, parameters: readonly unknown[]): Promise<PostgresQueryResult<unknown>> =>
      this.query(sql, parameters);
    // Without the overload for cursors: nothing here streams with one.
    return { query, release } as PostgresPoolClient;
  }

  async end(): Promise<void> {
    await this.free;
    await this.pglite.close();
    await this.lock.release();
  }

  private async query(sql: string, parameters: readonly unknown[]): Promise<PostgresQueryResult<unknown>> {
    // Fails where the transaction has failed: a commit would silently roll back then, and does not say so here.
    if (sql === 'commit') await this.pglite.query('select 1');
    const { rows, affectedRows = 0 } = await this.pglite.query(sql, [...parameters]);
    // PGlite does not say which command it was. Kysely counts the rows of these; a SELECT has none.
    return { command: 'MERGE', rowCount: affectedRows, rows };
  }
}

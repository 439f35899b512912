import { setTimeout as sleep } from 'node:timers/promises';
import { type PostgresPool, type PostgresPoolClient, type PostgresQueryResult } from 'kysely';
import type pg from 'pg';

/** How long, in milliseconds, the end waits for a server that does not say goodbye. */
const END_MS = 2_000;

/**
 * Connections to a Postgres server. One on which a query was not answered in time is closed: the answer may never come, and
 * whoever got the connection next would wait behind that query.
 */
export class ServerPool implements PostgresPool {
  constructor(private readonly pool: pg.Pool) {}

  async connect(): Promise<PostgresPoolClient> {
    const client = await this.pool.connect();
    let problem: Error | undefined;
    const query = async (
      sql: string,
      parameters: readonly unknown[],
    ): Promise<PostgresQueryResult<unknown>> => {
      if (problem) throw problem;
      try {
        return (await client.query(sql, [...parameters])) as PostgresQueryResult<unknown>;
      } catch (error) {
        if (error instanceof Error && error.message === 'Query read timeout') problem = error;
        throw error;
      }
    };
    const release = (isBroken = false): void => client.release(isBroken || problem !== undefined);
    // Without the overload for cursors: nothing here streams with one.
    return { query, release } as PostgresPoolClient;
  }

  async end(): Promise<void> {
    await Promise.race([this.pool.end(), sleep(END_MS, undefined, { ref: false })]);
  }
}

import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { PostgresDialect } from 'kysely';
import pg from 'pg';
import { Database } from './database.js';
import { PglitePool } from './pglite-pool.js';
import { ServerPool } from './server-pool.js';

/** Where the database is. */
export interface DatabaseConfig {
  /** A Postgres server, as `postgres://user:password@host/name`. Undefined: embedded in `directory`. */
  readonly url: string | undefined;
  /** Of the files of the app: the embedded database is in `database` there. */
  readonly directory: string;
}

/** How long, in milliseconds, a statement may take before the server ends it. */
const STATEMENT_TIMEOUT_MS = 10_000;
/** How long, in milliseconds, a query waits for its answer: longer, in case that the server is slow to say that it has ended it. */
const QUERY_TIMEOUT_MS = STATEMENT_TIMEOUT_MS + 1_000;
/** How long, in milliseconds, a query waits for a connection. */
const CONNECT_TIMEOUT_MS = 5_000;
const MAX_CONNECTIONS = 10;

/** `bigint` as a number: those of the app are well below 2^53. */
const TYPES = new pg.TypeOverrides();
TYPES.setTypeParser(pg.types.builtins.INT8, Number);

/**
 * The database, not connected yet: the first query connects, and each query connects again where a connection was lost.
 * @param onError is told of connections that are lost while nobody uses them.
 */
export function openDatabase(
  { url, directory }: DatabaseConfig,
  onError: (error: Error) => void = () => undefined,
): Database {
  if (url === undefined)
    return new Database({ dialect: new PostgresDialect({ pool: () => openEmbedded(directory) }) });
  const pool = new pg.Pool({
    connectionString: url,
    max: MAX_CONNECTIONS,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    statement_timeout: STATEMENT_TIMEOUT_MS,
    query_timeout: QUERY_TIMEOUT_MS,
    application_name: 'cloud-api',
    types: TYPES,
  });
  pool.on('error', onError);
  // The pool listens only while nobody uses a connection. One that is lost in the middle of a transaction, between two
  // queries, would end the process; as it is, the next query fails.
  pool.on('connect', (client) => client.on('error', () => undefined));
  return new Database({ dialect: new PostgresDialect({ pool: new ServerPool(pool) }) });
}

async function openEmbedded(directory: string): Promise<PglitePool> {
  // Nobody else of the machine is to read what devices say.
  await mkdir(directory, { recursive: true, mode: 0o700 });
  return PglitePool.open(directory);
}

/** Where the database is, for people: without a password. */
export function placeOf({ url, directory }: DatabaseConfig): string {
  if (url === undefined) return `embedded, in ${join(directory, 'database')}`;
  const { host, pathname } = new URL(url);
  return `the server ${host}${pathname}`;
}

import { jest } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readdir, rm, unlink, writeFile } from 'node:fs/promises';
import { cpSync, existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'kysely';
import pg from 'pg';
import { type Database } from '../../src/database/database.js';
import { migrate } from '../../src/database/migrate.js';
import { type DatabaseConfig, openDatabase } from '../../src/database/open-database.js';
import { fileOfRun, makeOnce } from '../../../../libs/fedecks/test/support/test-run.js';

/** Which database the tests of this run have, unless they say which they need. `npm run test:embedded` sets it. */
const KIND = process.env['CLOUD_API_TEST_DATABASE'] === 'pglite' ? 'pglite' : 'postgres';

// The first embedded database of a run takes 5 s, and more than 30 s on a busy machine: whichever test is the first waits.
jest.setTimeout(120_000);

/** A database for one test: empty, or with the tables of the newest version. */
export class TestDatabase {
  private constructor(
    readonly config: DatabaseConfig,
    private readonly remove: () => Promise<void>,
  ) {}

  /**
   * @param kind for a test that works with one kind only: an embedded database has one process, and cannot be away.
   * @param tables false: nothing has been migrated yet.
   */
  static async create({ kind = KIND, tables = true } = {}): Promise<TestDatabase> {
    const directory = await mkdtemp(join(tmpdir(), 'cloud-api-data-'));
    const removeFiles = (): Promise<void> => rm(directory, { recursive: true, force: true });
    if (kind === 'pglite') {
      // A third of the work of the asynchronous one, for a thousand files.
      if (tables) cpSync(await pgliteTemplate(), directory, { recursive: true });
      return new TestDatabase({ url: undefined, directory }, removeFiles);
    }
    const server = serverUrl();
    const name = (tables ? await takeFree() : undefined) ?? (await createOn(server, tables));
    return new TestDatabase({ url: urlOf(server, name), directory }, async () => {
      if (tables) await free(name);
      else await query(server, `DROP DATABASE ${name} WITH (FORCE)`);
      await removeFiles();
    });
  }

  /** Removes it, when nobody uses it any more. */
  async close(): Promise<void> {
    await this.remove();
  }
}

/** The server that the set-up of the run has found or started. */
function serverUrl(): string {
  return variable('CLOUD_API_TEST_POSTGRES');
}

/** What the set-up of this run has found or made. */
function variable(name: 'CLOUD_API_TEST_POSTGRES' | 'CLOUD_API_TEST_PREFIX'): string {
  const { [name]: value } = process.env;
  if (value === undefined) throw new Error(`${name} is not set: globalSetup of jest.config.ts has not run.`);
  return value;
}

async function createOn(server: string, tables: boolean): Promise<string> {
  const name = `${variable('CLOUD_API_TEST_PREFIX')}_${randomBytes(6).toString('hex')}`;
  const template = tables ? await postgresTemplate(server) : 'template1';
  await query(server, `CREATE DATABASE ${name} TEMPLATE ${template}`);
  return name;
}

/** A database that another test has left empty: creating and dropping one takes longer than most tests. */
async function takeFree(): Promise<string | undefined> {
  const directory = freeDirectory();
  const names = existsSync(directory) ? await readdir(directory) : [];
  for (const name of names) {
    // Of two that unlink a file, one succeeds. With rm, both may.
    const isMine = await unlink(join(directory, name)).then(
      () => true,
      () => false,
    );
    if (!isMine) continue;
    await query(urlOf(serverUrl(), name), EMPTY);
    return name;
  }
  return undefined;
}

/** Leaves a database to the next test, which empties it. The end of the run drops it. */
async function free(name: string): Promise<void> {
  await mkdir(freeDirectory(), { recursive: true });
  await writeFile(join(freeDirectory(), name), '');
}

function freeDirectory(): string {
  return fileOfRun('free');
}

/** Empties a database that several tests share. */
export async function deleteRows(database: Database): Promise<void> {
  await sql.raw(DELETE_ROWS).execute(database);
}

/** Faster than TRUNCATE, which makes new files. */
const DELETE_ROWS = `
  DO $$ DECLARE each record; BEGIN
    SET CONSTRAINTS ALL DEFERRED;
    FOR each IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename NOT LIKE 'kysely_%' ORDER BY
      tablename = 'operators'
    LOOP EXECUTE format('DELETE FROM %I', each.tablename); END LOOP;
  END $$`;

/** Ends who is still connected, and deletes all rows. */
const EMPTY = `
  SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid();
  ${DELETE_ROWS}`;

/** Made once in each run: migrating takes ten times as long as copying. */
async function postgresTemplate(server: string): Promise<string> {
  const name = `${variable('CLOUD_API_TEST_PREFIX')}_template`;
  await makeOnce(name, async () => {
    await query(server, `CREATE DATABASE ${name}`);
    await migrated({ url: urlOf(server, name), directory: tmpdir() });
  });
  return name;
}

async function pgliteTemplate(): Promise<string> {
  const directory = fileOfRun('pglite');
  await makeOnce('pglite', () => migrated({ url: undefined, directory }));
  return directory;
}

async function migrated(config: DatabaseConfig): Promise<void> {
  const database = openDatabase(config);
  await migrate(database);
  await database.destroy();
}

async function query(url: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}

function urlOf(server: string, name: string): string {
  const url = new URL(server);
  url.pathname = `/${name}`;
  return url.href;
}

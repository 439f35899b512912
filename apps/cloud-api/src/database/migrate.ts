import { types } from 'node:util';
import { type Migration, Migrator } from 'kysely';
import { type Database } from './database.js';
import * as first from './migrations/0001-first.js';

/** By name, in order. One that has been released is never changed. */
const MIGRATIONS: Readonly<Record<string, Migration>> = { '0001-first': first };

/**
 * Brings the tables to the newest version. Several processes may do so at once: one does it, the others wait.
 * @throws what the database throws, or that it was written by a newer version of the app.
 */
export async function migrate(database: Database): Promise<void> {
  const provider = { getMigrations: () => Promise.resolve(MIGRATIONS) };
  const { error } = await new Migrator({ db: database, provider }).migrateToLatest();
  if (error === undefined) return;
  // Not by its class: an error of Node has another one where tests run in a realm of their own.
  throw types.isNativeError(error) ? error : new Error('The migration failed.', { cause: error });
}

import { Kysely } from 'kysely';
import { type Tables } from './tables.js';

/** The database of the app: Kysely with its tables. A class, so that providers can ask for it. */
export class Database extends Kysely<Tables> {}

import { hostname } from 'node:os';
import { sql, type Transaction } from 'kysely';
import { type Database } from '../database/database.js';
import { type DatabaseLink } from '../database/database-link.js';
import { isUnreachable } from '../database/database-errors.js';
import { type Tables } from '../database/tables.js';
import { RECORDED_TABLES, type RecordedRows, type RecordedTable } from './recorded-rows.js';
import { type Waiting } from './write-queue.js';
import { type RowsWriter, WRITE_ROWS } from './write-rows.js';

/**
 * Classes of Postgres that are not about the rows: connections, the wrong kind of transaction, rights, deadlocks, missing
 * tables, a full disk, locks, an administrator, the system.
 */
const OF_THE_SERVER = /^(08|25|28|3D|40|42|53|55|57|58)...$/;

/** Writes batches of one node into the database, each once. */
export class BatchStore {
  constructor(
    private readonly database: Database,
    private readonly link: Pick<DatabaseLink, 'isReady'>,
    readonly nodeId: string,
  ) {}

  /** Whether the tables are there. */
  get isReady(): boolean {
    return this.link.isReady;
  }

  /**
   * Writes a batch, all of it or nothing. It may be called again with the same number, which rises from batch to batch:
   * one that had been written, although the answer was lost, is not written twice.
   */
  async write(number: number, batch: readonly Waiting[]): Promise<void> {
    await this.database.transaction().execute(async (tx) => {
      if (!(await this.begin(tx, number))) return;
      for (const table of RECORDED_TABLES) await this.writeTable(tx, table, batch);
    });
  }

  /** Whether the same batch may be written later. */
  isWorthRepeating(error: unknown): boolean {
    const { code } = error as { code?: unknown };
    return isUnreachable(error) || (typeof code === 'string' && OF_THE_SERVER.test(code));
  }

  private async begin(tx: Transaction<Tables>, number: number): Promise<boolean> {
    const { numAffectedRows } = await sql`
      INSERT INTO nodes AS n (id, host, last_batch) VALUES (${this.nodeId}, ${hostname()}, ${number})
      ON CONFLICT (id) DO UPDATE SET seen_at = now(), last_batch = excluded.last_batch
      WHERE n.last_batch < excluded.last_batch`.execute(tx);
    return numAffectedRows === 1n;
  }

  private async writeTable(
    tx: Transaction<Tables>,
    table: RecordedTable,
    batch: readonly Waiting[],
  ): Promise<void> {
    const rows = batch.filter((entry) => entry.table === table).map(({ row }) => row);
    // The writer of a table takes the rows of that table.
    const write = WRITE_ROWS[table] as RowsWriter<RecordedRows[RecordedTable]>;
    if (rows.length > 0) await write(tx, this.nodeId, rows);
  }
}

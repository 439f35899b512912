import { sql } from 'kysely';
import { type Database } from '../database/database.js';
import { textOfColumn, textToColumn } from './text-column.js';

/** That all tokens of a device are revoked whose generation is lower than `at`. */
export interface Revocation {
  readonly deviceId: string;
  readonly at: number;
  /** In ms since 1970: it may be forgotten from then on. */
  readonly until: number;
}

/** A row, with its place in the order in which rows are written. */
export interface WrittenRevocation extends Revocation {
  /** In ms since 1970, by the clock of the database. */
  readonly writtenAt: number;
}

/** How many revocations {@link RevocationTable.write} takes. */
export const MAX_WRITTEN = 1_000;
const PAGE_LENGTH = 10_000;
const MAX_REMOVED = 10_000;
/** The last time a `Date` can hold. */
const END_OF_TIME = 8.64e15;
const NOW_MS = sql<number>`(extract(epoch FROM clock_timestamp()) * 1000)::bigint`;

/** The revocations in the database. Rejects with what the database throws. */
export class RevocationTable {
  constructor(private readonly database: Database) {}

  /**
   * Writes revocations of different devices, at most 1,000. A greater one of a device stays. Each is kept for at least
   * `until - at` from now, as the clock behind `at` may be slow.
   */
  async write(revocations: readonly Revocation[]): Promise<void> {
    const rows = revocations.map(({ deviceId, at, until }) => ({
      device_id: textToColumn(deviceId),
      generation: at,
      until: sql<number>`LEAST(GREATEST(${until}::bigint, ${NOW_MS} + ${until}::bigint - ${at}::bigint), ${END_OF_TIME}::bigint)`,
      written_at: NOW_MS,
    }));
    await this.database
      .insertInto('revocations')
      .values(rows)
      .onConflict((conflict) =>
        conflict
          .column('device_id')
          .doUpdateSet({
            generation: sql`excluded.generation`,
            until: sql`GREATEST(revocations.until, excluded.until)`,
            written_at: sql`excluded.written_at`,
          })
          .where(sql<boolean>`excluded.generation > revocations.generation`),
      )
      .execute();
  }

  /** What was written from this time on, in the order of writing. */
  async *pagesSince(writtenAt: number): AsyncGenerator<readonly WrittenRevocation[]> {
    for (let after = { writtenAt, deviceId: '' }; ;) {
      const rows = await this.database
        .selectFrom('revocations')
        .selectAll()
        .where(
          sql<boolean>`(written_at, device_id) > (${after.writtenAt}::bigint, ${textToColumn(after.deviceId)}::text)`,
        )
        .orderBy('written_at')
        .orderBy('device_id')
        .limit(PAGE_LENGTH)
        .execute();
      const page = rows.map((row) => ({
        deviceId: textOfColumn(row.device_id),
        at: row.generation,
        until: row.until,
        writtenAt: row.written_at,
      }));
      yield page;
      const last = page.at(-1);
      if (page.length < PAGE_LENGTH || !last) return;
      after = last;
    }
  }

  /** Removes those that are over by the clock of the database, at most 10,000. */
  async removeOver(): Promise<void> {
    await this.database
      .deleteFrom('revocations')
      .where(
        sql<boolean>`device_id = ANY(ARRAY(SELECT device_id FROM revocations WHERE until < ${NOW_MS} LIMIT ${MAX_REMOVED}))`,
      )
      // Again: one that was revoked anew meanwhile stays.
      .where(sql<boolean>`until < ${NOW_MS}`)
      .execute();
  }
}

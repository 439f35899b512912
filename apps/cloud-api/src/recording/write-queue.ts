import { type RecordedRows, type RecordedTable } from './recorded-rows.js';

/** A row that waits to be written. */
export interface Waiting {
  readonly table: RecordedTable;
  row: RecordedRows[RecordedTable];
  /** About, in memory and on the way to the database. */
  bytes: number;
  /** Of rows of its table with the same key, only one waits. */
  readonly key: string | undefined;
}

export interface QueueLimits {
  readonly rows: number;
  readonly bytes: number;
}

/** The rows that wait, oldest first, within limits. */
export class WriteQueue {
  private entries: Waiting[] = [];
  /** Where those that have not been taken begin. */
  private head = 0;
  private bytes = 0;
  private readonly keyed = new Map<string, Waiting>();

  constructor(private readonly limits: QueueLimits) {}

  get size(): number {
    return this.entries.length - this.head;
  }

  /** The row that waits under this key. */
  find(table: RecordedTable, key: string): Waiting | undefined {
    return this.keyed.get(`${table} ${key}`);
  }

  /** Puts a row in. False if there is no room for it. */
  add(entry: Waiting): boolean {
    if (this.size >= this.limits.rows || this.bytes + entry.bytes > this.limits.bytes) return false;
    this.entries.push(entry);
    this.bytes += entry.bytes;
    if (entry.key !== undefined) this.keyed.set(`${entry.table} ${entry.key}`, entry);
    return true;
  }

  /** Counts that a row was replaced by another one. */
  resize(entry: Waiting, bytes: number): void {
    this.bytes += bytes - entry.bytes;
    entry.bytes = bytes;
  }

  /** Takes the oldest rows, as many as the limits allow, and at least one. */
  take({ rows, bytes }: QueueLimits): Waiting[] {
    const taken: Waiting[] = [];
    let size = 0;
    while (taken.length < rows) {
      const entry = this.entries[this.head];
      if (!entry || (taken.length > 0 && size + entry.bytes > bytes)) break;
      this.head++;
      size += entry.bytes;
      taken.push(entry);
      if (entry.key !== undefined) this.keyed.delete(`${entry.table} ${entry.key}`);
    }
    this.bytes -= size;
    // What was taken is not to be kept, and moving the rest each time would take the longer the more waits.
    if (this.head * 2 >= this.entries.length) {
      this.entries = this.entries.slice(this.head);
      this.head = 0;
    }
    return taken;
  }
}

import { Observable, share } from 'rxjs';
import { type PresenceEntry, type PresencePage } from '../server/index.js';
import { type Bucket } from './bucket.js';
import { unavailable } from './link.js';
import { entryOf, type PresenceRecord } from './presence-record.js';
import { SteadyWatch } from './steady-watch.js';
import { type Subjects } from './subjects.js';

/** What the reader asks of the backplane it is for. */
export interface ReaderEvents {
  /** Whether that node lives. */
  lives(node: string): boolean;
  /** Why nothing can be read. */
  problem(): string;
  /** A foreign write replaced the device's entry: its holder has to rewrite it. */
  mend(deviceId: string): void;
  /** Changes are not reported; undefined: all are reported again. */
  trouble(error: unknown): void;
}

/** Reads who is connected, to whichever node, and who was. */
export class PresenceReader {
  readonly presenceChanges$: Observable<PresenceEntry>;
  private bucket: Bucket<PresenceRecord> | undefined;
  /** Tells of changes while somebody subscribes to {@link presenceChanges$}. */
  private changes: SteadyWatch<PresenceRecord> | undefined;

  constructor(
    private readonly path: string,
    private readonly subjects: Subjects,
    private readonly events: ReaderEvents,
  ) {
    this.presenceChanges$ = new Observable<PresenceEntry>((subscriber) =>
      this.watch((entry) => subscriber.next(entry)),
    ).pipe(share());
  }

  resume(bucket: Bucket<PresenceRecord>): void {
    this.bucket = bucket;
    this.changes?.resume(bucket);
  }

  pause(): void {
    this.bucket = undefined;
    this.changes?.pause();
  }

  /**
   * Checks that no change was missed. Called periodically.
   * @param revision the last one in the bucket.
   */
  check(revision: number): void {
    this.changes?.check(revision);
  }

  /** @throws {BackplaneError} */
  async presenceOf(deviceId: string): Promise<PresenceEntry | undefined> {
    const { value, revision } = await this.reachable.get(this.subjects.key(deviceId));
    if (!value && revision > 0) this.events.mend(deviceId);
    return value && this.entry(deviceId, value);
  }

  /** @throws {BackplaneError} */
  async presenceList(after: string | undefined, limit: number): Promise<PresencePage> {
    const entries: PresenceEntry[] = [];
    const from = after === undefined ? 0 : Number(after);
    if (!Number.isSafeInteger(from))
      throw new RangeError("'cursor' must be a cursor that presence.list() returned.");
    const scanned = this.reachable.scan(this.subjects.keys, from + 1, limit);
    for await (const { key, value, revision, pending } of scanned) {
      if (value) entries.push(this.entry(this.subjects.textOf(key), value));
      else if (this.subjects.isKey(key)) this.events.mend(this.subjects.textOf(key));
      if (entries.length === limit) return { entries, ...(pending > 0 && { cursor: String(revision) }) };
    }
    return { entries };
  }

  private get reachable(): Bucket<PresenceRecord> {
    if (!this.bucket) throw unavailable(this.events.problem());
    return this.bucket;
  }

  private entry(id: string, record: PresenceRecord): PresenceEntry {
    return entryOf(id, this.path, record, this.events.lives(record.node));
  }

  private watch(changed: (entry: PresenceEntry) => void): () => void {
    const changes = new SteadyWatch<PresenceRecord>(
      this.subjects.keys,
      ({ key, value }) => {
        // A renewal is not a change.
        if (value && !value.renewed) changed(this.entry(this.subjects.textOf(key), value));
      },
      (error) => this.events.trouble(error),
    );
    this.changes = changes;
    if (this.bucket) changes.resume(this.bucket);
    return () => {
      this.changes = undefined;
      changes.stop();
      this.events.trouble(undefined);
    };
  }
}

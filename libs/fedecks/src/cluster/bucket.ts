/** An entry. Without a value it was removed, or never existed: then the revision is 0. */
export interface Kept<T> {
  /** The key. */
  readonly key: string;
  /** The newest value. */
  readonly value: T | undefined;
  /** The number of the write, which is greater than that of every write of the bucket before it. */
  readonly revision: number;
  /** When it was written, by the clock of the store. */
  readonly writtenAt: number;
}

/** An entry found by a scan. */
export interface Scanned<T> extends Kept<T> {
  /** The number of entries after it. */
  readonly pending: number;
}

/** The properties of a bucket, and the check for valid entries. */
export interface Entries<T> {
  /** The time to live of entries since their last write, in milliseconds. @default none */
  readonly retentionMs: number | undefined;
  /**
   * The subject on which the store itself publishes each committed write of a key: '{1}' stands for the key's first
   * token, '{2}' for its second. It tells those that listen even if the writer has died. @default none
   */
  readonly publishAs?: string | undefined;
  /** Where every key in the bucket matches this: a scan of them is a scan of everything. @default unknown */
  readonly keys?: string | undefined;
  /** How large a value may be, in bytes of its JSON. @default 65_536 */
  readonly maxBytes?: number | undefined;
  /** Whether a value is a valid entry. */
  isOne(key: string, value: unknown): value is T;
  /** Called for an invalid value, which counts as absent. */
  stray(key: string): void;
}

/** What a bucket is at one moment. */
export interface BucketState {
  /** Changes when the bucket is recreated, which restarts its revisions. */
  readonly incarnation: string;
  /** The last revision written, of whatever key. */
  readonly revision: number;
}

/** Receives the changes of a bucket. */
export interface Watcher<T> {
  /** Something was written, or removed. */
  changed(kept: Kept<T>): void;
  /** Called when the store has ended or lost the watch. Not called after `stop`. */
  ended(error: unknown): void;
}

/** Keeps JSON under keys, of each only the newest. Revisions of a bucket grow with each write, of whatever key. */
export interface Bucket<T> {
  /** @throws {BackplaneError} */
  get(key: string): Promise<Kept<T>>;
  /**
   * Writes a value, and returns its revision. With `after`, only if that is the revision it follows; undefined
   * where it is not.
   * @throws {BackplaneError} `too-large`; otherwise it may have been written or not.
   */
  put(key: string, value: T, after?: number): Promise<number | undefined>;
  /**
   * Purges a key up to a revision, or completely, without notifying watchers.
   * @throws {BackplaneError}
   */
  remove(key: string, upTo?: number): Promise<void>;
  /**
   * What is kept under keys that match, from a revision on, in the order it was written.
   * @param wanted how many the caller will read, where it knows that: no more are fetched at a time. @default 500
   * @throws {BackplaneError}
   */
  scan(keys: string, from?: number, wanted?: number): AsyncIterable<Scanned<T>>;
  /**
   * Watches writes after a revision, in order and without gaps, until the returned function is called.
   * @param after the revision. @default the last one there is when it is asked
   * @throws {BackplaneError}
   */
  watch(keys: string, watcher: Watcher<T>, after?: number): Promise<() => void>;
  /** @throws {BackplaneError} where there is no bucket any more, too. */
  state(): Promise<BucketState>;
}

/** Opens the buckets of a fleet. */
export interface Store {
  /** Its display name. */
  readonly name: string;
  /** Creates the bucket, or updates the configuration of an existing one. @throws {BackplaneError} */
  open<T>(name: string, entries: Entries<T>): Promise<Bucket<T>>;
  /** The bucket as it is, or undefined if it does not exist. @throws {BackplaneError} */
  find<T>(name: string, entries: Entries<T>): Promise<Bucket<T> | undefined>;
}

/** What is kept under a key. Without a value it was removed, or never there: then the revision is 0. */
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

/** What a scan comes upon. */
export interface Scanned<T> extends Kept<T> {
  /** How many come after it. */
  readonly pending: number;
}

/** What is kept in a bucket, and what tells it from what somebody else has put there. */
export interface Entries<T> {
  /** After which the store forgets an entry that nobody has written again, in milliseconds. @default never */
  readonly retentionMs: number | undefined;
  /** The subject on which the store itself publishes each committed write of a key: '{1}' stands for the key's first token, '{2}' for its second. It tells those that listen even if the writer has died. @default none */
  readonly publishAs?: string | undefined;
  /** Where every key in the bucket matches this: a scan of them is a scan of everything. @default unknown */
  readonly keys?: string | undefined;
  /** Whether it is what nodes keep there. */
  isOne(key: string, value: unknown): value is T;
  /** Something else was found, and is taken for no value. */
  stray(key: string): void;
}

/** What a bucket is at one moment. */
export interface BucketState {
  /** Another one for a bucket that was made anew under the same name: its revisions begin anew. */
  readonly incarnation: string;
  /** The last revision written, of whatever key. */
  readonly revision: number;
}

/** Hears of what changes in a bucket. */
export interface Watcher<T> {
  /** Something was written, or removed. */
  changed(kept: Kept<T>): void;
  /** Nothing is told any more: the store has ended the watch, or has lost it. Not called after it was stopped. */
  ended(error: unknown): void;
}

/** Keeps JSON under keys, of each only the newest. Revisions of a bucket grow with each write, of whatever key. */
export interface Bucket<T> {
  /** @throws {BackplaneError} */
  get(key: string): Promise<Kept<T>>;
  /**
   * Writes a value, and returns its revision. With `after`, only if that is the revision it follows; undefined
   * where it is not.
   * @throws {BackplaneError} when it may have been written or not.
   */
  put(key: string, value: T, after?: number): Promise<number | undefined>;
  /**
   * Removes what was written of a key, up to a revision or all, and leaves nothing of it: those who watch are not told.
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
   * Tells of what is written after a revision, in order and with no gap, until the function it returns is called.
   * @param after the revision. @default the last one there is when it is asked
   * @throws {BackplaneError}
   */
  watch(keys: string, watcher: Watcher<T>, after?: number): Promise<() => void>;
  /** @throws {BackplaneError} where there is no bucket any more, too. */
  state(): Promise<BucketState>;
}

/** Opens the buckets of a fleet. */
export interface Store {
  /** What people call it. */
  readonly name: string;
  /** Makes the bucket if there is none, and has one that is there keep what it should. @throws {BackplaneError} */
  open<T>(name: string, entries: Entries<T>): Promise<Bucket<T>>;
}

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
  /** Whether it is what nodes keep there. */
  isOne(key: string, value: unknown): value is T;
  /** Something else was found, and is taken for no value. */
  stray(key: string): void;
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
  /** What is kept under keys that match, from a revision on, in the order it was written. @throws {BackplaneError} */
  scan(keys: string, from?: number): AsyncIterable<Scanned<T>>;
  /** Tells of every change from now on, until the function it returns is called. @throws {BackplaneError} */
  watch(keys: string, changed: (kept: Kept<T>) => void): Promise<() => void>;
}

/** Opens the buckets of a fleet. */
export interface Store {
  /** What people call it. */
  readonly name: string;
  /** Makes the bucket if there is none, and has one that is there keep what it should. @throws {BackplaneError} */
  open<T>(name: string, entries: Entries<T>): Promise<Bucket<T>>;
}

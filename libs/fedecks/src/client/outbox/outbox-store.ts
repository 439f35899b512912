import { type FoundLane } from '../../delivery/index.js';
import { type Moment } from './moment.js';

/** A message to keep until the cloud has acknowledged it. */
export interface OutboxMessage {
  /** Messages of a lane are delivered in order. 1 to 64 bytes; a store has at most 8 lanes. */
  readonly lane: string;
  /** A newer message with the same key takes the place of one that waits in the same lane. At most 256 bytes. */
  readonly key?: string | undefined;
  /** How long it means something, in milliseconds. */
  readonly ttlMs: number;
  /** Encoded once, when it is put in. */
  readonly message: Uint8Array;
}

/** A message that is kept. */
export interface OutboxRecord extends OutboxMessage {
  /** Greater than those of all other messages of the lane. */
  readonly seq: number;
  /** When it was put in. */
  readonly putAt: Moment;
}

/**
 * What a message survives, once it is kept:
 * - `memory`: an outage. It is written to disk by `flush`, and when it is still there after `syncMs`.
 * - `disk`: also `kill -9`, at once; and a power cut after `syncMs`.
 * - `power`: also a power cut, at once.
 */
export type Durability = 'memory' | 'disk' | 'power';

/** What waits in a lane. */
export interface LaneState {
  /** Its name. */
  readonly lane: string;
  /** What the peer calls it: 0 to 7. */
  readonly number: number;
  /** The lowest number that waits; `next` if none does. */
  readonly first: number;
  /** The next message gets this number. */
  readonly next: number;
  /** How many messages wait. */
  readonly count: number;
  /** Their bytes. */
  readonly bytes: number;
}

/** What waits in a store. */
export interface OutboxState {
  /** New messages belong to it: 1 to 32 characters of ASCII. */
  readonly epoch: string;
  /** At most 8. */
  readonly lanes: readonly LaneState[];
}

/** What went wrong with messages that were kept, as a sentence: what, what was lost, and what to do. */
export interface OutboxFailure {
  /**
   * - `damaged`: a file is damaged. What was in it from there on is lost.
   * - `write_failed`: something could not be written. It is tried again, unless an `append` has rejected for it.
   * - `sync_failed`: what was written since the last sync may not survive a power cut.
   */
  readonly cause: 'damaged' | 'write_failed' | 'sync_failed';
  /** A sentence for people. */
  readonly reason: string;
}

/** What a store tells its owner. */
export interface OutboxListener {
  /** Something went wrong. */
  onFailure(failure: OutboxFailure): void;
  /**
   * A message no longer waits, though nobody has removed it.
   * - `dropped`: to make room for a newer one.
   * - `replaced`: by a newer one with its key.
   * - `damaged`: it cannot be read any more. A failure has said why.
   */
  onRemoved(lane: string, seq: number, cause: 'dropped' | 'replaced' | 'damaged'): void;
}

/** Messages whose time has passed. */
export interface Expired {
  /** Their lanes and numbers. */
  readonly due: readonly { readonly lane: string; readonly seq: number }[];
  /** How long until the next one expires; 0 if more have expired, Infinity if none will. */
  readonly nextInMs: number;
}

/**
 * Keeps the messages of a device that the cloud has not acknowledged. An application may have its own. All but `open`
 * are called only while it is open.
 */
export interface OutboxStore {
  /**
   * Called before anything else; once more after a rejection, which says what to change. What was damaged is told to the
   * listener. Begins a new epoch, random, for all messages from now on. Resolves when that survives a power cut: a
   * message is known by its epoch, its lane and its number, also when copies of the store go different ways.
   */
  open(listener: OutboxListener): Promise<OutboxState>;

  /**
   * Numbers a message and keeps it. Resolves with its number in the lane when it survives what `durability` says: only then may it be
   * sent. Numbers rise in the order of the calls.
   * A rejection says that it is not kept: OutboxFullError, OutboxStoreError.
   */
  append(message: OutboxMessage, durability: Durability): Promise<number>;

  /** The message with this number; undefined if it no longer waits. */
  read(lane: string, seq: number): Promise<OutboxRecord | undefined>;

  /** The lowest number above `seq` that waits in the lane. */
  following(lane: string, seq: number): number | undefined;

  /** One message no longer waits: it was rejected or has expired. Does nothing if it does not wait. */
  remove(lane: string, seq: number): void;

  /** The cloud has handled the lane up to this number. */
  acknowledge(lane: string, through: number): void;

  /** Messages whose ttl has passed, at most `limit`. They wait until they are removed. */
  expired(limit: number): Expired;

  /** What waits, at once. */
  state(): OutboxState;

  /** The number of the lane to which a message was appended. */
  numberOf(lane: string): number;

  /** Each of the 8 lanes by number, also those without a name: what waits, and which epochs its numbers are of. */
  positions(): readonly FoundLane[];

  /**
   * Begins a new epoch for all that waits, and all from now on: the peer has seen these numbers for other messages.
   * Resolves when that survives a power cut. No `append` is under way meanwhile.
   */
  newEpoch(): Promise<OutboxState>;

  /** Resolves when all that waits survives a power cut, also messages of degree `memory`. Called when the connection ends. */
  flush(): Promise<void>;

  /** Flushes, and lets go of the files. */
  close(): Promise<void>;
}

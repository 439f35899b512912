import { BackplaneError } from '../server/index.js';

/** What was published on a subject. */
export interface Message {
  /** Where it was published. */
  readonly subject: string;
  /** What was published. */
  readonly data: Uint8Array;
  /** Where whoever sent it listens for an answer, if they do. */
  readonly reply: string | undefined;
  /** Nobody listens where it was published: it tells so to its sender, in place of an answer. */
  readonly unheard: boolean;
  /** The revision of a committed write, where the store published it. */
  readonly revision: number | undefined;
}

/** What a link tells of. */
export interface LinkEvents {
  /** There is a connection, each time anew. */
  up(): void;
  /** There is none any more, or still none. */
  down(): void;
  /** Something failed that nobody waits for. */
  failed(what: string, error: unknown): void;
}

/**
 * Carries messages between nodes, at most once. What a node publishes itself it does not hear. It is there for ever,
 * and its subscriptions are the same each time the connection comes back.
 */
export interface Link {
  /** Whether there is a connection at this moment. */
  readonly isUp: boolean;
  /** Why there is none. */
  readonly reason: string;
  /** What subjects begin with to which this node alone listens. */
  readonly inbox: string;
  /**
   * Resolves when the first attempt to connect has ended, whichever way.
   * @throws {BackplaneError} when a server has answered, and does not let this node in.
   */
  start(events: LinkEvents): Promise<void>;
  /** Ends the connection for good. What was not flushed may be lost. */
  close(): Promise<void>;
  /** Listens to a subject, whose last token may be `*`, in place of who listened before. What `heard` throws at is dropped. */
  subscribe(subject: string, heard: (message: Message) => void): void;
  /** Listens no more. What is on its way is heard all the same: somebody waits for an answer. */
  unsubscribe(subject: string): void;
  /** @throws {BackplaneError} at once where there is no connection, and where this is more than it carries. */
  publish(subject: string, bytes: Uint8Array, reply?: string): void;
  /**
   * Resolves when the server has taken what was published, and this node has read what the server had for it by then.
   * @throws {BackplaneError}
   */
  flush(): Promise<void>;
}

/** What is heard and no node of the fleet has sent. Its text tells nothing of what it holds. */
export class Malformed extends Error {
  override readonly name = 'Malformed';
}

/** The error for what needs a connection where there is none. */
export function unavailable(reason: string, cause?: unknown): BackplaneError {
  return new BackplaneError('unavailable', `The other nodes cannot be reached: ${reason}.`, { cause });
}

/** The error for what was not answered in time. */
export function timeout(afterMs: number): BackplaneError {
  return new BackplaneError('timeout', `There was no answer within ${afterMs} ms.`);
}

/** What an error says. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

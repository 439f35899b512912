import { BackplaneError } from '../server/index.js';

/** What was published on a subject. */
export interface Message {
  /** Where it was published. */
  readonly subject: string;
  /** What was published. */
  readonly data: Uint8Array;
  /** The reply subject, if any. */
  readonly reply: string | undefined;
  /** A "no responders" status instead of a reply. */
  readonly unheard: boolean;
  /** The revision of a committed write, where the store published it. */
  readonly revision: number | undefined;
}

/** What a link tells of. */
export interface LinkEvents {
  /** There is a connection, each time anew. */
  up(): void;
  /** Called when disconnected, or still not connected. */
  down(): void;
  /** Called for a background failure. */
  failed(what: string, error: unknown): void;
}

/**
 * Carries messages between nodes, at most once, and not back to the sender. It reconnects for ever,
 * and restores its subscriptions.
 */
export interface Link {
  /** Whether there is a connection at this moment. */
  readonly isUp: boolean;
  /** Why there is none. */
  readonly reason: string;
  /** The subject prefix of this node's inbox. */
  readonly inbox: string;
  /**
   * Resolves when the first attempt to connect has ended, whichever way.
   * @throws {BackplaneError} when a server has answered, and does not let this node in.
   */
  start(events: LinkEvents): Promise<void>;
  /** Ends the connection for good. What was not flushed may be lost. */
  close(): Promise<void>;
  /**
   * Subscribes to a subject, whose last token may be `*`, replacing an earlier subscription. Messages at which `heard`
   * throws are dropped.
   */
  subscribe(subject: string, heard: (message: Message) => void): void;
  /** Unsubscribes. Messages under way are still delivered, as requesters wait for an answer. */
  unsubscribe(subject: string): void;
  /** @throws {BackplaneError} at once where there is no connection, and where this is more than it carries. */
  publish(subject: string, bytes: Uint8Array, reply?: string): void;
  /**
   * Resolves when the server has taken what was published, and this node has read what the server had for it by then.
   * @throws {BackplaneError}
   */
  flush(): Promise<void>;
}

/** A message that no node of the fleet has sent. Its text contains none of the message. */
export class Malformed extends Error {
  override readonly name = 'Malformed';
}

/** The error for what needs a connection where there is none. */
export function unavailable(reason: string, cause?: unknown): BackplaneError {
  return new BackplaneError('unavailable', `The other nodes cannot be reached: ${reason}.`, { cause });
}

/** The error for what was not answered in time. */
export function timeout(afterMs: number): BackplaneError {
  return new BackplaneError('timeout', `No answer within ${afterMs} ms.`);
}

/** What an error says. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

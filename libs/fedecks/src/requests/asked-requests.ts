import { type RequestControl, MAX_REQUEST_ID, type Term } from '../wire/internal.js';
import { ConnectionLostError, RequestFailedError, RequestTimeoutError } from './errors.js';

/** The most requests that may be open on a connection in one direction. */
export const MAX_OPEN_REQUESTS = 64;

/** The time that a request may take, in ms. */
export const DEFAULT_TIMEOUT_MS = 30_000;
export const MAX_TIMEOUT_MS = 600_000;

/** The options of a request. */
export interface RequestOptions {
  /** How long the answer may take, in milliseconds: 1 to 600,000. @default 30_000 */
  readonly timeoutMs?: number | undefined;
  /** Cancels the request: it rejects with the signal's reason. What has begun on the other side is told to stop. */
  readonly signal?: AbortSignal | undefined;
}

/** Who waits for the answer. Exactly one of {@link complete} and {@link error} is called, and nothing after it. */
export interface Answered {
  /** A value of a streamed answer. */
  next(value: Term): void;
  /** The end: of an answer with its one value, of a streamed one without. */
  complete(value?: { readonly value: Term }): void;
  error(error: Error): void;
}

/** A request that was sent. */
export interface AskedRequest {
  /** Tells the other side that nobody waits any more. Nothing of the answer is called after it. */
  cancel(): void;
}

interface Open {
  readonly answered: Answered;
  readonly timer: NodeJS.Timeout | undefined;
}

/** The requests one side has sent on one connection, until each is answered. */
export class AskedRequests {
  private readonly open = new Map<number, Open>();
  private hasWrapped = false;

  /**
   * @param send writes a control message to the connection. Throws what encoding throws.
   * @param lastId the id before that of the first request.
   */
  constructor(
    private readonly send: (control: RequestControl) => void,
    private lastId = 0,
  ) {}

  /** How many wait for their answer. */
  get size(): number {
    return this.open.size;
  }

  /**
   * Sends a request.
   * @param timeoutMs -1 for none.
   * @throws {RequestFailedError} `busy`, when too many are open: nothing was sent.
   * @throws {TermEncodeError} when the message is no term.
   */
  ask(message: Term, timeoutMs: number, answered: Answered): AskedRequest {
    if (this.open.size >= MAX_OPEN_REQUESTS) {
      throw new RequestFailedError('busy', `${MAX_OPEN_REQUESTS} requests are open on this connection`);
    }
    const id = this.nextId();
    const timer =
      timeoutMs < 0
        ? undefined
        : setTimeout(() => {
            if (this.take(id)) answered.error(new RequestTimeoutError(timeoutMs));
          }, timeoutMs);
    // Before it is sent, as that may end the connection at once.
    this.open.set(id, { answered, timer });
    try {
      this.send({ type: 'request', id, remainingMs: timeoutMs, message });
    } catch (error) {
      this.take(id);
      throw error;
    }
    return {
      cancel: () => {
        if (this.take(id)) this.send({ type: 'cancel', id });
      },
    };
  }

  /** Takes an answer. False when it answers a request that was never sent: a breach of the protocol. */
  onAnswer(control: Exclude<RequestControl, { type: 'request' | 'cancel' }>): boolean {
    const { id } = control;
    // An answer that comes too late is no breach: the other side could not know.
    if (!this.open.has(id)) return this.hasWrapped || id <= this.lastId;
    if (control.type === 'next') {
      this.open.get(id)?.answered.next(control.value);
      return true;
    }
    const answered = this.take(id);
    if (control.type === 'reply') answered?.complete(control);
    else if (control.type === 'complete') answered?.complete();
    else answered?.error(new RequestFailedError(control.code, control.text));
    return true;
  }

  /** The answer to a request cannot be read. False as with {@link onAnswer}. */
  onUnreadable(id: number): boolean {
    if (!this.open.has(id)) return this.hasWrapped || id <= this.lastId;
    this.take(id)?.error(new RequestFailedError('failed', 'the answer is no safe term, or too large a one'));
    return true;
  }

  /** The connection has ended. */
  end(): void {
    for (const id of [...this.open.keys()]) this.take(id)?.error(new ConnectionLostError());
  }

  private nextId(): number {
    do {
      if (this.lastId === MAX_REQUEST_ID) {
        this.lastId = 0;
        this.hasWrapped = true;
      }
      this.lastId++;
    } while (this.open.has(this.lastId));
    return this.lastId;
  }

  private take(id: number): Answered | undefined {
    const open = this.open.get(id);
    if (!open) return undefined;
    clearTimeout(open.timer);
    this.open.delete(id);
    return open.answered;
  }
}

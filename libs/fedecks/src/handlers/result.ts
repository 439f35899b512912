import { type Observable } from 'rxjs';
import { type Term } from '../wire/index.js';

/** The result of {@link stop}: a handler that returns it closes the connection. */
export class Stop {
  constructor(
    readonly code: number,
    readonly reason: string,
  ) {}
}

/**
 * Closes the connection when a handler returns it.
 * @param code the close code, 1000 by default; 1000 to 1003, 1007 to 1014 and 3000 to 4999 are allowed (RFC 6455 §7.4).
 * @param reason at most 123 bytes of UTF-8, empty by default.
 * @throws {RangeError} for another code, or a reason that does not fit into a close frame.
 */
export function stop(code = 1000, reason = ''): Stop {
  const sendable =
    (code >= 1000 && code <= 1014 && ![1004, 1005, 1006].includes(code)) || (code >= 3000 && code <= 4999);
  if (!Number.isInteger(code) || !sendable) {
    throw new RangeError(
      `stop(${code}): the close code must be 1000-1003, 1007-1014 or 3000-4999 (RFC 6455 §7.4).`,
    );
  }
  if (Buffer.byteLength(reason) > 123) {
    throw new RangeError('stop(): the reason must have at most 123 bytes of UTF-8.');
  }
  return new Stop(code, reason);
}

/**
 * The result of a handler with interceptors, which see its values as a stream. The method runs on subscription, and
 * `settled` resolves when it has finished.
 */
export class Intercepted {
  constructor(
    readonly values: Observable<unknown>,
    readonly settled: Promise<void>,
  ) {}
}

/** Everything a handler may return. */
export type HandlerResult = HandlerOutcome | PromiseLike<HandlerOutcome>;

/** A settled result. Without nested promises, on which the compiler would recurse infinitely. */
type HandlerOutcome =
  | Term
  | undefined
  | Stop
  | Observable<Term | undefined | Stop>
  | AsyncIterable<Term | undefined | Stop>
  | IterableIterator<Term | undefined | Stop>;

/** Whether a value is a synchronous generator. No term has a function `next`. */
export function isIterator(value: object): value is IterableIterator<unknown> {
  return 'next' in value && typeof value.next === 'function' && Symbol.iterator in value;
}

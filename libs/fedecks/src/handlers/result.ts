import { type Observable } from 'rxjs';
import { type Term } from '../wire/internal.js';

/** What {@link stop} makes: a handler that returns it closes the connection. */
export class Stop {
  constructor(
    readonly code: number,
    readonly reason: string,
  ) {}
}

/**
 * Returned by a handler, closes the connection.
 * @param code the close code, 1000 by default; 1000 to 1003, 1007 to 1014 and 3000 to 4999 may be sent (RFC 6455 §7.4).
 * @param reason at most 123 bytes of UTF-8, empty by default.
 * @throws {RangeError} for a code that must not be sent, or a reason that does not fit a close frame.
 */
export function stop(code = 1000, reason = ''): Stop {
  const sendable =
    (code >= 1000 && code <= 1014 && ![1004, 1005, 1006].includes(code)) || (code >= 3000 && code <= 4999);
  if (!Number.isInteger(code) || !sendable) {
    throw new RangeError(`stop(${code}): a close code is 1000-1003, 1007-1014 or 3000-4999 (RFC 6455 §7.4).`);
  }
  if (Buffer.byteLength(reason) > 123) {
    throw new RangeError('stop(): the reason of a close frame is at most 123 bytes of UTF-8.');
  }
  return new Stop(code, reason);
}

/**
 * What a handler with interceptors returns: they see its values as a stream, and the method itself runs when
 * that is subscribed to. `settled` tells when the method has finished.
 */
export class Intercepted {
  constructor(
    readonly values: Observable<unknown>,
    readonly settled: Promise<void>,
  ) {}
}

/** Everything a handler may return. */
export type HandlerResult = HandlerOutcome | PromiseLike<HandlerOutcome>;

/** What comes of a handler. Promises of promises are not named: the compiler would not come to an end with them. */
type HandlerOutcome =
  | Term
  | undefined
  | Stop
  | Observable<Term | undefined | Stop>
  | AsyncIterable<Term | undefined | Stop>
  | IterableIterator<Term | undefined | Stop>;

/** What a generator without `async` returns. No term has a function for `next`. */
export function isIterator(value: object): value is IterableIterator<unknown> {
  return 'next' in value && typeof value.next === 'function' && Symbol.iterator in value;
}

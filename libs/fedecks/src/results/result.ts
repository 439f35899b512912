import { type Observable } from 'rxjs';
import { type Term } from '../wire/internal.js';

/** The result of {@link stop}. A handler that returns it closes the connection. */
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
 * The result of a handler with interceptors: a stream of values. The method itself runs on subscription. `settled`
 * resolves when the method has finished.
 */
export class Intercepted {
  constructor(
    readonly values: Observable<unknown>,
    readonly settled: Promise<void>,
  ) {}
}

/** Everything a handler may return. */
export type HandlerResult = HandlerOutcome | PromiseLike<HandlerOutcome>;

/** The result without its promise. It does not nest promises: the type would be infinite. */
type HandlerOutcome =
  | Term
  | undefined
  | Stop
  | Observable<Term | undefined | Stop>
  | AsyncIterable<Term | undefined | Stop>
  | IterableIterator<Term | undefined | Stop>;

/** Whether a value is the result of a generator without `async`. No term has a function `next`. */
export function isIterator(value: object): value is IterableIterator<unknown> {
  return 'next' in value && typeof value.next === 'function' && Symbol.iterator in value;
}

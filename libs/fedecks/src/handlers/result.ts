import { isObservable, Observable } from 'rxjs';
import { type Term } from '../wire/index.js';

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
export type HandlerResult =
  | Term
  | undefined
  | Stop
  | Observable<Term | undefined | Stop>
  | AsyncIterable<Term | undefined | Stop>
  | PromiseLike<HandlerResult>;

/** Where results go: the two things a handler may do to a connection, and the stream it may leave behind. */
export interface ResultSink {
  send(term: Term): void;
  stop(stop: Stop): void;
  /**
   * Subscribes, delivers each value, and unsubscribes when the connection ends.
   * @param runs set where the handler itself runs only when subscribed to: settled when it has finished.
   */
  stream(values: Observable<unknown>, runs?: Promise<void>): void;
  /** Resolves when the peer has read enough of what was sent to it to be sent more. */
  drained(): Promise<void>;
}

/**
 * Takes what a handler returned to where it goes. Returns a promise only where the handler has not finished
 * yet; a handler that returns a stream has.
 */
export function deliver(result: unknown, sink: ResultSink): Promise<void> | undefined {
  if (result === undefined) return undefined;
  if (result === null || typeof result !== 'object') sink.send(result as Term);
  else if (result instanceof Stop) sink.stop(result);
  else if (isPromise(result)) return result.then((settled) => deliver(settled, sink)) as Promise<void>;
  else if (isObservable(result)) sink.stream(result);
  else if (result instanceof Intercepted) {
    sink.stream(result.values, result.settled);
    return result.settled;
  } else if (Symbol.asyncIterator in result) sink.stream(pull(result as AsyncIterable<unknown>, sink));
  else sink.send(result as Term);
  return undefined;
}

/** Whether a handler's result has to be waited for. */
function isPromise(value: object): value is PromiseLike<unknown> {
  return 'then' in value && typeof value.then === 'function';
}

/** An async iterable is asked for its next value only when the peer has taken the last: it cannot flood a slow device. */
function pull(values: AsyncIterable<unknown>, sink: ResultSink): Observable<unknown> {
  return new Observable((subscriber) => {
    const iterator = values[Symbol.asyncIterator]();
    const run = async (): Promise<void> => {
      while (!subscriber.closed) {
        const result = await iterator.next();
        if (result.done === true) {
          subscriber.complete();
          return;
        }
        subscriber.next(result.value);
        await sink.drained();
      }
    };
    run().catch((error: unknown) => subscriber.error(error));
    return () => {
      // The generator's own `finally` blocks run; what they throw is nobody's any more.
      iterator.return?.().then(undefined, () => undefined);
    };
  });
}

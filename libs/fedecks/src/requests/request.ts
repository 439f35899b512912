import { Observable } from 'rxjs';
import { unknownOption } from '../options/index.js';
import { type Term } from '../wire/internal.js';
import {
  type Answered,
  type AskedRequest,
  DEFAULT_TIMEOUT_MS,
  MAX_TIMEOUT_MS,
  type RequestOptions,
} from './asked-requests.js';

/** Sends a request with so much time, -1 for a stream, which has no deadline. Throws or rejects when it was not sent. */
export type Ask = (timeoutMs: number, answered: Answered) => AskedRequest | Promise<AskedRequest>;

/**
 * The one outcome of a request: its value, of a streamed answer the last one.
 * @throws {TypeError} (rejects) when `options` is no object, or `signal` no signal.
 * @throws {RangeError} (rejects) for a `timeoutMs` out of range, or an option that does not exist.
 */
export async function request(ask: Ask, options: RequestOptions = {}): Promise<Term> {
  const { timeoutMs, signal } = checkOptions(options);
  signal?.throwIfAborted();
  let onAbort: (() => void) | undefined;
  try {
    return await new Promise<Term>((resolve, reject) => {
      let last: Term = null;
      let asked: AskedRequest | undefined;
      onAbort = () => {
        reject(signal?.reason as Error);
        asked?.cancel();
      };
      signal?.addEventListener('abort', onAbort);
      const answered: Answered = {
        next: (value) => (last = value),
        complete: (only) => resolve(only ? only.value : last),
        error: reject,
      };
      void send(ask, timeoutMs, answered, (sent) => {
        asked = sent;
        if (signal?.aborted) sent.cancel();
      });
    });
  } finally {
    if (onAbort) signal?.removeEventListener('abort', onAbort);
  }
}

/** All values of an answer. The request is sent when it is subscribed to, and cancelled when that ends early. */
export function stream(ask: Ask): Observable<Term> {
  return new Observable<Term>((subscriber) => {
    let asked: AskedRequest | undefined;
    const answered: Answered = {
      next: (value) => subscriber.next(value),
      complete: (only) => {
        if (only) subscriber.next(only.value);
        subscriber.complete();
      },
      error: (error) => subscriber.error(error),
    };
    void send(ask, -1, answered, (sent) => {
      asked = sent;
      if (subscriber.closed) sent.cancel();
    });
    return () => asked?.cancel();
  });
}

/** Whatever keeps a request from being sent is its outcome. */
async function send(
  ask: Ask,
  timeoutMs: number,
  answered: Answered,
  onSent: (asked: AskedRequest) => void,
): Promise<void> {
  try {
    const asked = ask(timeoutMs, answered);
    onSent('cancel' in asked ? asked : await asked);
  } catch (error) {
    answered.error(error as Error);
  }
}

function checkOptions(options: RequestOptions): { timeoutMs: number; signal: AbortSignal | undefined } {
  const given: unknown = options;
  if (typeof given !== 'object' || given === null)
    throw new TypeError('The options of a request must be an object, as { timeoutMs: 5_000 }.');
  const unknown = unknownOption(given, ['timeoutMs', 'signal']);
  if (unknown !== undefined) throw new RangeError(`A request: ${unknown}.`);
  const { timeoutMs = DEFAULT_TIMEOUT_MS, signal } = options;
  if (!(timeoutMs >= 1 && timeoutMs <= MAX_TIMEOUT_MS))
    throw new RangeError(`'timeoutMs' of a request must be from 1 to ${MAX_TIMEOUT_MS}, not ${timeoutMs}.`);
  if (signal && !isSignal(signal))
    throw new TypeError("'signal' of a request must be an AbortSignal, as `controller.signal`.");
  return { timeoutMs: Math.ceil(timeoutMs), signal };
}

/** Also one of another realm. */
function isSignal(given: Partial<AbortSignal>): boolean {
  return typeof given.throwIfAborted === 'function' && typeof given.addEventListener === 'function';
}

import { isObservable, type Observable } from 'rxjs';
import { isPromise, nameOf } from '../faults/index.js';
import { type Term } from '../wire/index.js';
import { guardedController } from './guarded-signal.js';
import { type SignalSource } from './handler-call.js';
import { Intercepted, isIterator, Stop } from './result.js';
import { PullStream, PushStream, type Stream, type StreamOwner } from './streams.js';

/** The receiver of handler results: the connection. */
export interface ResultSink {
  /** @throws what `encodeTerm` throws. */
  send(term: Term): void;
  stop(stop: Stop): void;
  /** Resolves when the peer has read enough to be sent more; undefined if it already has. */
  drained(): Promise<void> | undefined;
  /**
   * Reports an error of a handler, or of a stream that it returned. Must not throw.
   * @param handler its name; undefined if unknown.
   */
  onFailure(error: unknown, handler?: string): void;
}

/**
 * Runs the handlers of one connection, and delivers their results until the connection ends. Reports errors of handlers
 * and streams to the sink, and never throws or rejects.
 */
export class HandlerRunner implements SignalSource {
  private ended = false;
  private streams: Set<Stream> | undefined;
  private controller: AbortController | undefined;

  constructor(private readonly sink: ResultSink) {}

  /** Aborts when the connection ends. Created on first use. */
  get signal(): AbortSignal {
    this.controller ??= guardedController((error) => this.onFailure(error));
    if (this.ended) this.controller.abort();
    return this.controller.signal;
  }

  /** Calls a handler and delivers its result. A promise while the handler has not finished. */
  run(call: () => unknown): Promise<void> | undefined {
    try {
      return this.deliver(call());
    } catch (error) {
      this.onFailure(error);
      return undefined;
    }
  }

  /**
   * Delivers the result of a handler. Returns a promise while the handler has not finished; a handler that returned a
   * stream has finished.
   * @param handler its name, for reports.
   * @param streamed whether it is a value of a stream, which is dropped silently after the end of the connection.
   */
  deliver(result: unknown, handler?: string, streamed = false): Promise<void> | undefined {
    if (result === undefined) return undefined;
    try {
      if (result === null || typeof result !== 'object') this.sink.send(result as Term);
      else if (result instanceof Stop) this.sink.stop(result);
      else if (isPromise(result)) return this.settle(result, handler, streamed);
      else if (isObservable(result)) this.push(result, handler);
      else if (result instanceof Intercepted) {
        this.push(result.values, handler, result.settled);
        return result.settled;
      } else if (Symbol.asyncIterator in result) {
        this.pull((result as AsyncIterable<unknown>)[Symbol.asyncIterator](), handler);
      } else if (isIterator(result)) this.pull(result, handler);
      else this.sink.send(result as Term);
    } catch (error) {
      this.onFailure(error, handler);
    }
    return undefined;
  }

  /** Called when the connection has ended: ends the streams, and aborts the signal. */
  end(): void {
    if (this.ended) return;
    this.ended = true;
    // Streams first, as listeners of the signal can no longer send.
    if (this.streams) for (const stream of [...this.streams]) stream.unsubscribe();
    this.controller?.abort();
  }

  /** Reports an error of a handler. */
  onFailure(error: unknown, handler?: string): void {
    // An AbortError after the end is expected.
    if (this.ended && nameOf(error) === 'AbortError') return;
    this.sink.onFailure(error, handler);
  }

  private async settle(
    result: PromiseLike<unknown>,
    handler: string | undefined,
    streamed: boolean,
  ): Promise<void> {
    try {
      const value = await result;
      if (streamed && this.ended) return;
      const more = this.deliver(value, handler, streamed);
      if (more) await more;
    } catch (error) {
      this.onFailure(error, handler);
    }
  }

  private ownerOfStreams(handler: string | undefined): StreamOwner {
    return {
      onValue: (value) => this.deliver(value, handler, true),
      drained: () => this.sink.drained(),
      onFailure: (error) => this.onFailure(error, handler),
      onEnd: (stream) => this.streams?.delete(stream),
    };
  }

  /** @param runs set if the handler runs on subscription: resolves when it has finished. */
  private push(values: Observable<unknown>, handler: string | undefined, runs?: Promise<void>): void {
    if (!this.ended) {
      const stream = new PushStream(this.ownerOfStreams(handler));
      this.add(stream);
      stream.follow(values);
    } else if (runs) {
      // The message is handled after the connection has ended, so its values are dropped.
      const stream = new PushStream({
        onValue: () => undefined,
        drained: () => undefined,
        onFailure: (error) => this.onFailure(error, handler),
        onEnd: () => undefined,
      });
      stream.follow(values);
      void runs.then(() => stream.unsubscribe());
    }
  }

  private pull(iterator: AsyncIterator<unknown> | Iterator<unknown>, handler: string | undefined): void {
    const stream = new PullStream(iterator, this.ownerOfStreams(handler));
    if (this.ended) {
      stream.unsubscribe();
      return;
    }
    this.add(stream);
    void stream.run();
  }

  private add(stream: Stream): void {
    (this.streams ??= new Set()).add(stream);
  }
}

import { isObservable, type Observable } from 'rxjs';
import { guardedController, isPromise, nameOf } from '../faults/index.js';
import { type Term } from '../wire/internal.js';
import { type DeliveryInfo } from './delivery-info.js';
import { Intercepted, isIterator, Stop } from './result.js';
import { PullStream, PushStream, type Stream, type StreamOwner } from './streams.js';

/** The other arguments of a handler. Each is read only for handlers that take it. */
export interface CallContext {
  /** The value of `@AbortSignal()`. */
  readonly signal: AbortSignal;
  /** The value of `@Delivery()`. */
  readonly delivery?: DeliveryInfo;
}

/** Receives the results of a handler. */
export interface ResultSink {
  /**
   * Sends a result. Throws what `encodeTerm` throws.
   * @param streamed whether it is a value of a stream.
   */
  send(term: Term, streamed: boolean): void;
  /** The handler has returned nothing. */
  onNothing?(): void;
  /** All streams that the handler returned have ended. */
  onStreamsEnd?(): void;
  /** After the end of the runner: a handler has stopped early, or what it streams goes nowhere. */
  onAborted?(): void;
  stop(stop: Stop): void;
  /** Resolves when the send buffer has room; undefined if it has room now. */
  drained(): Promise<void> | undefined;
  /**
   * Reports an error of a handler or of a stream that it returned. Must not throw.
   * @param handler its name, if known.
   */
  onFailure(error: unknown, handler?: string): void;
}

/**
 * Runs the handlers of one connection, and passes their results to the sink until the connection ends. It reports errors
 * of handlers and their streams to the sink, and never throws or rejects itself.
 */
export class HandlerRunner implements CallContext {
  private ended = false;
  private streams: Set<Stream> | undefined;
  /** The number of stream values that are unsettled promises. */
  private unsettled = 0;
  private controller: AbortController | undefined;

  constructor(
    private readonly sink: ResultSink,
    readonly delivery?: DeliveryInfo,
  ) {}

  /** Aborts when the connection ends. Created on first use. */
  get signal(): AbortSignal {
    this.controller ??= guardedController((error) => this.onFailure(error));
    if (this.ended) this.controller.abort();
    return this.controller.signal;
  }

  /**
   * Calls a handler and delivers its result. Returns a promise if the handler has not finished.
   * @param handler its name, for reports.
   */
  run(call: () => unknown, handler?: string): Promise<void> | undefined {
    try {
      return this.deliver(call(), handler);
    } catch (error) {
      this.onFailure(error, handler);
      return undefined;
    }
  }

  /**
   * Passes a result to the sink. Returns a promise if the handler has not finished. A handler that returns a stream has
   * finished.
   * @param handler its name, for reports.
   * @param streamed whether it is a value of a stream. Those are dropped after the end, without a report.
   */
  deliver(result: unknown, handler?: string, streamed = false): Promise<void> | undefined {
    if (result === undefined) {
      if (!streamed) this.sink.onNothing?.();
      return undefined;
    }
    try {
      if (result === null || typeof result !== 'object') this.sink.send(result as Term, streamed);
      else if (result instanceof Stop) this.sink.stop(result);
      else if (isPromise(result)) return this.settle(result, handler, streamed);
      else if (isObservable(result)) this.push(result, handler);
      else if (result instanceof Intercepted) {
        this.push(result.values, handler, result.settled);
        return result.settled;
      } else if (Symbol.asyncIterator in result) {
        this.pull((result as AsyncIterable<unknown>)[Symbol.asyncIterator](), handler);
      } else if (isIterator(result)) this.pull(result, handler);
      else this.sink.send(result as Term, streamed);
    } catch (error) {
      this.onFailure(error, handler);
    }
    return undefined;
  }

  /** The connection has ended: ends its streams, and aborts the signal. */
  end(): void {
    if (this.ended) return;
    this.ended = true;
    // Streams first: listeners of the signal must not send any more.
    if (this.streams) for (const stream of [...this.streams]) stream.unsubscribe();
    this.controller?.abort();
  }

  /** Reports an error of a handler. */
  onFailure(error: unknown, handler?: string): void {
    // An AbortError after the end is expected.
    if (this.ended && nameOf(error) === 'AbortError') {
      this.sink.onAborted?.();
      return;
    }
    this.sink.onFailure(error, handler);
  }

  private async settle(
    result: PromiseLike<unknown>,
    handler: string | undefined,
    streamed: boolean,
  ): Promise<void> {
    if (streamed) this.unsettled++;
    try {
      const value = await result;
      if (streamed && this.ended) return;
      const more = this.deliver(value, handler, streamed);
      if (more) await more;
    } catch (error) {
      this.onFailure(error, handler);
    } finally {
      if (streamed) {
        this.unsettled--;
        this.checkStreams();
      }
    }
  }

  private ownerOfStreams(handler: string | undefined): StreamOwner {
    return {
      onValue: (value) => this.deliver(value, handler, true),
      drained: () => this.sink.drained(),
      onFailure: (error) => this.onFailure(error, handler),
      onEnd: (stream) => {
        if (this.streams?.delete(stream)) this.checkStreams();
      },
    };
  }

  private checkStreams(): void {
    if (this.unsettled > 0 || this.streams?.size !== 0) return;
    if (this.ended) this.sink.onAborted?.();
    else this.sink.onStreamsEnd?.();
  }

  /** @param runs set if the handler runs only on subscription: resolves when it has finished. */
  private push(values: Observable<unknown>, handler: string | undefined, runs?: Promise<void>): void {
    if (!this.ended) {
      const stream = new PushStream(this.ownerOfStreams(handler));
      this.add(stream);
      stream.follow(values);
    } else if (runs) {
      // The connection has ended: the handler runs, and its values are dropped.
      const stream = new PushStream({
        onValue: () => undefined,
        drained: () => undefined,
        onFailure: (error) => this.onFailure(error, handler),
        onEnd: () => this.sink.onAborted?.(),
      });
      stream.follow(values);
      void runs.then(() => stream.unsubscribe());
    } else this.sink.onAborted?.();
  }

  private pull(iterator: AsyncIterator<unknown> | Iterator<unknown>, handler: string | undefined): void {
    const stream = new PullStream(iterator, this.ownerOfStreams(handler));
    if (this.ended) {
      stream.unsubscribe();
      this.sink.onAborted?.();
      return;
    }
    this.add(stream);
    void stream.run();
  }

  private add(stream: Stream): void {
    (this.streams ??= new Set()).add(stream);
  }
}

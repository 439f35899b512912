import { isObservable, type Observable } from 'rxjs';
import { isPromise, nameOf } from '../faults/index.js';
import { type Term } from '../wire/internal.js';
import { guardedController } from './guarded-signal.js';
import { type SignalSource } from './handler-call.js';
import { Intercepted, isIterator, Stop } from './result.js';
import { PullStream, PushStream, type Stream, type StreamOwner } from './streams.js';

/** The connection's side of a handler: where results go. */
export interface ResultSink {
  /** Throws what `encodeTerm` throws. */
  send(term: Term): void;
  stop(stop: Stop): void;
  /** Resolves when the peer has read enough of what was sent to be sent more; undefined when it has already. */
  drained(): Promise<void> | undefined;
  /**
   * Reports what a handler, or a stream it has returned, has thrown. Must not throw.
   * @param handler its name; undefined where it is not known.
   */
  onFailure(error: unknown, handler?: string): void;
}

/**
 * Runs the handlers of one connection, and delivers what they return until the connection ends. Whatever handlers and
 * their streams throw is reported to the sink: nothing here throws or rejects.
 */
export class HandlerRunner implements SignalSource {
  private ended = false;
  private streams: Set<Stream> | undefined;
  private controller: AbortController | undefined;

  constructor(private readonly sink: ResultSink) {}

  /** Aborted when the connection ends. Made when it is first asked for. */
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
   * Takes what a handler has returned to where it goes. A promise while the handler has not finished; one that returns a
   * stream has.
   * @param handler its name, for reports.
   * @param streamed whether it is a value of a stream: after the end it goes nowhere, and nothing is reported.
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

  /** The connection has ended: ends its streams, and aborts the signal. */
  end(): void {
    if (this.ended) return;
    this.ended = true;
    // Streams first, as listeners of the signal can no longer send.
    if (this.streams) for (const stream of [...this.streams]) stream.unsubscribe();
    this.controller?.abort();
  }

  /** Reports what a handler has thrown. */
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

  /** @param runs set where the handler itself runs only when subscribed to: settled when it has finished. */
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

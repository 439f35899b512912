import { isObservable, type Observable } from 'rxjs';
import { isPromise, nameOf } from '../faults/index.js';
import { type Term } from '../wire/index.js';
import { guardedController } from './guarded-signal.js';
import { type SignalSource } from './handler-call.js';
import { Intercepted, isIterator, Stop } from './result.js';
import { PullStream, PushStream, type Stream, type StreamOwner } from './streams.js';

/** Where results go: what a handler may do to a connection. */
export interface ResultSink {
  /** Throws what `encodeTerm` throws. */
  send(term: Term): void;
  stop(stop: Stop): void;
  /** Resolves when the peer has read enough of what was sent to be sent more; undefined when it has already. */
  drained(): Promise<void> | undefined;
  /** Reports what a handler, or a stream it has returned, has thrown. Must not throw. */
  onFailure(error: unknown): void;
}

/**
 * Runs the handlers of one connection, and delivers what they return until the connection ends. Whatever handlers and
 * their streams throw is reported to the sink: nothing here throws or rejects.
 */
export class HandlerRunner implements SignalSource, StreamOwner {
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
   * @param streamed whether it is a value of a stream: after the end it goes nowhere, and nothing is reported.
   */
  deliver(result: unknown, streamed = false): Promise<void> | undefined {
    if (result === undefined) return undefined;
    try {
      if (result === null || typeof result !== 'object') this.sink.send(result as Term);
      else if (result instanceof Stop) this.sink.stop(result);
      else if (isPromise(result)) return this.settle(result, streamed);
      else if (isObservable(result)) this.push(result);
      else if (result instanceof Intercepted) {
        this.push(result.values, result.settled);
        return result.settled;
      } else if (Symbol.asyncIterator in result) {
        this.pull((result as AsyncIterable<unknown>)[Symbol.asyncIterator]());
      } else if (isIterator(result)) this.pull(result);
      else this.sink.send(result as Term);
    } catch (error) {
      this.onFailure(error);
    }
    return undefined;
  }

  /** The connection has ended: ends its streams, and aborts the signal. */
  end(): void {
    if (this.ended) return;
    this.ended = true;
    // Streams first: what reacts to the signal has nobody to send to.
    if (this.streams) for (const stream of [...this.streams]) stream.unsubscribe();
    this.controller?.abort();
  }

  // --- What streams ask of their owner ---------------------------------------------------------------------

  onValue(value: unknown): Promise<void> | undefined {
    return this.deliver(value, true);
  }

  drained(): Promise<void> | undefined {
    return this.sink.drained();
  }

  onFailure(error: unknown): void {
    // What was given the signal says so when it is aborted, as it should.
    if (this.ended && nameOf(error) === 'AbortError') return;
    this.sink.onFailure(error);
  }

  onEnd(stream: Stream): void {
    this.streams?.delete(stream);
  }

  private async settle(result: PromiseLike<unknown>, streamed: boolean): Promise<void> {
    try {
      const value = await result;
      if (streamed && this.ended) return;
      const more = this.deliver(value, streamed);
      if (more) await more;
    } catch (error) {
      this.onFailure(error);
    }
  }

  /** @param runs set where the handler itself runs only when subscribed to: settled when it has finished. */
  private push(values: Observable<unknown>, runs?: Promise<void>): void {
    if (!this.ended) {
      const stream = new PushStream(this);
      this.add(stream);
      stream.follow(values);
    } else if (runs) {
      // A message that came before the end is handled after it; its values have nowhere to go.
      const stream = new PushStream({
        onValue: () => undefined,
        drained: () => undefined,
        onFailure: (error) => this.onFailure(error),
        onEnd: () => undefined,
      });
      stream.follow(values);
      void runs.then(() => stream.unsubscribe());
    }
  }

  private pull(iterator: AsyncIterator<unknown> | Iterator<unknown>): void {
    const stream = new PullStream(iterator, this);
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

import { type RequestFailure, type ResultSink, type Stop } from '../results/index.js';
import { type Term } from '../wire/internal.js';
import { type DeliveryTurn } from './delivery-turn.js';

/**
 * Acknowledges a delivery when its handler has finished. One that returns a stream has finished when the stream completes.
 */
export class DeliverySink implements ResultSink {
  private streamed = 0;
  /** The first value of a stream. */
  private first: Term | undefined;

  /**
   * @param failureOf says what the other side is told of an error.
   * @param onResult called before it has finished with what the handler returned: a value, or the only one of a stream,
   *   which an interceptor makes of a value. Must not throw.
   */
  constructor(
    private readonly turn: DeliveryTurn,
    private readonly connection: Pick<ResultSink, 'stop' | 'onFailure'>,
    private readonly failureOf: (error: unknown) => RequestFailure,
    private readonly onResult?: (value: Term) => void,
  ) {}

  send(value: Term, streamed: boolean): void {
    if (streamed) {
      if (++this.streamed === 1 && this.onResult) this.first = value;
      return;
    }
    this.onResult?.(value);
    this.turn.finish({ result: 'handled' });
  }

  onNothing(): void {
    this.turn.finish({ result: 'handled' });
  }

  onStreamsEnd(): void {
    if (this.streamed === 1 && this.first !== undefined) this.onResult?.(this.first);
    this.turn.finish({ result: 'handled' });
  }

  onAborted(): void {
    this.turn.onAborted();
  }

  stop(stop: Stop): void {
    this.turn.finish({ result: 'handled' });
    this.connection.stop(stop);
  }

  drained(): undefined {
    // Nothing is sent, so there is nothing to wait for.
  }

  onFailure(error: unknown, handler?: string): void {
    this.connection.onFailure(error, handler);
    const { code, text } = this.failureOf(error);
    this.turn.finish({ result: code === 'invalid' ? 'invalid' : 'failed', text });
  }
}

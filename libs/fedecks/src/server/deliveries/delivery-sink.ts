import { type RequestFailure, type ResultSink, type Stop } from '../../results/index.js';
import { type DeliveryTurn } from './delivery-turn.js';

/**
 * What a handler returns for a delivery goes nowhere: only that it has finished is acknowledged. One that returns a
 * stream has finished when the stream completes.
 */
export class DeliverySink implements ResultSink {
  /** @param failureOf says what the device is told of an error. */
  constructor(
    private readonly turn: DeliveryTurn,
    private readonly connection: Pick<ResultSink, 'stop' | 'onFailure'>,
    private readonly failureOf: (error: unknown) => RequestFailure,
  ) {}

  send(_value: unknown, streamed: boolean): void {
    if (!streamed) this.turn.finish({ result: 'handled' });
  }

  onNothing(): void {
    this.turn.finish({ result: 'handled' });
  }

  onStreamsEnd(): void {
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

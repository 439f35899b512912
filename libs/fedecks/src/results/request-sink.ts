import { type ReceivedRequest } from '../requests/index.js';
import { type RequestErrorCode, type Term } from '../wire/internal.js';
import { type ResultSink } from './handler-runner.js';
import { type Stop } from './result.js';

/** The error that the other side receives. */
export interface RequestFailure {
  readonly code: RequestErrorCode;
  readonly text: string;
}

/** Answers a request with the results of its handler. Reports and `stop()` go to the connection, as for a message. */
export class RequestSink implements ResultSink {
  /** @param failureOf returns the error that the other side receives. */
  constructor(
    private readonly request: ReceivedRequest,
    private readonly connection: Pick<ResultSink, 'stop' | 'drained' | 'onFailure'>,
    private readonly failureOf: (error: unknown) => RequestFailure,
  ) {}

  send(value: Term, streamed: boolean): void {
    if (streamed) this.request.next(value);
    else this.request.reply(value);
  }

  onNothing(): void {
    this.request.reply(null);
  }

  onStreamsEnd(): void {
    this.request.complete();
  }

  stop(stop: Stop): void {
    this.connection.stop(stop);
    // A device does not close its connection: the other side must not wait for an answer that never comes.
    this.request.error('failed', 'internal error');
  }

  drained(): Promise<void> | undefined {
    return this.connection.drained();
  }

  onFailure(error: unknown, handler?: string): void {
    this.connection.onFailure(error, handler);
    const { code, text } = this.failureOf(error);
    this.request.error(code, text);
  }
}

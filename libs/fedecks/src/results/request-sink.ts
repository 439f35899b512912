import { type ReceivedRequest } from '../requests/index.js';
import { type RequestErrorCode, type Term } from '../wire/internal.js';
import { type ResultSink } from './handler-runner.js';
import { type Stop } from './result.js';

/** What the other side is told of an error. */
export interface RequestFailure {
  readonly code: RequestErrorCode;
  readonly text: string;
}

/** What a handler returns for a request is its answer. Everything else goes where it goes for a message. */
export class RequestSink implements ResultSink {
  /** @param failureOf says what the other side is told of an error. */
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

import { HttpException } from '@nestjs/common';
import { type ReceivedRequest } from '../requests/index.js';
import { type RequestErrorCode, type Term } from '../wire/index.js';
import { type ResultSink } from './handler-runner.js';
import { refusalOf } from './pipe-refusal.js';
import { type Stop } from './result.js';

/** What a handler returns for a request is its answer. Everything else goes where it goes for a message. */
export class RequestSink implements ResultSink {
  constructor(
    private readonly request: ReceivedRequest,
    private readonly connection: ResultSink,
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
  }

  drained(): Promise<void> | undefined {
    return this.connection.drained();
  }

  onFailure(error: unknown, handler?: string): void {
    this.connection.onFailure(error, handler);
    const { code, text } = failureOf(error);
    this.request.error(code, text);
  }
}

/** What the other side is told of an error: only those that Nest means for callers have a text for it. */
function failureOf(error: unknown): { readonly code: RequestErrorCode; readonly text: string } {
  const refusal = refusalOf(error);
  if (error instanceof HttpException) {
    const isOfCaller = refusal !== undefined || error.getStatus() < 500;
    return { code: isOfCaller ? 'invalid' : 'failed', text: error.message };
  }
  // @nestjs/websockets is no dependency, so its exception is known by its name.
  const isWsException = error instanceof Error && error.constructor.name === 'WsException';
  if (isWsException || refusal !== undefined) {
    const text = isWsException ? error.message : '';
    return { code: refusal === undefined ? 'failed' : 'invalid', text };
  }
  return { code: 'failed', text: 'internal error' };
}

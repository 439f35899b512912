import { HttpException } from '@nestjs/common';
import { type RequestFailure } from '../results/index.js';
import { refusalOf } from './pipe-refusal.js';

/** What the other side is told of an error: only those that Nest means for callers have a text for it. */
export function failureOf(error: unknown): RequestFailure {
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

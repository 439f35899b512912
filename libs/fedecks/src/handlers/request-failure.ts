import { HttpException } from '@nestjs/common';
import { messageOf } from '../faults/index.js';
import { type RequestFailure } from '../results/index.js';
import { refusalOf } from './pipe-refusal.js';

const INTERNAL_ERROR: RequestFailure = { code: 'failed', text: 'internal error' };

/** What the other side is told of an error: only those that Nest means for callers have a text for it. Never throws. */
export function failureOf(error: unknown): RequestFailure {
  try {
    return failureForCallers(error) ?? INTERNAL_ERROR;
  } catch {
    // What was thrown may be a Proxy, or have getters that throw.
    return INTERNAL_ERROR;
  }
}

function failureForCallers(error: unknown): RequestFailure | undefined {
  const refusal = refusalOf(error);
  if (error instanceof HttpException) {
    const isOfCaller = refusal !== undefined || error.getStatus() < 500;
    return { code: isOfCaller ? 'invalid' : 'failed', text: messageOf(error) };
  }
  // @nestjs/websockets is no dependency, so its exception is known by its name.
  const isWsException = error instanceof Error && error.constructor.name === 'WsException';
  if (isWsException || refusal !== undefined) {
    const text = isWsException ? messageOf(error) : '';
    return { code: refusal === undefined ? 'failed' : 'invalid', text };
  }
  return undefined;
}

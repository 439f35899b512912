import { type ServerResponse } from 'node:http';
import { type CanActivate, type ExecutionContext, HttpException, Injectable } from '@nestjs/common';
import { RequestLimit } from './request-limit.js';

/**
 * Limits the HTTP requests of an address, all controllers together. A guard of controllers and not of the app, because
 * that one would run for each message of each device. Comes before the guard of the API key, so that guesses count.
 */
@Injectable()
export class RateLimitGuard implements CanActivate {
  constructor(private readonly limit: RequestLimit) {}

  canActivate(context: ExecutionContext): boolean {
    const http = context.switchToHttp();
    // The address that a trusted proxy names, if there is one.
    const { ip = '' } = http.getRequest<{ readonly ip?: string }>();
    const seconds = this.limit.retryAfter(ip);
    if (seconds === undefined) return true;
    http.getResponse<ServerResponse>().setHeader('retry-after', seconds);
    throw new HttpException('Too many requests: wait as long as Retry-After says.', 429);
  }
}

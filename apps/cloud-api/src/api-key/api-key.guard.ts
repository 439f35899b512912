import { type CanActivate, type ExecutionContext, Injectable, UnauthorizedException } from '@nestjs/common';
import { type IncomingMessage } from 'node:http';
import { ApiKey } from './api-key.js';

/** Lets HTTP requests pass that present the API key; others are answered with 401. */
@Injectable()
export class ApiKeyGuard implements CanActivate {
  constructor(private readonly apiKey: ApiKey) {}

  canActivate(context: ExecutionContext): boolean {
    const { headers } = context.switchToHttp().getRequest<IncomingMessage>();
    if (this.apiKey.isIn(headers)) return true;
    throw new UnauthorizedException(
      'The API key is missing or wrong: send x-api-key: <key>, or authorization: Bearer <key>.',
    );
  }
}

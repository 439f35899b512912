import { applyDecorators, Controller, UseFilters, UseGuards, UseInterceptors } from '@nestjs/common';
import {
  ApiBadRequestResponse,
  ApiBearerAuth,
  ApiCookieAuth,
  ApiForbiddenResponse,
  ApiServiceUnavailableResponse,
  ApiTooManyRequestsResponse,
  ApiUnauthorizedResponse,
} from '@nestjs/swagger';
import { RateLimitGuard } from '../operations/rate-limit.guard.js';
import { AccessGuard } from './access.guard.js';
import { AuditInterceptor } from './audit.interceptor.js';
import { DatabaseFilter } from '../http/database.filter.js';

/**
 * A controller of version 1 of the HTTP API: limited, for those whom `@Requires` names, with what `@Audited` names kept, and
 * 503 while the database cannot be reached.
 * @param path below `/api/v1`; empty: its routes have the whole path.
 */
export function V1Controller(path: string): ClassDecorator {
  return applyDecorators(
    Controller(path === '' ? 'api/v1' : `api/v1/${path}`),
    UseGuards(RateLimitGuard, AccessGuard),
    UseInterceptors(AuditInterceptor),
    UseFilters(DatabaseFilter),
    ApiBearerAuth('bearer'),
    ApiCookieAuth('cookie'),
    ApiBadRequestResponse({ description: '`message` names the field that is wrong.' }),
    ApiUnauthorizedResponse({ description: 'Log in, or send an API key.' }),
    ApiForbiddenResponse({ description: 'It needs another role.' }),
    ApiTooManyRequestsResponse({ description: 'Wait as long as `retry-after` says, in seconds.' }),
    ApiServiceUnavailableResponse({
      description: 'The database or other nodes do not answer: try again later.',
    }),
  );
}

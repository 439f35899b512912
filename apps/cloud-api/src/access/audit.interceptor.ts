import { type ServerResponse } from 'node:http';
import { type CallHandler, type ExecutionContext, Injectable, type NestInterceptor } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { catchError, concatMap, type Observable } from 'rxjs';
import { detailsOf, keptText } from './audit-details.js';
import { AuditLimits } from './audit-limits.js';
import { Audit, type AuditEntry } from './audit.js';
import { Audited, type AuditedAs } from './audited.decorator.js';
import { type RequestOfActor } from './current-actor.decorator.js';
import { statusOf } from './status-of.js';

interface AuditedRequest extends RequestOfActor {
  readonly ip?: string;
  readonly params: Readonly<Record<string, string | string[] | undefined>>;
  readonly body?: unknown;
}

/**
 * Keeps what {@link Audited} names, whether it worked or not, before it is answered. What strangers do, such as failed logins, is
 * kept up to 50 times in 10 s, 10 times for each address; the log counts the rest.
 */
@Injectable()
export class AuditInterceptor implements NestInterceptor {
  constructor(
    private readonly reflector: Reflector,
    private readonly audit: Audit,
    private readonly limits: AuditLimits,
  ) {}

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const audited = this.reflector.get(Audited, context.getHandler()) as AuditedAs | undefined;
    if (!audited) return next.handle();
    const http = context.switchToHttp();
    const request = http.getRequest<AuditedRequest>();
    return next.handle().pipe(
      concatMap(async (answer) => {
        await this.record(entryOf(request, audited, http.getResponse<ServerResponse>().statusCode, answer));
        return answer as unknown;
      }),
      catchError(async (error: unknown) => {
        await this.record(entryOf(request, audited, statusOf(error)));
        throw error;
      }),
    );
  }

  private async record(entry: AuditEntry): Promise<void> {
    if (!entry.actor && !this.limits.strangers.admit(entry.address)) return;
    await this.audit.record(entry);
  }
}

function entryOf(
  { actor, ip = '', params, body }: AuditedRequest,
  { action, target, spell, fields = [], answerFields = [] }: AuditedAs,
  status: number,
  answer?: unknown,
): AuditEntry {
  const details = { ...detailsOf(body, fields), ...detailsOf(answer, answerFields) };
  const named = target === undefined ? undefined : targetIn(target, params, body);
  return {
    actor,
    address: ip,
    action,
    target: named === undefined ? undefined : keptText(spell?.(named) ?? named),
    details: Object.keys(details).length > 0 ? details : undefined,
    status,
  };
}

function targetIn(name: string, params: AuditedRequest['params'], body: unknown): string | undefined {
  const value = params[name] ?? (body as Record<string, unknown> | null | undefined)?.[name];
  return typeof value === 'string' ? value : undefined;
}

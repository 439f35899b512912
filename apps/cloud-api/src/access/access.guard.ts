import { type IncomingMessage } from 'node:http';
import {
  type CanActivate,
  type ExecutionContext,
  ForbiddenException,
  Injectable,
  UnauthorizedException,
} from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { type Actor, mayDo, type Role } from './actor.js';
import { Authenticator } from './authenticator.js';
import { type RequestOfActor } from './current-actor.decorator.js';
import { isFromThisHost } from './request-origin.js';
import { Requires } from './requires.decorator.js';

/** Methods that change nothing. */
const SAFE = new Set(['GET', 'HEAD', 'OPTIONS']);

interface GuardedRequest extends IncomingMessage, RequestOfActor {
  /** With its port; the one that a trusted proxy names, if there is one. */
  readonly host?: string;
}

/**
 * Lets those pass whom {@link Requires} of the route names: 401 for nobody who is known, 403 for a lower role, and for a change
 * that a page of another host makes with the cookie of an operator.
 */
@Injectable()
export class AccessGuard implements CanActivate {
  constructor(
    private readonly reflector: Reflector,
    private readonly authenticator: Authenticator,
  ) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const targets = [context.getHandler(), context.getClass()];
    const required = this.reflector.getAllAndOverride(Requires, targets) as Role | 'anyone' | undefined;
    const request = context.switchToHttp().getRequest<GuardedRequest>();
    if (required === 'anyone') {
      // A page of another host must not log its visitors in as somebody else either.
      checkOrigin(request, undefined);
      return true;
    }
    const actor = await this.authenticator.actorOf(request.headers);
    if (!actor) {
      throw new UnauthorizedException(
        'Log in, or send an API key: authorization: Bearer <key>, or x-api-key: <key>.',
      );
    }
    checkOrigin(request, actor);
    // A route that does not say is for nobody.
    if (!required || !mayDo(actor.role, required)) {
      throw new ForbiddenException(`This needs the role ${required ?? 'of nobody'}: yours is ${actor.role}.`);
    }
    request.actor = actor;
    return true;
  }
}

/** A key cannot be sent by a page that does not know it: only with a cookie, and where nobody is known, the origin counts. */
function checkOrigin({ method = '', headers, host }: GuardedRequest, actor: Actor | undefined): void {
  if (SAFE.has(method) || actor?.kind === 'api_key' || actor?.kind === 'environment') return;
  // Without a cookie there may be no browser, and no origin.
  if (isFromThisHost(headers, host) ?? !actor) return;
  throw new ForbiddenException('With a cookie, send this from a page of this host: Origin must name it.');
}

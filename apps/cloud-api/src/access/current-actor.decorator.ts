import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import { type Actor } from './actor.js';

/** A request that `AccessGuard` has let pass. */
export interface RequestOfActor {
  actor?: Actor;
}

/** Who makes the request. */
export const CurrentActor = createParamDecorator((_: unknown, context: ExecutionContext): Actor => {
  const { actor } = context.switchToHttp().getRequest<RequestOfActor>();
  if (!actor) throw new Error('The route is open to anyone: nobody is known.');
  return actor;
});

import { type CanActivate, type ExecutionContext, HttpException } from '@nestjs/common';
import { isObservable, lastValueFrom } from 'rxjs';
import { type Authenticated, UpgradeRefused, type UpgradeRequest } from './upgrade-request.js';

/**
 * Runs the guards of an upgrade in sequence, and returns the device that the first one authenticated.
 * @throws {UpgradeRefused} when a guard returns false, or throws an HttpException below 500.
 * @throws any other error of a guard: the fault is on the cloud's side.
 */
export async function passGuards(
  request: UpgradeRequest,
  guards: readonly CanActivate[],
  context: ExecutionContext,
): Promise<Authenticated> {
  for (const guard of guards) {
    let passed: boolean;
    try {
      const result = guard.canActivate(context);
      passed = await (isObservable(result) ? lastValueFrom(result) : result);
    } catch (error) {
      if (error instanceof HttpException && error.getStatus() < 500)
        throw refusedBy(request, error.name, error);
      throw error;
    }
    if (!passed) throw refusedBy(request, guard.constructor.name);
  }
  // An application guard that replaces FedecksAuthGuard need not set a grant.
  const { device, grant = { generation: 0, expiresAt: 0 } } = request;
  if (!device) throw new Error('The guard that replaces FedecksAuthGuard must set request.device');
  return { device, grant };
}

function refusedBy({ deviceId }: UpgradeRequest, info: string, error?: HttpException): UpgradeRefused {
  return new UpgradeRefused({
    deviceId: deviceId ?? null,
    type: 'refused_by_guard',
    info,
    ...(error && { error }),
  });
}

import { Injectable } from '@nestjs/common';
import { Fedecks } from './fedecks.service.js';

/** The result that `@nestjs/terminus` expects. */
export interface FedecksHealthResult {
  /** `down` while a backplane is degraded. */
  readonly status: 'up' | 'down';
  /** The reason, by the `path` of the endpoint. */
  readonly reasons?: Readonly<Record<string, string>>;
}

/**
 * A health indicator for `@nestjs/terminus`, which it does not require: `down` with the reason while a backplane is
 * degraded. Devices stay connected then, so use it as a readiness check, not as a liveness check.
 */
@Injectable()
export class FedecksHealthIndicator {
  constructor(private readonly fedecks: Fedecks) {}

  /** @param key the name of the result. */
  isHealthy(key = 'fedecks'): Record<string, FedecksHealthResult> {
    const health = this.fedecks.health();
    return {
      [key]: health.status === 'up' ? { status: 'up' } : { status: 'down', reasons: health.reasons },
    };
  }
}

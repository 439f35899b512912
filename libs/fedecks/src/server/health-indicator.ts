import { Injectable } from '@nestjs/common';
import { Fedecks } from './fedecks.service.js';

/** As `@nestjs/terminus` shows it. */
export interface FedecksHealthResult {
  /** `down` while a backplane is degraded. */
  readonly status: 'up' | 'down';
  /** What does not work, by the `path` of the endpoint. */
  readonly reasons?: Readonly<Record<string, string>>;
}

/**
 * What `@nestjs/terminus` takes as a health indicator, without a need for it: `down` while a backplane is degraded,
 * with the reason. Devices stay connected meanwhile, so it says whether a node is ready, not whether it is alive.
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

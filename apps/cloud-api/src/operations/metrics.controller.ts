import { Controller, Get, Header, UseFilters, UseGuards } from '@nestjs/common';
import { Registry } from 'prom-client';
import { AccessGuard } from '../access/access.guard.js';
import { DatabaseFilter } from '../http/database.filter.js';
import { Requires } from '../access/requires.decorator.js';
import { CloudMetrics } from './cloud-metrics.js';
import { RateLimitGuard } from './rate-limit.guard.js';

/** The metrics on the main port, for any role. */
@Controller('metrics')
@UseGuards(RateLimitGuard, AccessGuard)
@UseFilters(DatabaseFilter)
export class MetricsController {
  constructor(private readonly metrics: CloudMetrics) {}

  @Get()
  @Requires('viewer')
  @Header('content-type', Registry.PROMETHEUS_CONTENT_TYPE)
  show(): Promise<string> {
    return this.metrics.registry.metrics();
  }
}

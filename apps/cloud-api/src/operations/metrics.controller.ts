import { Controller, Get, Header, UseGuards } from '@nestjs/common';
import { Registry } from 'prom-client';
import { ApiKeyGuard } from '../api-key/api-key.guard.js';
import { CloudMetrics } from './cloud-metrics.js';
import { RateLimitGuard } from './rate-limit.guard.js';

/** The metrics on the main port, with the API key. */
@Controller('metrics')
@UseGuards(RateLimitGuard, ApiKeyGuard)
export class MetricsController {
  constructor(private readonly metrics: CloudMetrics) {}

  @Get()
  @Header('content-type', Registry.PROMETHEUS_CONTENT_TYPE)
  show(): Promise<string> {
    return this.metrics.registry.metrics();
  }
}

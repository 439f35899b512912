import { type IncomingMessage, type ServerResponse } from 'node:http';
import { Controller, Get, Req, Res, ServiceUnavailableException } from '@nestjs/common';
import { FedecksHealthIndicator } from '@fedecks/nest';
import { type HealthCheckResult, HealthCheckService } from '@nestjs/terminus';
import { ApiKey } from '../api-key/api-key.js';
import { Readiness } from './readiness.js';

/** What orchestrators and load balancers ask. No API key is needed; only with it are there details. */
@Controller('health')
export class HealthController {
  constructor(
    private readonly health: HealthCheckService,
    private readonly fedecks: FedecksHealthIndicator,
    private readonly readiness: Readiness,
    private readonly apiKey: ApiKey,
  ) {}

  /** 200 while the event loop runs. If it does not answer, restart the process. */
  @Get('live')
  live(): { readonly status: 'ok' } {
    return { status: 'ok' };
  }

  /** 200 while it takes new devices, 503 while it ends or cannot reach the other nodes. */
  @Get('ready')
  async ready(
    @Req() { headers }: IncomingMessage,
    @Res({ passthrough: true }) response: ServerResponse,
  ): Promise<Partial<HealthCheckResult>> {
    const result = await this.check();
    if (result.status !== 'ok') response.statusCode = 503;
    return this.apiKey.isIn(headers) ? result : { status: result.status };
  }

  private async check(): Promise<HealthCheckResult> {
    try {
      return await this.health.check([
        () => ({ process: { status: this.readiness.isReady ? 'up' : 'down' } }),
        () => this.fedecks.isHealthy(),
      ]);
    } catch (error) {
      if (!(error instanceof ServiceUnavailableException)) throw error;
      return error.getResponse() as HealthCheckResult;
    }
  }
}

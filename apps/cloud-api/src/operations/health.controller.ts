import { type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import { Controller, Get, Ip, Req, Res, ServiceUnavailableException } from '@nestjs/common';
import { FedecksHealthIndicator } from '@fedecks/nest';
import { type HealthCheckResult, HealthCheckService } from '@nestjs/terminus';
import { Authenticator } from '../access/authenticator.js';
import { sessionTokenIn } from '../access/session-cookie.js';
import { presentedKey } from '../api-key/api-key.js';
import { Readiness } from './readiness.js';
import { RequestLimit } from './request-limit.js';

/** What orchestrators and load balancers ask. Anyone may; only who is known gets details. */
@Controller('health')
export class HealthController {
  constructor(
    private readonly health: HealthCheckService,
    private readonly fedecks: FedecksHealthIndicator,
    private readonly readiness: Readiness,
    private readonly authenticator: Authenticator,
    private readonly limit: RequestLimit,
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
    @Ip() address: string,
    @Res({ passthrough: true }) response: ServerResponse,
  ): Promise<Partial<HealthCheckResult>> {
    const result = await this.check();
    if (result.status !== 'ok') response.statusCode = 503;
    return (await this.isKnown(headers, address)) ? result : { status: result.status };
  }

  /** Limited by address, because looking up a key costs a query; without any it is not, so that load balancers may ask. */
  private async isKnown(headers: IncomingHttpHeaders, address: string): Promise<boolean> {
    if (presentedKey(headers) === undefined && sessionTokenIn(headers) === undefined) return false;
    if (this.limit.retryAfter(address) !== undefined) return false;
    // While the database is away, only the key of the environment is known.
    const actor = await this.authenticator.actorOf(headers).catch(() => undefined);
    return actor !== undefined;
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

import { type DynamicModule, type MiddlewareConsumer, Module, type NestModule } from '@nestjs/common';
import { APP_INTERCEPTOR, HttpAdapterHost } from '@nestjs/core';
import { Fedecks } from '@fedecks/nest';
import { TerminusModule } from '@nestjs/terminus';
import { ApiKey } from '../api-key/api-key.js';
import { type Config } from '../config.js';
import { CloudMetrics } from './cloud-metrics.js';
import { DeviceWatch } from './device-watch.js';
import { FleetGauges } from './fleet-gauges.js';
import { HandlerSpans, isTraced } from './handler-spans.js';
import { HealthController } from './health.controller.js';
import { HttpMetrics } from './http-metrics.js';
import { LoginMetrics } from './login-metrics.js';
import { MetricsServer } from './metrics-server.js';
import { MetricsController } from './metrics.controller.js';
import { Readiness } from './readiness.js';
import { RequestLimit } from './request-limit.js';
import { Webhook } from './webhook.js';

/** What operators need to run the app: metrics, health, rate limits, and the webhook. */
@Module({})
export class OperationsModule implements NestModule {
  /** @param metrics which the library counts in, too. */
  static with({ operations, host, apiKey }: Config, metrics: CloudMetrics): DynamicModule {
    const { metricsPort, drainDelayMs, requestsPerMinute, offlineGraceMs, webhook } = operations;
    return {
      module: OperationsModule,
      global: true,
      imports: [TerminusModule.forRoot({ logger: false })],
      controllers: [HealthController, MetricsController],
      providers: [
        { provide: ApiKey, useValue: new ApiKey(apiKey) },
        { provide: CloudMetrics, useValue: metrics },
        { provide: RequestLimit, useValue: new RequestLimit(requestsPerMinute) },
        { provide: MetricsServer, useFactory: () => new MetricsServer(metrics, host, metricsPort) },
        {
          provide: Readiness,
          inject: [HttpAdapterHost],
          useFactory: (adapterHost: HttpAdapterHost) => new Readiness(adapterHost, drainDelayMs),
        },
        {
          provide: DeviceWatch,
          inject: [Fedecks],
          useFactory: (fedecks: Fedecks) => new DeviceWatch(fedecks, offlineGraceMs),
        },
        {
          provide: Webhook,
          inject: [DeviceWatch],
          useFactory: (watch: DeviceWatch) => new Webhook(webhook, watch, metrics),
        },
        ...(isTraced() ? [{ provide: APP_INTERCEPTOR, useClass: HandlerSpans }] : []),
        FleetGauges,
        LoginMetrics,
      ],
      exports: [ApiKey, CloudMetrics, LoginMetrics, RequestLimit],
    };
  }

  configure(consumer: MiddlewareConsumer): void {
    consumer.apply(HttpMetrics).forRoutes('{*path}');
  }
}

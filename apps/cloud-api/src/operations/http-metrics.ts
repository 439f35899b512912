import { type IncomingMessage, type ServerResponse } from 'node:http';
import { Injectable, type NestMiddleware } from '@nestjs/common';
import { Histogram } from 'prom-client';
import { CloudMetrics } from './cloud-metrics.js';

/** Counts and times HTTP requests, by method and status. Not by path: a path may have a device id. */
@Injectable()
export class HttpMetrics implements NestMiddleware<IncomingMessage, ServerResponse> {
  private readonly seconds: Histogram<'method' | 'status'>;

  constructor({ registry }: CloudMetrics) {
    this.seconds = new Histogram({
      name: 'cloud_http_request_seconds',
      help: 'Duration of HTTP requests, in seconds, by method and status.',
      labelNames: ['method', 'status'],
      registers: [registry],
    });
  }

  use({ method = '' }: IncomingMessage, response: ServerResponse, next: () => void): void {
    const startedAt = performance.now();
    response.once('finish', () => {
      const labels = { method, status: String(response.statusCode) };
      this.seconds.observe(labels, (performance.now() - startedAt) / 1_000);
    });
    next();
  }
}

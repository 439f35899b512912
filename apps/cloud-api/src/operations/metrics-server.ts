import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo } from 'node:net';
import { Logger, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import { type CloudMetrics } from './cloud-metrics.js';

const MAX_CONNECTIONS = 20;

/** The metrics on a port of their own, without an API key: for a network that only Prometheus reaches. */
export class MetricsServer implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly logger = new Logger('Metrics');
  private server: Server | undefined;

  /** @param port undefined: there is no such server. */
  constructor(
    private readonly metrics: CloudMetrics,
    private readonly host: string,
    private readonly port: number | undefined,
  ) {}

  /** Rejects when the port is in use. */
  async onApplicationBootstrap(): Promise<void> {
    if (this.port === undefined) return;
    this.server = createServer((request, response) => {
      const isScrape = request.method === 'GET' && /^\/metrics(\?|$)/.test(request.url ?? '');
      if (isScrape) void this.show(response);
      else response.writeHead(404).end();
    });
    this.server.maxConnections = MAX_CONNECTIONS;
    await once(this.server.listen(this.port, this.host), 'listening');
    this.logger.log(`Metrics at port ${(this.server.address() as AddressInfo).port}, path /metrics`);
  }

  /** The port it listens on; undefined where there is no such server. */
  get listeningPort(): number | undefined {
    return (this.server?.address() as AddressInfo | null | undefined)?.port;
  }

  onApplicationShutdown(): void {
    this.server?.close();
    this.server?.closeAllConnections();
  }

  private async show(response: ServerResponse): Promise<void> {
    try {
      const text = await this.metrics.registry.metrics();
      response.setHeader('content-type', this.metrics.registry.contentType).end(text);
    } catch (error) {
      this.logger.error('The metrics could not be read', error instanceof Error ? error.stack : undefined);
      response.writeHead(500).end();
    }
  }
}

import { type Server } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { Logger, type OnModuleInit } from '@nestjs/common';
import { type HttpAdapterHost } from '@nestjs/core';

/**
 * How long, in milliseconds, HTTP requests have to end after the devices were closed. Without an end a browser would hold the
 * process for up to 90 s: it opens connections before it has a request for them, and Node counts those as busy.
 */
const LAST_REQUESTS_MS = 2_000;

/** Whether this process takes new devices and requests: false as soon as it begins to end. */
export class Readiness implements OnModuleInit {
  private readonly logger = new Logger('Readiness');
  private isEnding = false;

  /** @param drainDelayMs how long load balancers have to notice, before the devices are closed. */
  constructor(
    private readonly adapterHost: HttpAdapterHost,
    private readonly drainDelayMs: number,
  ) {}

  get isReady(): boolean {
    return !this.isEnding;
  }

  /** Nest calls `beforeClose` before any hook, and the library drains the devices in it. */
  onModuleInit(): void {
    const adapter: { beforeClose?: () => unknown } = this.adapterHost.httpAdapter;
    const beforeClose = adapter.beforeClose?.bind(adapter);
    adapter.beforeClose = async () => {
      this.isEnding = true;
      if (this.drainDelayMs > 0) {
        this.logger.log(`Not ready any more. The devices are closed in ${this.drainDelayMs} ms`);
        await sleep(this.drainDelayMs);
      }
      await beforeClose?.();
      const server = this.adapterHost.httpAdapter.getHttpServer() as Server;
      setTimeout(() => server.closeAllConnections(), LAST_REQUESTS_MS).unref();
    };
  }
}

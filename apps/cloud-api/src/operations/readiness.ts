import { setTimeout as sleep } from 'node:timers/promises';
import { Logger, type OnModuleInit } from '@nestjs/common';
import { type HttpAdapterHost } from '@nestjs/core';

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
    };
  }
}

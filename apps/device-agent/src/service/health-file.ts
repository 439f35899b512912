import { rm, writeFile } from 'node:fs/promises';
import { Injectable, Logger, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import { FedecksClient } from '@fedecks/nest/client-nest';

/** Half of what a health check takes for fresh, which is two minutes. */
const REFRESH_MS = 60_000;

/**
 * Keeps a file fresh while the agent is connected, and removes it otherwise, so that a health check has only to look at
 * its time: another Node each minute would cost more than the agent. An agent that hangs refreshes nothing.
 */
@Injectable()
export class HealthFile implements OnModuleInit, OnApplicationShutdown {
  private readonly logger = new Logger('Health');
  private timer: NodeJS.Timeout | undefined;
  private writing: Promise<void> = Promise.resolve();
  private failed = false;

  /** @param path undefined without a health check. Should be on a RAM disk. */
  constructor(
    private readonly client: FedecksClient,
    private readonly path: string | undefined,
  ) {}

  onModuleInit(): void {
    const { path } = this;
    if (path === undefined) return;
    this.client.events$.subscribe(({ type }) => {
      if (type === 'connected' || this.client.status !== 'connected') this.update(path);
    });
    this.timer = setInterval(() => this.update(path), REFRESH_MS);
  }

  async onApplicationShutdown(): Promise<void> {
    clearInterval(this.timer);
    await this.writing;
  }

  /** One after another, so that the last one counts. */
  private update(path: string): void {
    this.writing = this.writing
      .then(() => (this.client.status === 'connected' ? writeFile(path, '') : rm(path, { force: true })))
      .catch((error: unknown) => this.onFailure(error as NodeJS.ErrnoException));
  }

  /** Once: it would be the same every time. */
  private onFailure({ code = 'unknown error' }: NodeJS.ErrnoException): void {
    if (this.failed) return;
    this.failed = true;
    this.logger.warn(`The agent cannot write FEDECKS_HEALTH_FILE (${code}): the health check will fail`);
  }
}

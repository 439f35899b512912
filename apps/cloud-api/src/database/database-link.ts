import { setTimeout as sleep } from 'node:timers/promises';
import { Injectable, Logger, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import { type Database } from './database.js';
import { isUnreachable } from './database-errors.js';
import { migrate } from './migrate.js';

/** How long, in milliseconds, the app waits at its start for a database that does not answer. */
const START_WAIT_MS = 5_000;
const TRY_AGAIN_MS = 1_000;

/**
 * The way to the database: migrates it at the start of the app. A server that cannot be reached is tried again until it
 * can: devices with a token connect meanwhile.
 */
@Injectable()
export class DatabaseLink implements OnModuleInit, OnApplicationShutdown {
  private readonly logger = new Logger('Database');
  private readonly ending = new AbortController();
  private isMigrated = false;

  /** @param place for the log: where the database is, without a password. */
  constructor(
    private readonly database: Database,
    private readonly place: string,
  ) {}

  /** Whether the tables are there. Queries may fail all the same: the server may go at any time. */
  get isReady(): boolean {
    return this.isMigrated;
  }

  /** @throws what the database throws, unless it is only that it cannot be reached. */
  async onModuleInit(): Promise<void> {
    const first = this.migrate();
    // Should it fail later, `tryAgain` has seen it.
    first.catch(() => undefined);
    const outcome = await Promise.race([first, sleep(START_WAIT_MS, 'slow' as const, { ref: false })]);
    if (outcome === 'done') return;
    this.logger.warn(
      `The database does not answer: ${this.place}. Devices may connect; the app tries again.`,
    );
    void this.tryAgain(first);
  }

  /** After everything that writes at its end: this module is the first to be made, and the last to be ended. */
  async onApplicationShutdown(): Promise<void> {
    this.ending.abort();
    await this.database.destroy();
  }

  private async tryAgain(first: Promise<'done' | 'unreachable'>): Promise<void> {
    const { signal } = this.ending;
    let last: Promise<'done' | 'unreachable'> = first;
    while (!signal.aborted) {
      const outcome = await last.catch((error: unknown) => {
        this.logger.error(
          `The database cannot be migrated: ${error instanceof Error ? error.message : 'unknown error'}`,
        );
        return 'unreachable' as const;
      });
      if (outcome === 'done') return;
      const isEnding = await sleep(TRY_AGAIN_MS, false, { signal, ref: false }).catch(() => true);
      if (isEnding) return;
      last = this.migrate();
    }
  }

  private async migrate(): Promise<'done' | 'unreachable'> {
    try {
      await migrate(this.database);
    } catch (error) {
      if (isUnreachable(error)) return 'unreachable';
      throw error;
    }
    this.isMigrated = true;
    this.logger.log(`The database is ${this.place}`);
    return 'done';
  }
}

import { setTimeout as sleep } from 'node:timers/promises';
import { Logger, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import { sql, type Transaction } from 'kysely';
import { type Database } from '../database/database.js';
import { type DatabaseLink } from '../database/database-link.js';
import { hasTimedOut, isUnreachable } from '../database/database-errors.js';
import { type Tables } from '../database/tables.js';

const EVERY_MS = 60_000;
/** How long, in milliseconds, one job may go on in one run. It continues in the next one. */
const JOB_MS = 10_000;
/** How long, in milliseconds, others have the database between two steps. */
const PAUSE_MS = 20;
/** Names the lock that keeps two nodes from doing the same step. */
const LOCK = 7_269_103_391_541;

/** Something that is to be done again and again, in steps that take short. */
export interface UpkeepJob {
  readonly name: string;
  /** Does one step. @returns whether there is more to do. */
  step(tx: Transaction<Tables>): Promise<boolean>;
}

/** Keeps the database small: does all jobs once a minute, on one node at a time. */
export class Upkeep implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly logger = new Logger('Upkeep');
  private timer: NodeJS.Timeout | undefined;
  private running: Promise<void> | undefined;
  private hasEnded = false;

  constructor(
    private readonly database: Database,
    private readonly link: Pick<DatabaseLink, 'isReady'>,
    private readonly jobs: readonly UpkeepJob[],
  ) {}

  onApplicationBootstrap(): void {
    this.timer = setInterval(() => void this.run(), EVERY_MS).unref();
  }

  async onApplicationShutdown(): Promise<void> {
    this.hasEnded = true;
    clearInterval(this.timer);
    await this.running;
  }

  /** Does all jobs, unless that is being done. Never rejects. */
  run(): Promise<void> {
    return (this.running ??= this.doJobs().finally(() => (this.running = undefined)));
  }

  private async doJobs(): Promise<void> {
    if (!this.link.isReady) return;
    for (const job of this.jobs) {
      try {
        await this.doJob(job);
      } catch (error) {
        if (isUnreachable(error) && !hasTimedOut(error)) return;
        // The others go on.
        this.logger.error(`${job.name} failed: ${error instanceof Error ? error.message : 'unknown error'}`);
      }
    }
  }

  private async doJob(job: UpkeepJob): Promise<void> {
    const until = performance.now() + JOB_MS;
    while (!this.hasEnded && (await this.step(job)) && performance.now() < until) await sleep(PAUSE_MS);
  }

  /** False where another node is at work. */
  private step(job: UpkeepJob): Promise<boolean> {
    return this.database.transaction().execute(async (tx) => {
      const { rows } = await sql<{ isMine: boolean }>`
        SELECT pg_try_advisory_xact_lock(${LOCK}::bigint) AS "isMine"`.execute(tx);
      return rows[0]?.isMine === true && job.step(tx);
    });
  }
}

import { Injectable, ServiceUnavailableException } from '@nestjs/common';
import { isUnreachable } from '../database/database-errors.js';
import { DatabaseLink } from '../database/database-link.js';
import { inTime } from '../database/in-time.js';

/** How long, in milliseconds, a login waits for the database. */
const DEADLINE_MS = 2_000;
/** How long, in milliseconds, the database is not asked again when it did not answer: logins by file go on meanwhile. */
const PAUSE_MS = 2_000;

/** Limits the time that logins wait for the database: they share a queue, in which others wait behind them. */
@Injectable()
export class LookupDeadline {
  private pausedUntil = -Infinity;

  constructor(private readonly link: Pick<DatabaseLink, 'isReady'>) {}

  /**
   * The result of a query. It may have its effect after this has rejected.
   * @throws {ServiceUnavailableException} (rejects) when the database does not answer in time, or did not a moment ago.
   */
  async ask<Result>(query: () => Promise<Result>): Promise<Result> {
    if (!this.link.isReady || performance.now() < this.pausedUntil) throw unavailable();
    try {
      return await inTime(query(), DEADLINE_MS, () => this.pause());
    } catch (error) {
      throw isUnreachable(error) ? this.pause(error) : error;
    }
  }

  private pause(cause?: unknown): ServiceUnavailableException {
    this.pausedUntil = performance.now() + PAUSE_MS;
    return unavailable(cause);
  }
}

function unavailable(cause?: unknown): ServiceUnavailableException {
  return new ServiceUnavailableException('the database does not answer', { cause });
}

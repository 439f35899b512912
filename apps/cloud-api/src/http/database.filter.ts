import { type ArgumentsHost, Catch, HttpException, ServiceUnavailableException } from '@nestjs/common';
import { BaseExceptionFilter } from '@nestjs/core';
import { isUnreachable } from '../database/database-errors.js';
import { DatabaseLink } from '../database/database-link.js';

/** Answers 503 where the database cannot be reached, or has no tables yet. */
@Catch()
export class DatabaseFilter extends BaseExceptionFilter {
  constructor(private readonly link: DatabaseLink) {
    super();
  }

  override catch(error: unknown, host: ArgumentsHost): void {
    const isAway = isUnreachable(error) || (!this.link.isReady && !(error instanceof HttpException));
    const shown = isAway
      ? new ServiceUnavailableException('The database does not answer: try again later.', { cause: error })
      : error;
    super.catch(shown, host);
  }
}

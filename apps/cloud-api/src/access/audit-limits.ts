import { Injectable, Logger } from '@nestjs/common';
import { LineLimit } from '../log/line-limit.js';

/** In 10 s: failed logins must not fill the table. */
const STRANGERS = { ofAll: 50, ofEach: 10 };
/** Log lines in 10 s. */
const FAILURES = { ofAll: 50, ofEach: 50 };

/** What the audit keeps and logs at most, of all controllers together. What is left out is counted in the log. */
@Injectable()
export class AuditLimits {
  private readonly logger = new Logger('Audit');
  /** Entries about requests of nobody who is known, by address. */
  readonly strangers = new LineLimit(this.logger, 'what strangers tried, for the audit,', STRANGERS);
  /** Lines about entries that could not be kept. */
  readonly failures = new LineLimit(this.logger, 'what the audit could not keep', FAILURES);
}

import { isatty } from 'node:tty';
import { ConsoleLogger } from '@nestjs/common';
import { LogFields } from './log-fields.js';

/** Writes log lines for people. The fields of a line are in its text already. */
export class TextLogger extends ConsoleLogger {
  constructor() {
    // No colours in a journal or file.
    super({ prefix: 'cloud-api', colors: isatty(1), logLevels: ['fatal', 'error', 'warn', 'log'] });
  }

  override log(message: unknown, ...more: unknown[]): void {
    super.log(message, ...more.filter((each) => !(each instanceof LogFields)));
  }
}

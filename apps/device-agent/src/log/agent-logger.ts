import { isatty } from 'node:tty';
import { ConsoleLogger, type LogLevel } from '@nestjs/common';
import { isJournal, journalLines, PRIORITY } from './journal.js';
import { type RecentLog } from './recent-log.js';

/**
 * Logs to the console as Nest does, and into the lines that `device-agent logs` shows. The journal gets a priority with
 * each line, and neither date nor process id: it has its own.
 */
export class AgentLogger extends ConsoleLogger {
  private readonly inJournal = isJournal(1);

  constructor(private readonly recent: RecentLog) {
    // No colours in a journal or file.
    super({ prefix: 'device-agent', colors: isatty(1) });
  }

  protected override printMessages(
    messages: unknown[],
    context = '',
    logLevel: LogLevel = 'log',
    ...rest: [writeStreamType?: 'stdout' | 'stderr', errorStack?: unknown, params?: Record<string, unknown>]
  ): void {
    for (const message of messages) {
      const text = typeof message === 'string' ? message : this.stringifyMessage(message, logLevel);
      const source = context === '' ? '' : `[${context}] `;
      this.recent.add(`${new Date().toISOString()} ${logLevel.toUpperCase().padEnd(5)} ${source}${text}`);
      if (this.inJournal) process.stdout.write(journalLines(PRIORITY[logLevel], `${source}${text}`));
    }
    if (!this.inJournal) super.printMessages(messages, context, logLevel, ...rest);
  }

  protected override printStackTrace(stack: string): void {
    if (!this.inJournal) super.printStackTrace(stack);
    else if (stack) process.stdout.write(journalLines(PRIORITY.error, stack));
  }
}

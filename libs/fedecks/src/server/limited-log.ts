import { ConsoleLogger, Logger } from '@nestjs/common';
import { printable, stackOf } from '../faults/index.js';

const WINDOW_MS = 10_000;
const LINES = 20;
/** Nest enables debug by default, so debug lines need a limit. */
const DEBUG_LINES = 200;
const MAX_LINE_LENGTH = 2_000;
const MAX_STACK_LENGTH = 10_000;

/** A stack frame, which may begin a line. */
const STACK_FRAME = /\\n(?= +at )/g;

/**
 * Whether Nest logs at level debug, like `Logger.isLevelEnabled` of Nest 12. That of Nest 10 and 11 ignores the levels of
 * the default logger and of a `ConsoleLogger` that the application created.
 */
export function isDebugLogged(): boolean {
  const logger = Logger['staticInstanceRef'];
  if (logger === undefined) return false;
  if (logger instanceof ConsoleLogger) return logger.isLevelEnabled('debug');
  const areLevelsUnset = !Logger.isLevelEnabled('fatal');
  return areLevelsUnset || Logger.isLevelEnabled('debug');
}

/**
 * A log with a rate limit: at most 20 warnings, 20 errors and 200 debug lines per 10 s. It then reports how many lines it
 * suppressed. Text from peers cannot begin a new line.
 */
export class LimitedLog {
  private readonly warnings = new Budget(LINES);
  private readonly errors = new Budget(LINES);
  private readonly details = new Budget(DEBUG_LINES);

  constructor(private readonly logger: Pick<Logger, 'warn' | 'error'> & Partial<Pick<Logger, 'debug'>>) {}

  /** @param line formats the line; called only if it is written. */
  debug(line: () => string): void {
    const write = (text: string): void => this.logger.debug?.(text);
    this.write(this.details, () => write(printable(line(), MAX_LINE_LENGTH)), write);
  }

  warn(line: string): void {
    this.write(this.warnings, () => this.logger.warn(printable(line, MAX_LINE_LENGTH)));
  }

  error(line: string, error: unknown): void {
    this.write(this.errors, () => this.logger.error(printable(line, MAX_LINE_LENGTH), formatStack(error)));
  }

  /** @param note reports suppressed lines, at the level of the lines. */
  private write(
    budget: Budget,
    write: () => void,
    note: (text: string) => void = (text) => this.logger.warn(text),
  ): void {
    const leftOut = budget.leftOut(performance.now());
    try {
      if (leftOut > 0) note(`The log rate limit suppressed ${leftOut} lines`);
      if (budget.admits()) write();
    } catch {
      // The application's logger throws: there is no other place to report it.
    }
  }
}

/** Lines of a window of 10 s. */
class Budget {
  private windowEnds = 0;
  private written = 0;

  constructor(private readonly lines: number) {}

  /** How many lines the last window suppressed, if it has just ended. */
  leftOut(now: number): number {
    if (now < this.windowEnds) return 0;
    const leftOut = this.written - this.lines;
    this.windowEnds = now + WINDOW_MS;
    this.written = 0;
    return leftOut;
  }

  admits(): boolean {
    return ++this.written <= this.lines;
  }
}

/** The message of an error may contain text from a peer, so only stack frames begin lines. */
function formatStack(error: unknown): string | undefined {
  const stack = stackOf(error);
  return stack === undefined ? undefined : printable(stack, MAX_STACK_LENGTH).replace(STACK_FRAME, '\n');
}

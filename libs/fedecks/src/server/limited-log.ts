import { type Logger } from '@nestjs/common';
import { stackOf } from '../faults/index.js';

const WINDOW_MS = 10_000;
const LINES = 20;

/** A log of what strangers can cause: at most 20 lines in 10 s; then it counts, and says how many it left out. */
export class LimitedLog {
  private windowEnds = 0;
  private written = 0;

  constructor(private readonly logger: Logger) {}

  warn(line: string): void {
    if (this.admit()) this.logger.warn(line);
  }

  error(line: string, error: unknown): void {
    if (this.admit()) this.logger.error(line, stackOf(error));
  }

  private admit(now = Date.now()): boolean {
    if (now >= this.windowEnds) {
      const left = this.written - LINES;
      if (left > 0) this.logger.warn(`${left} more lines were left out`);
      this.windowEnds = now + WINDOW_MS;
      this.written = 0;
    }
    return ++this.written <= LINES;
  }
}

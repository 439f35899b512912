import { Injectable, ServiceUnavailableException } from '@nestjs/common';
import { RecentLog } from './recent-log.js';

/** Which lines the cloud asks for. */
export interface LogQuery {
  /** How many of the newest lines. */
  readonly lines: number;
  /** Whether new lines are to follow, for as long as somebody reads them. */
  readonly follow: boolean;
}

/** Each reads the same lines in memory, and keeps only its place in them. */
const MAX_STREAMS = 8;

/** The log as streams that are read as fast as the connection takes them. */
@Injectable()
export class LogStreams {
  private streams = 0;

  constructor(private readonly log: RecentLog) {}

  /**
   * One line after another. Who reads so slowly that lines are forgotten meanwhile reads how many.
   * @param signal ends it, also while it waits for a line.
   */
  async *read({ lines, follow }: LogQuery, signal: AbortSignal): AsyncGenerator<string> {
    if (this.streams >= MAX_STREAMS)
      throw new ServiceUnavailableException(`${MAX_STREAMS} others read the log: end one of them`);
    this.streams++;
    try {
      const { log } = this;
      const end = follow ? Infinity : log.next;
      for (let number = Math.max(log.first, log.next - lines); number < end && !signal.aborted;) {
        const line = log.at(number);
        if (line !== undefined) {
          number++;
          yield line;
        } else if (number < log.first) {
          const missed = Math.min(log.first, end) - number;
          number += missed;
          yield `... ${missed} lines were logged faster than they were read, and are lost`;
        } else await this.newLine(signal);
      }
    } finally {
      this.streams--;
    }
  }

  /** Resolves at the next line, or at the end. */
  private newLine(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const finish = (): void => {
        stop();
        signal.removeEventListener('abort', finish);
        resolve();
      };
      const stop = this.log.follow(finish);
      signal.addEventListener('abort', finish);
    });
  }
}

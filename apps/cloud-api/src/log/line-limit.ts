import { type Logger } from '@nestjs/common';

const WINDOW_MS = 10_000;

/** How many lines may be logged in 10 s. */
export interface Lines {
  readonly ofAll: number;
  /** Of one source, so that it does not take the lines of the others. */
  readonly ofEach: number;
}

/** Limits log lines that peers cause. What is left out is counted, and logged as one line when the 10 s are over. */
export class LineLimit {
  private windowEnds = 0;
  private admitted = 0;
  private readonly bySource = new Map<string, number>();
  private leftOut = 0;

  /** @param what the lines are about, in the plural. */
  constructor(
    private readonly logger: Logger,
    private readonly what: string,
    private readonly lines: Lines,
  ) {}

  /** Whether a line may be logged now. Asked before it is made, which costs more. */
  admit(source: string): boolean {
    const now = performance.now();
    if (now >= this.windowEnds) {
      this.windowEnds = now + WINDOW_MS;
      this.admitted = 0;
      this.bySource.clear();
    }
    const ofSource = this.bySource.get(source) ?? 0;
    if (this.admitted >= this.lines.ofAll || ofSource >= this.lines.ofEach) {
      if (this.leftOut++ === 0) setTimeout(() => this.reportLeftOut(), this.windowEnds - now).unref();
      return false;
    }
    this.admitted++;
    this.bySource.set(source, ofSource + 1);
    return true;
  }

  private reportLeftOut(): void {
    this.logger.warn(
      `${this.leftOut} lines about ${this.what} were not logged: they exceeded the limit per 10 s`,
    );
    this.leftOut = 0;
  }
}

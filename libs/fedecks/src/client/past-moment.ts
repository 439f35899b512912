import { uptime } from 'node:os';

/** The tolerance between the clocks, so that the shown time does not jitter. */
const TOLERANCE_MS = 1_000;

/**
 * A past moment, measured by the system uptime, which includes suspension and is never set. A device
 * without a battery learns only later what day it is.
 */
export class PastMoment {
  private readonly uptimeS = uptime();
  private shownMs = Date.now();

  /** How long ago it was, in milliseconds. */
  get agoMs(): number {
    return (uptime() - this.uptimeS) * 1000;
  }

  /** When it was, by the system's clock as that is set now. */
  get date(): Date {
    const dateMs = Date.now() - this.agoMs;
    if (Math.abs(dateMs - this.shownMs) > TOLERANCE_MS) this.shownMs = dateMs;
    return new Date(this.shownMs);
  }
}

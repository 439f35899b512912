import { type Link } from './link.js';

/** Probes per request timeout. */
const PROBES = 4;
/** The part of the timeout after which input without a probe counts as stale. */
const STALE_AFTER = 1 / 2;

/** A moment by two clocks, as either may stop while a machine is suspended. */
interface Moment {
  readonly monotonic: number;
  readonly wall: number;
}

/**
 * Detects requests that have waited too long: they stay in buffers while a process or its connection is
 * paused, and the requester has timed out by then. The server answers a probe after all earlier messages for this node
 * before: so what is read after the answer is younger than the probe. Only clocks of this node are compared.
 */
export class Freshness {
  /** When the last probe was sent that was answered: all that is read now left the server after that. */
  private proven = moment();
  private lastProbe = this.proven;
  private timer: NodeJS.Timeout | undefined;
  private readonly staleAfterMs: number;

  /** @param goodForMs how long whoever asks waits. */
  constructor(
    private readonly link: Pick<Link, 'isUp' | 'flush'>,
    private readonly goodForMs: number,
  ) {
    this.staleAfterMs = goodForMs * STALE_AFTER;
  }

  start(): void {
    this.probe();
    this.timer = setInterval(() => this.probe(), this.goodForMs / PROBES).unref();
  }

  stop(): void {
    clearInterval(this.timer);
  }

  /** Whether what was read just now may be older than half the time that whoever asks waits. */
  isStale(): boolean {
    if (since(this.proven) < this.staleAfterMs) return false;
    // At once, ahead of any answer: what comes in return for that is read after this probe is answered.
    if (since(this.lastProbe) >= this.staleAfterMs) this.probe();
    return true;
  }

  private probe(): void {
    if (!this.link.isUp) return;
    const sent = moment();
    this.lastProbe = sent;
    this.link.flush().then(
      () => (this.proven = sent),
      // The next one may be answered.
      () => undefined,
    );
  }
}

function moment(): Moment {
  return { monotonic: performance.now(), wall: Date.now() };
}

/** Milliseconds since then, by the clock that says more. A wall clock that was set costs one probe. */
function since({ monotonic, wall }: Moment): number {
  return Math.max(performance.now() - monotonic, Date.now() - wall);
}

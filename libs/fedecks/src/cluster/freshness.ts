import { type Link } from './link.js';

/** How often, within the time an answer may take, a node proves how fresh what it reads is. */
const PROBES = 4;
/** After which part of that time without a proof what is read may be too old. */
const STALE_AFTER = 1 / 2;

/** A moment by two clocks: a machine that was suspended may have stopped either. */
interface Moment {
  readonly monotonic: number;
  readonly wall: number;
}

/**
 * Whether what this node reads may have waited for long: questions wait in buffers while a process or its connection is
 * stopped, and whoever asked has given up by then. The server answers a probe after everything it had for this node
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

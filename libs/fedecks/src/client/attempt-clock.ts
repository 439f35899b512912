/** The phases of an attempt, in order. With a proxy, DNS and TCP are those of the proxy. */
export type Phase = 'DNS' | 'TCP' | 'proxy' | 'TLS' | 'answer';

/** How long an attempt may take, in milliseconds. */
export interface AttemptLimits {
  /** Each phase. */
  readonly phaseTimeoutMs: number;
  /** All of them together. */
  readonly upgradeTimeoutMs: number;
}

/** The error texts of timed-out phases. */
const MISSING: Readonly<Record<Phase, string>> = {
  DNS: 'no answer from the name server',
  TCP: 'no connection',
  proxy: 'no answer from the proxy',
  TLS: 'no completed TLS handshake',
  answer: 'no answer to the upgrade',
};

/** Limits the phases of an attempt, each and in total, and measures them. */
export class AttemptClock {
  private readonly startedAt = performance.now();
  private readonly past: { readonly phase: Phase; readonly tookMs: number }[] = [];
  private phase: Phase | undefined;
  private phaseStartedAt = 0;
  private timer: NodeJS.Timeout | undefined;
  private verdict: NodeJS.Immediate | undefined;

  /** @param onTimeout called once, with what did not come in time and how long each phase took. */
  constructor(
    private readonly limits: AttemptLimits,
    private readonly onTimeout: (reason: string) => void,
  ) {}

  /** Ends the current phase, if any, and starts the next. */
  begin(phase: Phase): void {
    this.end();
    this.phase = phase;
    this.phaseStartedAt = performance.now();
    const leftMs = this.limits.upgradeTimeoutMs - (this.phaseStartedAt - this.startedAt);
    const allowedMs = Math.min(this.limits.phaseTimeoutMs, Math.max(0, leftMs));
    // Not the timeout of `ws`, which restarts at every byte: a slow-drip server could hold the attempt for ever.
    this.timer = setTimeout(() => {
      // After a stall of the process, what has arrived in time is read before that, and ends the phase.
      this.verdict = setImmediate(() => this.onTimeout(this.explain(phase, allowedMs)));
    }, allowedMs);
  }

  /** Ends the current phase and its timer. */
  end(): void {
    clearTimeout(this.timer);
    clearImmediate(this.verdict);
    if (this.phase === undefined) return;
    this.past.push({ phase: this.phase, tookMs: performance.now() - this.phaseStartedAt });
    this.phase = undefined;
  }

  /** How long this phase may take at the most, in milliseconds. */
  get phaseLimitMs(): number {
    return this.limits.phaseTimeoutMs;
  }

  /** Whether the finished attempt would also have met these limits. */
  isWithin({ phaseTimeoutMs, upgradeTimeoutMs }: AttemptLimits): boolean {
    const allMs = this.past.reduce((sum, { tookMs }) => sum + tookMs, 0);
    return allMs <= upgradeTimeoutMs && this.past.every(({ tookMs }) => tookMs <= phaseTimeoutMs);
  }

  private explain(phase: Phase, allowedMs: number): string {
    const before = this.past.map((each) => `${each.phase} took ${Math.round(each.tookMs)} ms`);
    const detail = before.length === 0 ? '' : ` (${before.join(', ')})`;
    return `${MISSING[phase]} within ${Math.round(allowedMs)} ms${detail}`;
  }
}

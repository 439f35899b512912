/** The two things a heartbeat does. */
export interface Pulse {
  /** Send a ping. */
  ping(): void;
  /** Nothing has come in time: the connection is dead. Called once. */
  missed(): void;
}

export interface HeartbeatTimes {
  readonly pingIntervalMs: number;
  readonly pongTimeoutMs: number;
}

/**
 * Finds out that a connection is dead though nobody ended it: pings at an interval, and expects *some* frame within
 * `pongTimeoutMs` milliseconds of the oldest ping that nothing has followed (PROTOCOL.md §3). So silence is noticed
 * `pingIntervalMs + pongTimeoutMs` after the last frame at the latest. Pings go out even on a busy connection: they
 * are what tells the server, which closes after 60 s without a frame, that the device is alive.
 */
export class Heartbeat {
  private interval: NodeJS.Timeout | undefined;
  private deadline: NodeJS.Timeout | undefined;
  private verdict: NodeJS.Immediate | undefined;

  constructor(
    private readonly times: HeartbeatTimes,
    private readonly pulse: Pulse,
  ) {}

  start(): void {
    this.stop();
    this.interval = setInterval(() => this.beat(), this.times.pingIntervalMs);
  }

  /** A frame has come, of whatever kind. */
  alive(): void {
    clearTimeout(this.deadline);
    clearImmediate(this.verdict);
    this.deadline = undefined;
  }

  stop(): void {
    clearInterval(this.interval);
    this.alive();
  }

  private beat(): void {
    this.deadline ??= setTimeout(() => this.expire(), this.times.pongTimeoutMs);
    this.pulse.ping();
  }

  /**
   * After a stall of the process (a suspended device, a long computation) the deadline fires before the frames that
   * arrived meanwhile are read. Node reads them before it runs an immediate, and `alive` takes that back.
   */
  private expire(): void {
    this.verdict = setImmediate(() => {
      this.stop();
      this.pulse.missed();
    });
  }
}

/** What a heartbeat does and looks at. */
export interface Pulse {
  /** Send a ping. */
  ping(): void;
  /** How many bytes have come on this connection so far. */
  bytesRead(): number;
  /** How many bytes were sent that no pong has confirmed. */
  unconfirmedBytes(): number;
  /** Nothing has come in time: the connection is dead. Called once. */
  missed(): void;
}

export interface HeartbeatTimes {
  readonly pingIntervalMs: number;
  readonly pongTimeoutMs: number;
  /** The slowest that a connection may carry what is on its way: less is no life. */
  readonly minBytesPerSecond: number;
}

/** The oldest ping that no frame has followed. */
interface Wait {
  readonly since: number;
  /** What had come by then. */
  readonly bytesRead: number;
  /** What was on its way by then, and the pong comes after it. */
  readonly unconfirmedBytes: number;
  /** What had come when it was last looked at. */
  bytesSeen: number;
}

/**
 * Finds out that a connection is dead though nobody ended it: pings at an interval, and expects *some* frame within
 * `pongTimeoutMs` milliseconds of the oldest ping that nothing has followed (PROTOCOL.md §3). So silence is noticed
 * `pingIntervalMs + pongTimeoutMs` after the last frame at the latest. Pings go out even on a busy connection: they
 * are what tells the server, which closes after 60 s without a frame, that the device is alive.
 *
 * On a slow link a frame takes longer to come than that, and a ping longer to get through. So bytes of a frame that is
 * not finished are life as well, and what has come, or was on its way before the ping, has the time that it takes at
 * `minBytesPerSecond`.
 */
export class Heartbeat {
  private interval: NodeJS.Timeout | undefined;
  private deadline: NodeJS.Timeout | undefined;
  private verdict: NodeJS.Immediate | undefined;
  private wait: Wait | undefined;

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
    this.wait = undefined;
  }

  stop(): void {
    clearInterval(this.interval);
    this.alive();
  }

  private beat(): void {
    if (!this.wait) {
      const bytesRead = this.pulse.bytesRead();
      const unconfirmedBytes = this.pulse.unconfirmedBytes();
      this.wait = { since: performance.now(), bytesRead, unconfirmedBytes, bytesSeen: bytesRead };
      this.expectWithin(this.times.pongTimeoutMs);
    }
    this.pulse.ping();
  }

  /**
   * After a stall of the process (a suspended device, a long computation) the deadline fires before the frames that
   * arrived meanwhile are read. Node reads them before it runs an immediate, and `alive` takes that back.
   */
  private expectWithin(ms: number): void {
    this.deadline = setTimeout(() => {
      this.verdict = setImmediate(() => this.check());
    }, ms);
  }

  private check(): void {
    const { wait } = this;
    if (!wait) return;
    const { pongTimeoutMs, minBytesPerSecond } = this.times;
    const timeFor = (bytes: number): number => (bytes * 1_000) / minBytesPerSecond;
    const bytesRead = this.pulse.bytesRead();
    const waitedMs = performance.now() - wait.since;
    const outgoingMs = pongTimeoutMs + timeFor(wait.unconfirmedBytes);
    const allowedMs = outgoingMs + timeFor(bytesRead - wait.bytesRead);
    const isMoving = bytesRead > wait.bytesSeen || waitedMs < outgoingMs;
    if (!isMoving || waitedMs >= allowedMs) {
      this.stop();
      this.pulse.missed();
      return;
    }
    wait.bytesSeen = bytesRead;
    this.expectWithin(Math.min(pongTimeoutMs, Math.ceil(allowedMs - waitedMs)));
  }
}

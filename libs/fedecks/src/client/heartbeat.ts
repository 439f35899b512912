/** The connection of a heartbeat. */
export interface Pulse {
  /** Send a ping. */
  ping(): void;
  /** The bytes received on this connection so far. */
  bytesRead(): number;
  /** How many bytes were sent that no pong has confirmed. */
  unconfirmedBytes(): number;
  /** Called once when the heartbeat has timed out. */
  missed(): void;
}

export interface HeartbeatTimes {
  readonly pingIntervalMs: number;
  readonly pongTimeoutMs: number;
  /** The minimum rate of the link: slower counts as dead. */
  readonly minBytesPerSecond: number;
}

/** The oldest ping that no frame has followed. */
interface Wait {
  readonly since: number;
  /** The bytes received before the ping. */
  readonly bytesRead: number;
  /** The unconfirmed bytes before the ping, which delay its pong. */
  readonly unconfirmedBytes: number;
  /** The bytes received at the last check. */
  bytesSeen: number;
}

/**
 * Detects a dead connection: sends pings at an interval, and expects any frame within
 * `pongTimeoutMs` milliseconds of the oldest unanswered ping (PROTOCOL.md §3). So silence is detected
 * `pingIntervalMs + pongTimeoutMs` after the last frame at the latest. Pings go out even on a busy connection: they
 * keep the server from closing, which it does after 60 s without a frame.
 *
 * On a slow link, frames and pings may take longer than that. So bytes of an
 * unfinished frame count too, and received bytes, and bytes sent before the ping, extend the deadline by their time at
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

  /** Called for every received frame. */
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
   * arrived meanwhile are read. Node reads them before it runs an immediate, and `alive` cancels the timeout.
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

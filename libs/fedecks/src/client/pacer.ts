const SECOND_MS = 1_000;

/** Frames per batch reserved for pings, pongs and the token request. */
const SPARE_FRAMES = 2;

/** Below this limit no extra pings are sent: the pacer uses time only. */
const MIN_FRAMES_FOR_PING = 8;

/** The connection of a pacer. */
export interface PacedConnection {
  /** Send a ping. */
  ping(): void;
  /** How many messages have been sent, and how many of them the server has read for certain. */
  sentMessages(): number;
  confirmedMessages(): number;
}

/**
 * Keeps a connection from sending more frames in a second than the server allows. A link that stalls delivers what was
 * sent over several seconds at once, so the clock is not enough: messages are sent in batches of half
 * of what is allowed, and the next one begins when a second has passed and a pong has confirmed the one before.
 */
export class Pacer {
  private readonly batchSize: number;
  private readonly needsPong: boolean;
  private left: number;
  private startedAt = -Infinity;
  /** How many messages had been sent at the end of the last batch. */
  private batchEnd = 0;
  private timer: NodeJS.Timeout | undefined;
  private readonly waiting: (() => void)[] = [];

  constructor(
    framesPerSecond: number | undefined,
    private readonly connection: PacedConnection,
  ) {
    const frames = framesPerSecond ?? Infinity;
    this.batchSize = Math.max(1, Math.floor(frames / 2) - SPARE_FRAMES);
    this.needsPong = frames >= MIN_FRAMES_FOR_PING;
    this.left = this.batchSize;
  }

  /** Sends a message, now or in its turn. `send` must send exactly one. */
  send(send: () => void): void {
    if (this.waiting.length > 0 || this.left === 0) this.waiting.push(send);
    else this.sendNow(send);
  }

  /** A pong has come. */
  onPong(): void {
    if (this.left === 0) this.proceed();
  }

  /** Called when the connection has ended: queued messages fail. */
  end(): void {
    clearTimeout(this.timer);
    for (const send of this.waiting.splice(0)) send();
  }

  private sendNow(send: () => void): void {
    if (this.left === this.batchSize) this.startedAt = performance.now();
    send();
    if (--this.left > 0) return;
    this.batchEnd = this.connection.sentMessages();
    if (this.needsPong) this.connection.ping();
    this.proceed();
  }

  /** Begins the next batch, if its time has come. */
  private proceed(): void {
    if (this.needsPong && this.connection.confirmedMessages() < this.batchEnd) return;
    const leftMs = this.startedAt + SECOND_MS - performance.now();
    clearTimeout(this.timer);
    if (leftMs > 0) {
      this.timer = setTimeout(() => this.proceed(), Math.ceil(leftMs));
      return;
    }
    this.left = this.batchSize;
    while (this.left > 0) {
      const send = this.waiting.shift();
      if (!send) return;
      this.sendNow(send);
    }
  }
}

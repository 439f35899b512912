/** The maximum number of unanswered pings to track. */
const MAX_PINGS = 1_000;

interface Position {
  readonly bytes: number;
  readonly messages: number;
}

/**
 * Tracks sent bytes and messages that may not have arrived. A pong proves that the server has read everything sent before
 * its ping. A pong for several pings confirms only the oldest.
 */
export class Unconfirmed {
  private sent: Position = { bytes: 0, messages: 0 };
  private confirmed = this.sent;
  /** What had been sent before each ping that no pong has followed yet. */
  private readonly pings: Position[] = [];
  private skippedPings = 0;

  /** @param messages 1 for a message of the application, 0 for anything else. */
  onSent(bytes: number, messages: 0 | 1): void {
    this.sent = { bytes: this.sent.bytes + bytes, messages: this.sent.messages + messages };
  }

  onPing(): void {
    if (this.skippedPings > 0 || this.pings.length >= MAX_PINGS) this.skippedPings++;
    else this.pings.push(this.sent);
  }

  onPong(): void {
    const position = this.pings.shift();
    if (position) this.confirmed = position;
    else if (this.skippedPings > 0) this.skippedPings--;
  }

  /** How many bytes of payload are on their way. */
  get bytes(): number {
    return this.sent.bytes - this.confirmed.bytes;
  }

  /** How many messages have been sent. */
  get sentMessages(): number {
    return this.sent.messages;
  }

  /** How many of them the server has read for certain. */
  get confirmedMessages(): number {
    return this.confirmed.messages;
  }
}

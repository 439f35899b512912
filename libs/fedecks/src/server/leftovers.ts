/** An ended connection with unhandled messages. */
export interface Leftover {
  readonly waitingMessages: number;
  /** Bytes of the waiting messages, and of the one being handled. */
  readonly waitingBytes: number;
  /** Resolves when all messages are handled, and `@OnDisconnected` has finished. */
  settled(): Promise<void>;
}

/**
 * Ended connections, until their messages and `@OnDisconnected` are handled. Their messages count against the mailbox of
 * the device, so that a reconnect does not give it a new mailbox.
 */
export class Leftovers<Ended extends Leftover> {
  private readonly byDevice = new Map<string, Set<Ended>>();

  constructor(private readonly limits: { readonly mailboxLimit: number; readonly mailboxBytes: number }) {}

  /** Keeps a connection until it is settled. */
  add(deviceId: string, leftover: Ended): void {
    const leftovers = this.byDevice.get(deviceId) ?? new Set();
    this.byDevice.set(deviceId, leftovers.add(leftover));
    void leftover.settled().then(() => {
      leftovers.delete(leftover);
      if (leftovers.size === 0 && this.byDevice.get(deviceId) === leftovers) this.byDevice.delete(deviceId);
    });
  }

  *all(): Iterable<Ended> {
    for (const leftovers of this.byDevice.values()) yield* leftovers;
  }

  /** Whether the messages of the device's ended connections fill a mailbox. */
  areFull(deviceId: string): boolean {
    const leftovers = this.byDevice.get(deviceId);
    if (!leftovers) return false;
    let messages = 0;
    let bytes = 0;
    for (const { waitingMessages, waitingBytes } of leftovers) {
      messages += waitingMessages;
      bytes += waitingBytes;
    }
    const { mailboxLimit, mailboxBytes } = this.limits;
    // Each connection also has one message in progress, which `waitingMessages` does not count.
    return messages >= mailboxLimit || leftovers.size > mailboxLimit || bytes >= mailboxBytes;
  }
}

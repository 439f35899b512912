/** An ended connection with unhandled messages. */
export interface Leftover {
  readonly waitingMessages: number;
  /** Of the messages that wait, and of the one that is being handled. */
  readonly waitingBytes: number;
  /** Resolves when all of it is handled, and `@OnDisconnected` has finished. */
  settled(): Promise<void>;
}

/**
 * Connections that have ended, until all their messages and `@OnDisconnected` are handled. What they hold counts
 * against their device, so that reconnecting does not give it a new mailbox.
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

  /** Whether as much waits of the device's ended connections as one mailbox may hold. */
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
    // Each has one message more than wait: the one that is being handled.
    return messages >= mailboxLimit || leftovers.size > mailboxLimit || bytes >= mailboxBytes;
  }
}

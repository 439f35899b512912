/** What is left of a connection that has ended. */
export interface Leftover {
  /** Whether nothing of it waits for a handler, and no handler is waited for. */
  readonly isSettled: boolean;
  readonly waitingMessages: number;
  /** Of the messages that wait, and of the one that is being handled. */
  readonly waitingBytes: number;
  /** Resolves when nothing waits any more. */
  settled(): Promise<void>;
}

/**
 * Messages of ended connections that handlers have not done with. They count against their device: or one that
 * connects again whenever its mailbox is full would have a new mailbox each time.
 */
export class Leftovers {
  private readonly byDevice = new Map<string, Set<Leftover>>();

  constructor(private readonly limits: { readonly mailboxLimit: number; readonly mailboxBytes: number }) {}

  /** Keeps count of what is left, until it is handled. */
  add(deviceId: string, leftover: Leftover): void {
    if (leftover.isSettled) return;
    const leftovers = this.byDevice.get(deviceId) ?? new Set();
    this.byDevice.set(deviceId, leftovers.add(leftover));
    void leftover.settled().then(() => {
      leftovers.delete(leftover);
      if (leftovers.size === 0) this.byDevice.delete(deviceId);
    });
  }

  /** Whether as much is left of the device's ended connections as one mailbox may hold. */
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

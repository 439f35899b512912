import { BackplaneError } from '../server/index.js';
import { type ClusterOptions } from './cluster-options.js';
import { type Link, Malformed, type Message, timeout, unavailable } from './link.js';

/**
 * A node's response: executed, or not executed because it no longer holds the device, or because
 * the request may have expired.
 */
export const EXECUTED = Uint8Array.of(1);
export const NOT_EXECUTED = Uint8Array.of(0);

/** The delay before a second retry, in milliseconds, so that a busy node is not flooded. */
const RESEND_AFTER_MS = 20;

interface Pending {
  readonly subject: string;
  readonly bytes: Uint8Array;
  readonly resolve: (done: boolean) => void;
  readonly reject: (error: BackplaneError) => void;
  readonly timer: NodeJS.Timeout;
  /** Sent to a single node, whose response is final. */
  readonly once: boolean;
  /** The number of "not executed" responses. */
  refusals: number;
}

/**
 * Sends requests to the holder of a device. There may briefly be several holders while it moves, and one
 * may have released it already: it has unsubscribed by the time its response arrives, so
 * the request is retried with the same reply address, which identifies duplicates.
 */
export class NodeRequests {
  private readonly pending = new Map<string, Pending>();
  private bytes = 0;
  private count = 0;

  constructor(
    private readonly link: Link,
    private readonly options: ClusterOptions,
  ) {
    link.subscribe(`${link.inbox}.*`, (msg) => this.onReply(msg));
  }

  /**
   * True if a node has executed it, false if none holds the device.
   * @param once whether it is put to one node, and not to all that hold the device.
   * @throws {BackplaneError} when that cannot be known.
   */
  async ask(subject: string, bytes: Uint8Array, once = false): Promise<boolean> {
    const { maxPending, maxPendingBytes, requestTimeoutMs } = this.options;
    if (this.pending.size >= maxPending || this.bytes + bytes.length > maxPendingBytes) {
      throw new BackplaneError(
        'overloaded',
        `Too many pushes to other nodes: ${this.pending.size} wait for an answer. Send fewer at once, or raise ` +
          "'maxPending' and 'maxPendingBytes' of natsBackplane.",
      );
    }
    const address = `${this.link.inbox}.${++this.count}`;
    this.link.publish(subject, bytes, address);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => this.settle(address)?.reject(timeout(requestTimeoutMs)),
        requestTimeoutMs,
      );
      this.pending.set(address, { subject, bytes, resolve, reject, timer, once, refusals: 0 });
      this.bytes += bytes.length;
    });
  }

  /** Rejects all pending requests when the connection is lost. */
  fail(): void {
    for (const address of [...this.pending.keys()])
      this.settle(address)?.reject(unavailable('the connection was lost'));
  }

  private onReply({ subject, data, unheard }: Message): void {
    const done = data.length === 1 && data[0] === EXECUTED[0];
    if (!unheard && !done && !(data.length === 1 && data[0] === NOT_EXECUTED[0]))
      throw new Malformed('not a known answer');
    const asked = this.pending.get(subject);
    if (!asked) return;
    if (unheard || done || asked.once) {
      this.settle(subject)?.resolve(done);
      return;
    }
    if (++asked.refusals === 1) this.resend(subject);
    else setTimeout(() => this.resend(subject), RESEND_AFTER_MS).unref();
  }

  private resend(address: string): void {
    const asked = this.pending.get(address);
    if (!asked) return;
    try {
      this.link.publish(asked.subject, asked.bytes, address);
    } catch (error) {
      this.settle(address)?.reject(error as BackplaneError);
    }
  }

  private settle(address: string): Pending | undefined {
    const asked = this.pending.get(address);
    if (!asked) return undefined;
    clearTimeout(asked.timer);
    this.pending.delete(address);
    this.bytes -= asked.bytes.length;
    return asked;
  }
}

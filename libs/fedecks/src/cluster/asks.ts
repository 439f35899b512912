import { BackplaneError } from '../server/index.js';
import { type ClusterOptions } from './cluster-options.js';
import { type Link, Malformed, type Message, timeout, unavailable } from './link.js';

/**
 * What a node answers: that it has done it, or that it has done nothing, since it does not hold the device any more, or
 * the question may have been on its way for too long.
 */
export const DONE = Uint8Array.of(1);
export const GONE = Uint8Array.of(0);

/** How long a question waits that is put again more than once, in milliseconds: a node that is busy is not to be flooded. */
const PUT_AGAIN_MS = 20;

interface Pending {
  readonly subject: string;
  readonly bytes: Uint8Array;
  readonly resolve: (done: boolean) => void;
  readonly reject: (error: BackplaneError) => void;
  readonly timer: NodeJS.Timeout;
  /** Only one node listens there: what it answers is the answer. */
  readonly once: boolean;
  /** How often it was answered that nothing was done. */
  refusals: number;
}

/**
 * Asks whoever holds a device. There may be several for a moment, when it moves from one node to another, and one
 * of them may have let go of it already: that one has nothing listen any more by the time its answer arrives, so
 * that the question is put again, under the same address, by which those that have had it know it.
 */
export class Asks {
  private readonly pending = new Map<string, Pending>();
  private bytes = 0;
  private count = 0;

  constructor(
    private readonly link: Link,
    private readonly options: ClusterOptions,
  ) {
    link.subscribe(`${link.inbox}.*`, (msg) => this.answered(msg));
  }

  /**
   * True when one node has done it, false when none holds the device.
   * @param once whether it is put to one node, and not to all that hold the device.
   * @throws {BackplaneError} when that cannot be known.
   */
  async ask(subject: string, bytes: Uint8Array, once = false): Promise<boolean> {
    const { maxPending, maxPendingBytes, requestTimeoutMs } = this.options;
    if (this.pending.size >= maxPending || this.bytes + bytes.length > maxPendingBytes) {
      throw new BackplaneError(
        'overloaded',
        `${this.pending.size} messages to other nodes wait for an answer.`,
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

  /** The connection is gone, and the answers with it. */
  fail(): void {
    for (const address of [...this.pending.keys()])
      this.settle(address)?.reject(unavailable('the connection went'));
  }

  private answered({ subject, data, unheard }: Message): void {
    const done = data.length === 1 && data[0] === DONE[0];
    if (!unheard && !done && !(data.length === 1 && data[0] === GONE[0]))
      throw new Malformed('it is no answer');
    const asked = this.pending.get(subject);
    if (!asked) return;
    if (unheard || done || asked.once) {
      this.settle(subject)?.resolve(done);
      return;
    }
    if (++asked.refusals === 1) this.putAgain(subject);
    else setTimeout(() => this.putAgain(subject), PUT_AGAIN_MS).unref();
  }

  private putAgain(address: string): void {
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

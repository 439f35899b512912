import {
  type Answered,
  type AskedRequest,
  ConnectionLostError,
  NotSupportedError,
  RequestFailedError,
  RequestTimeoutError,
} from '../requests/index.js';
import { type BackplaneEndpoint, BackplaneError } from '../server/index.js';
import { FedecksError, type Term } from '../wire/internal.js';
import { EXECUTED, NOT_EXECUTED } from './node-requests.js';
import { LEASE_BEATS } from './leases.js';
import { type Link, Malformed } from './link.js';
import { encodeRequestMessage, type FarErrorCode, readMessage, type ToHolder } from './request-messages.js';
import { type Subjects } from './subjects.js';

interface Served {
  readonly key: string;
  /** The node that asks, and its number of the request. */
  readonly from: string;
  readonly id: number;
  /** The number of the next message of the answer. */
  next: number;
  /** How many heartbeats have passed since that node has renewed it. */
  silentBeats: number;
  asked: AskedRequest | undefined;
}

/** The requests of other nodes to devices of this one, until each is answered: the counterpart of `OutgoingRequests`. */
export class IncomingRequests {
  private readonly open = new Map<string, Served>();

  constructor(
    private readonly link: Link,
    private readonly subjects: Subjects,
    private readonly endpoint: BackplaneEndpoint,
    /** Whether what was read just now may have waited until nobody wants it any more. */
    private readonly isStale: () => boolean,
  ) {}

  /** Takes what a node that asks says. @throws {Malformed} */
  onMessage(message: ToHolder, term: Buffer, reply: string | undefined): void {
    if (message.type === 'cancel') this.drop(this.open.get(keyOf(message.from, message.id)));
    else if (reply === undefined) throw new Malformed('it asks, and names no place for the answer');
    else if (message.type === 'ask') this.answer(reply, this.begin(message, readMessage(term)));
    else {
      this.answer(reply, true);
      for (const id of message.ids) this.onRenewal(message.from, id);
    }
  }

  /** Called with each heartbeat. Nobody waits for what was not renewed during a lease: that node is gone. */
  tick(): void {
    for (const served of [...this.open.values()]) if (++served.silentBeats > LEASE_BEATS) this.drop(served);
  }

  /** The link is lost, and answers with it: the devices are told that nobody waits. */
  fail(): void {
    for (const served of [...this.open.values()]) this.drop(served);
  }

  /** False when this node does not hold the device, or may have read this too late. */
  private begin(
    { from, id, device, remainingMs }: Extract<ToHolder, { readonly type: 'ask' }>,
    message: Term,
  ): boolean {
    if (this.isStale()) return false;
    const key = keyOf(from, id);
    if (this.open.has(key)) throw new Malformed('it asks the same again');
    const served: Served = { key, from, id, next: 0, silentBeats: 0, asked: undefined };
    this.open.set(key, served);
    const answered: Answered = {
      next: (value) => this.send(served, 'next', value),
      complete: (only) => {
        if (only) this.send(served, 'reply', only.value);
        else this.send(served, 'complete');
        this.open.delete(key);
      },
      error: (error) => this.sendError(served, ...describe(error)),
    };
    try {
      served.asked = this.endpoint.ask(device, message, remainingMs, answered);
    } catch (error) {
      this.sendError(served, ...describe(error));
      return true;
    }
    if (!served.asked) this.open.delete(key);
    return served.asked !== undefined;
  }

  private onRenewal(from: string, id: number): void {
    const served = this.open.get(keyOf(from, id));
    if (served) served.silentBeats = 0;
    // Its end was lost on the way, or this node had given it up.
    else this.publish(from, encodeError(id, Number.MAX_SAFE_INTEGER, 'connection_lost', ''));
  }

  private send(served: Served, type: 'next' | 'reply' | 'complete', value?: Term): void {
    if (this.open.get(served.key) !== served) return;
    const { from, id } = served;
    try {
      this.publish(from, encodeRequestMessage({ type, id, n: served.next }, value));
      served.next++;
    } catch (error) {
      if (!(error instanceof BackplaneError)) throw error;
      this.sendError(
        served,
        'failed',
        `the answer could not be brought to the node that asked. ${error.message}`,
      );
      served.asked?.cancel();
    }
  }

  private sendError(served: Served, code: FarErrorCode, text: string): void {
    if (this.open.get(served.key) !== served) return;
    this.open.delete(served.key);
    this.publish(served.from, encodeError(served.id, served.next, code, text));
  }

  private drop(served: Served | undefined): void {
    if (!served) return;
    this.open.delete(served.key);
    served.asked?.cancel();
  }

  private publish(to: string, bytes: Buffer): void {
    // Without a link it reaches nobody: `fail` has ended it, or will.
    if (this.link.isUp) this.link.publish(this.subjects.requests(to), bytes);
  }

  private answer(reply: string, done: boolean): void {
    if (this.link.isUp) this.link.publish(reply, done ? EXECUTED : NOT_EXECUTED);
  }
}

function keyOf(from: string, id: number): string {
  return `${id} ${from}`;
}

function encodeError(id: number, n: number, code: FarErrorCode, text: string): Buffer {
  return encodeRequestMessage({ type: 'error', id, n, code, text: text.slice(0, 1_000) });
}

/** What the node that asks has to know of an error, for it to make the same. */
function describe(error: unknown): [code: FarErrorCode, text: string] {
  if (error instanceof RequestFailedError) return [error.code, error.text];
  if (
    error instanceof NotSupportedError ||
    error instanceof RequestTimeoutError ||
    error instanceof ConnectionLostError
  )
    return [error.code, ''];
  return ['failed', error instanceof FedecksError ? error.message : 'internal error'];
}

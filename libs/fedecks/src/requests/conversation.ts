import {
  type ControlHead,
  type RequestControl,
  controlTypeOf,
  type DecodeOptions,
  decodeControl,
  isOfDeliveries,
  readControlHead,
  type Term,
} from '../wire/internal.js';
import { AskedRequests } from './asked-requests.js';
import { type ReceivedRequest, ReceivedRequests } from './received-requests.js';

/** Whether a frame is a request, by its first bytes. */
export function isRequest(bytes: Buffer): boolean {
  return controlTypeOf(bytes) === 'request';
}

/** The requests of one connection, in both directions. */
export class Conversation {
  readonly asked: AskedRequests;
  private readonly received: ReceivedRequests;

  /** @param send writes a control message to the connection. Throws what encoding throws. */
  constructor(
    send: (control: RequestControl) => void,
    private readonly decoding: DecodeOptions | undefined,
  ) {
    this.asked = new AskedRequests(send);
    this.received = new ReceivedRequests(send);
  }

  /**
   * Takes a frame that is a control message. Answers are handled at once, also when a mailbox is full.
   * @returns what is left to do: `handle` when its turn in the mailbox has come, `close` for a breach of the protocol.
   */
  onControl(bytes: Buffer, now: number): 'handle' | 'close' | undefined {
    const type = controlTypeOf(bytes);
    const head = type && !isOfDeliveries(type) ? readControlHead(bytes, type) : undefined;
    if (!head) return 'close';
    if (head.type === 'request') return this.onRequest(head, now);
    const control = decodeControl(bytes, head, this.decoding);
    if (control) return this.onOther(control);
    const hasValue = head.type === 'reply' || head.type === 'next';
    return hasValue && this.asked.onUnreadable(head.id) ? undefined : 'close';
  }

  /**
   * The request in a frame whose turn has come, and its message; undefined when it must not run.
   */
  begin(
    bytes: Buffer,
    now: number,
  ): { readonly request: ReceivedRequest; readonly message: Term } | undefined {
    const head = readControlHead(bytes, 'request');
    const request = head && this.received.of(head.id);
    if (!head || !request?.begin(now)) return undefined;
    const control = decodeControl(bytes, head, this.decoding);
    if (control?.type === 'request') return { request, message: control.message };
    request.error('invalid', 'it is no safe term, or too large a one');
    return undefined;
  }

  /** Refuses the request in a frame, for whose turn there is no room. */
  refuse(bytes: Buffer): void {
    const head = readControlHead(bytes, 'request');
    if (head) this.received.of(head.id)?.error('busy', 'too many messages wait for a handler');
  }

  /** The connection has ended: each open request ends, in both directions. */
  end(): void {
    this.asked.end();
    this.received.end();
  }

  private onRequest({ id, remainingMs }: ControlHead, now: number): 'handle' | 'close' | undefined {
    const request = this.received.onRequest(id, remainingMs, now);
    if (request === 'breach') return 'close';
    return request === 'busy' ? undefined : 'handle';
  }

  private onOther(control: RequestControl): 'close' | undefined {
    if (control.type === 'cancel') this.received.onCancel(control.id);
    else if (control.type !== 'request' && !this.asked.onAnswer(control)) return 'close';
    return undefined;
  }
}

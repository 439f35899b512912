import {
  type Answered,
  type AskedRequest,
  ConnectionLostError,
  NotSupportedError,
  RequestFailedError,
  RequestTimeoutError,
} from '../requests/index.js';
import { BackplaneError } from '../server/index.js';
import { encodeTerm, type Term } from '../wire/internal.js';
import { REQUEST_KIND } from './node-responder.js';
import { type NodeRequests } from './node-requests.js';
import { type ClusterOptions } from './cluster-options.js';
import { LEASE_BEATS } from './leases.js';
import { type Link, timeout, unavailable } from './link.js';
import { encodeRequestMessage, MAX_IDS, readValue, type ToAsker, type ToHolder } from './request-messages.js';
import { type Subjects } from './subjects.js';

/** How long a node waits before it looks for the holder of a device a third time, in milliseconds. */
const LOOK_AGAIN_MS = 20;

/** A node that holds devices which were asked. */
interface Holder {
  readonly name: string;
  /** Its open requests. */
  readonly ids: Set<number>;
  /** How many heartbeats have passed since it was heard. */
  silentBeats: number;
}

interface Open {
  readonly holder: Holder;
  readonly device: string;
  readonly timeoutMs: number;
  readonly answered: Answered;
  /** The number of the next message of its answer. */
  next: number;
  /** The holder has said that it has sent it to the device. */
  isSent: boolean;
  timer: NodeJS.Timeout | undefined;
}

/**
 * The requests of this node to devices that others hold, until each is answered. Which node holds the device is asked
 * first, on the route of a push; then that node alone gets the request, so that it is sent to the device once, even if
 * several hold the device. With each heartbeat this node renews what it still waits for: the holder drops the rest, and
 * one that does not answer is lost.
 */
export class OutgoingRequests {
  private readonly open = new Map<number, Open>();
  private readonly holders = new Map<string, Holder>();
  private lastId = 0;
  private isClosed = false;

  constructor(
    private readonly node: string,
    private readonly link: Link,
    private readonly subjects: Subjects,
    private readonly requests: NodeRequests,
    private readonly options: ClusterOptions,
  ) {}

  /** As `Backplane.ask`. @throws {BackplaneError} @throws {TermEncodeError} */
  async ask(
    device: string,
    message: Term,
    timeoutMs: number,
    answered: Answered,
  ): Promise<AskedRequest | undefined> {
    const term = encodeTerm(message);
    const startedAt = performance.now();
    const leftOf = (ms: number): number => Math.ceil(startedAt + ms - performance.now());
    const { requestTimeoutMs } = this.options;
    const patienceMs = timeoutMs < 0 ? requestTimeoutMs : Math.min(timeoutMs, requestTimeoutMs);
    for (let looks = 1; ; looks++) {
      if (leftOf(patienceMs) <= 0) throw timeout(patienceMs);
      const locate = Uint8Array.of(REQUEST_KIND.locate);
      const name = await this.requests.query(this.subjects.device(device), locate, false, leftOf(patienceMs));
      if (name === undefined) return undefined;
      if (leftOf(patienceMs) <= 0) throw timeout(patienceMs);
      const request = {
        device,
        term,
        timeoutMs,
        remainingMs: timeoutMs < 0 ? -1 : leftOf(timeoutMs),
        patienceMs: leftOf(patienceMs),
        answered,
      };
      const asked = await this.askHolder(Buffer.from(name).toString(), request);
      if (asked) return asked;
      // The device has left that node meanwhile, and was sent nothing.
      if (looks > 1) await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS));
    }
  }

  /** Takes what a holder says. @throws {Malformed} */
  onAnswer(answer: ToAsker, term: Buffer): void {
    const { id, n } = answer;
    const open = this.open.get(id);
    if (!open) return;
    open.holder.silentBeats = 0;
    open.isSent = true;
    if (n !== open.next++) {
      // A message before it was lost on the way.
      this.tell(open.holder.name, { type: 'cancel', from: this.node, id });
      this.lose(id);
    } else if (answer.type === 'error') this.take(id)?.answered.error(errorOf(answer, open));
    else if (answer.type === 'next') open.answered.next(readValue(term));
    else {
      const only = answer.type === 'reply' ? { value: readValue(term) } : undefined;
      this.take(id)?.answered.complete(only);
    }
  }

  /** Called with each heartbeat. */
  tick(): void {
    for (const holder of [...this.holders.values()]) {
      if (++holder.silentBeats >= LEASE_BEATS) this.loseAll(holder.ids);
      else this.renew(holder);
    }
  }

  /** The link is lost, and with it the answers: what was sent has no other outcome. */
  fail(): void {
    this.loseAll(this.open.keys());
  }

  /** Ends all, and takes no more. */
  close(): void {
    this.isClosed = true;
    for (const [id, { holder }] of this.open) this.tell(holder.name, { type: 'cancel', from: this.node, id });
    this.fail();
  }

  /** Undefined when that node does not hold the device any more. */
  private async askHolder(
    name: string,
    request: {
      readonly device: string;
      readonly term: Buffer;
      readonly timeoutMs: number;
      readonly remainingMs: number;
      readonly patienceMs: number;
      readonly answered: Answered;
    },
  ): Promise<AskedRequest | undefined> {
    const { device, term, timeoutMs, remainingMs, patienceMs, answered } = request;
    if (this.isClosed) throw unavailable('this node is closing');
    if (this.open.size >= this.options.maxPending)
      throw new BackplaneError(
        'overloaded',
        `${this.open.size} requests to devices of other nodes are open.`,
      );
    const id = ++this.lastId;
    const holder = this.holders.get(name) ?? { name, ids: new Set<number>(), silentBeats: 0 };
    this.holders.set(name, holder);
    holder.ids.add(id);
    const open: Open = { holder, device, timeoutMs, answered, next: 0, isSent: false, timer: undefined };
    this.open.set(id, open);
    const cancel = (): void => {
      if (this.take(id)) this.tell(name, { type: 'cancel', from: this.node, id });
    };
    const expiresAt = performance.now() + remainingMs;
    try {
      const head = encodeRequestMessage({ type: 'ask', from: this.node, id, device, remainingMs });
      const subject = this.subjects.requests(name);
      if (!(await this.requests.ask(subject, Buffer.concat([head, term]), true, patienceMs))) {
        this.take(id);
        return undefined;
      }
    } catch (error) {
      if (!this.open.has(id)) return { cancel };
      cancel();
      throw error;
    }
    if (!this.open.has(id)) return { cancel };
    open.isSent = true;
    holder.silentBeats = 0;
    if (timeoutMs >= 0) {
      open.timer = setTimeout(
        () => {
          cancel();
          answered.error(new RequestTimeoutError(timeoutMs));
        },
        Math.max(0, expiresAt - performance.now()),
      );
    }
    return { cancel };
  }

  private renew(holder: Holder): void {
    const sent = [...holder.ids].filter((id) => this.open.get(id)?.isSent);
    for (let at = 0; at < sent.length; at += MAX_IDS) {
      const ids = sent.slice(at, at + MAX_IDS);
      const bytes = encodeRequestMessage({ type: 'renew', from: this.node, ids });
      this.requests.ask(this.subjects.requests(holder.name), bytes, true).then(
        (isThere) => {
          if (isThere) holder.silentBeats = 0;
          else this.loseAll(ids);
        },
        // It is lost when it does not answer for as long as a lease.
        () => undefined,
      );
    }
  }

  private loseAll(ids: Iterable<number>): void {
    // Those that are on their way to the holder end with their question.
    for (const id of [...ids]) if (this.open.get(id)?.isSent) this.lose(id);
  }

  private lose(id: number): void {
    this.take(id)?.answered.error(new ConnectionLostError());
  }

  private take(id: number): Open | undefined {
    const open = this.open.get(id);
    if (!open) return undefined;
    clearTimeout(open.timer);
    this.open.delete(id);
    const { holder } = open;
    holder.ids.delete(id);
    if (holder.ids.size === 0) this.holders.delete(holder.name);
    return open;
  }

  private tell(holder: string, message: ToHolder): void {
    if (this.link.isUp) this.link.publish(this.subjects.requests(holder), encodeRequestMessage(message));
  }
}

function errorOf(
  { code, text }: Extract<ToAsker, { readonly type: 'error' }>,
  { device, timeoutMs }: Open,
): Error {
  if (code === 'connection_lost') return new ConnectionLostError();
  if (code === 'timeout') return new RequestTimeoutError(timeoutMs);
  if (code === 'not_supported') return new NotSupportedError(`Device '${device}'`);
  return new RequestFailedError(code, text);
}

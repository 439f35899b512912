import { type RequestControl, type RequestErrorCode, type Term } from '../wire/internal.js';
import { MAX_OPEN_REQUESTS } from './asked-requests.js';

/** A request of the other side: answered once, with a value, an error, or any number of values and their end. */
export class ReceivedRequest {
  /** `waiting` in the mailbox, `running`, or `ended`. */
  private state: 'waiting' | 'running' | 'ended' = 'waiting';
  private timer: NodeJS.Timeout | undefined;
  /** Called once, when it is answered, cancelled or out of time, or the connection ends. */
  onEnd: (() => void) | undefined;

  /** @param expiresAt monotonic time in ms; Infinity for a stream without a deadline. */
  constructor(
    private readonly id: number,
    private readonly expiresAt: number,
    private readonly send: (control: RequestControl) => void,
    private readonly forget: (id: number) => void,
  ) {}

  /** Whether it was answered, cancelled, or its connection has ended. */
  get hasEnded(): boolean {
    return this.state === 'ended';
  }

  /** Its turn has come. False when it must not run: it was cancelled, or its time has passed, which is answered. */
  begin(now: number): boolean {
    // It may have begun for an earlier request with its id that was cancelled.
    if (this.state !== 'waiting') return false;
    if (now >= this.expiresAt) {
      this.error('expired', 'its time had passed before a handler was free');
      return false;
    }
    this.state = 'running';
    return true;
  }

  /** Ends it when its time is up: called for what does not answer at once. */
  watch(now: number): void {
    if (this.state !== 'running' || this.timer || this.expiresAt === Infinity) return;
    this.timer = setTimeout(() => this.end(), Math.max(0, this.expiresAt - now));
  }

  /** Answers with a value. Throws what encoding throws, and is not answered then. */
  reply(value: Term): void {
    if (this.state === 'ended') return;
    this.send({ type: 'reply', id: this.id, value });
    this.end();
  }

  /** Sends one of several values. Throws what encoding throws. */
  next(value: Term): void {
    if (this.state !== 'ended') this.send({ type: 'next', id: this.id, value });
  }

  /** Says that all values were sent. */
  complete(): void {
    if (this.state === 'ended') return;
    this.send({ type: 'complete', id: this.id });
    this.end();
  }

  /** Answers that there is no result. */
  error(code: RequestErrorCode, text: string): void {
    if (this.state === 'ended') return;
    this.send({ type: 'error', id: this.id, code, text });
    this.end();
  }

  /** It is answered, or nobody waits for the answer any more. */
  end(): void {
    if (this.state === 'ended') return;
    this.state = 'ended';
    clearTimeout(this.timer);
    this.forget(this.id);
    this.onEnd?.();
  }
}

/** The requests that came on one connection, until each has ended. */
export class ReceivedRequests {
  private readonly open = new Map<number, ReceivedRequest>();

  /** @param send writes a control message to the connection. Throws what encoding throws. */
  constructor(private readonly send: (control: RequestControl) => void) {}

  /**
   * Takes a request that has arrived. `busy` when too many are open, which is answered; `breach` when its id is open.
   * @param now monotonic time in ms.
   */
  onRequest(id: number, remainingMs: number, now: number): ReceivedRequest | 'busy' | 'breach' {
    if (this.open.has(id)) return 'breach';
    if (this.open.size >= MAX_OPEN_REQUESTS) {
      const text = `${MAX_OPEN_REQUESTS} requests are open on this connection`;
      this.send({ type: 'error', id, code: 'busy', text });
      return 'busy';
    }
    const expiresAt = remainingMs < 0 ? Infinity : now + remainingMs;
    const request = new ReceivedRequest(id, expiresAt, this.send, (ended) => this.open.delete(ended));
    this.open.set(id, request);
    return request;
  }

  /** The request of an id that is open. */
  of(id: number): ReceivedRequest | undefined {
    return this.open.get(id);
  }

  /** The other side no longer wants the answer. */
  onCancel(id: number): void {
    this.open.get(id)?.end();
  }

  /** The connection has ended. */
  end(): void {
    for (const request of [...this.open.values()]) request.end();
  }
}

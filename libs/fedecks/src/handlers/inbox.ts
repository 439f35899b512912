import { type HandlerRunner } from '../results/index.js';
import { type DeviceContext } from './handler-call.js';
import { type Handler } from './router.js';

/** How long, in ms, a handler may run before that is reported: all that comes after it waits for it. */
export const LONG_RUN_MS = 60_000;

/** How much may wait for handlers. */
export interface InboxLimits {
  readonly messages: number;
  readonly bytes: number;
}

/** What an inbox needs of the connection it belongs to. */
export interface InboxOwner<Message> {
  readonly device: DeviceContext;
  /**
   * Handles a message: calls {@link Inbox.run} with the handler that takes it, if one does. May throw what type guards
   * throw.
   */
  handle(message: Message): void;
  /** Called when work is ready: call {@link Inbox.step} while {@link Inbox.ready}. */
  onReady(): void;
  /** {@link InboxOwner.handle} has thrown. */
  onFailure(error: unknown): void;
  /** A handler has been running for {@link LONG_RUN_MS}. Called once for each time it runs so long. */
  onStall(handler: Handler): void;
}

/** A handler that is not called for a message: `@OnConnected`, `@OnDisconnected`. */
class Call {
  constructor(
    readonly handler: Handler,
    readonly payload: unknown,
    readonly runner: HandlerRunner,
  ) {}
}

/** A barrier: resolves when all earlier messages are handled. */
class Barrier {
  constructor(readonly onReached: () => void) {}
}

/** What waits, and how many bytes it keeps in memory. */
interface Entry<Message> {
  readonly item: Message | Call | Barrier;
  readonly bytes: number;
}

/**
 * Handles the messages of one peer, one after another. Nothing is queued while handlers return no promise: then
 * {@link Inbox.take} is only a call. While one is waited for, messages wait; the owner stops reading when it is
 * {@link Inbox.full}.
 */
export class Inbox<Message> {
  private readonly waiting: Entry<Message>[] = [];
  private waitingBytes = 0;
  /** Of the message that was handled last. */
  private handledBytes = 0;
  /** The handler that is waited for. */
  private running: Handler | undefined;
  /** Whether something is handled right now: what is asked for meanwhile, by a handler even, comes after it. */
  private handling = false;
  /** When {@link Inbox.watch} first saw it run; 0 until then, Infinity once it has been reported. */
  private seenRunningAt = 0;

  constructor(
    private readonly limits: InboxLimits,
    private readonly owner: InboxOwner<Message>,
  ) {}

  /** Whether a handler is waited for. */
  get busy(): boolean {
    return this.running !== undefined;
  }

  /** Whether nothing is in progress, and nothing waits. */
  get idle(): boolean {
    return this.running === undefined && !this.handling && this.waiting.length === 0;
  }

  /** Whether {@link Inbox.step} has something to do. */
  get ready(): boolean {
    return this.running === undefined && !this.handling && this.waiting.length > 0;
  }

  /** Whether the limit is reached. */
  get full(): boolean {
    return this.waiting.length >= this.limits.messages || this.waitingBytes >= this.limits.bytes;
  }

  /** Whether twice the limit is reached. */
  get overfull(): boolean {
    return this.waiting.length >= 2 * this.limits.messages || this.waitingBytes >= 2 * this.limits.bytes;
  }

  /** Whether enough was handled to resume reading. */
  get roomy(): boolean {
    return this.waiting.length <= this.limits.messages / 2 && this.waitingBytes <= this.limits.bytes / 2;
  }

  /** What {@link Inbox.step} would handle, if it is a message. */
  get next(): Message | undefined {
    const item = this.waiting[0]?.item;
    return item instanceof Call || item instanceof Barrier ? undefined : item;
  }

  /** How many wait. */
  get length(): number {
    return this.waiting.length;
  }

  /** Bytes of the messages that wait. */
  get bytes(): number {
    return this.waitingBytes;
  }

  /** Bytes of the message whose handler is waited for. */
  get runningBytes(): number {
    return this.running === undefined ? 0 : this.handledBytes;
  }

  /**
   * Handles a message: at once if nothing is before it.
   * @param bytes that it keeps in memory while it waits.
   */
  take(message: Message, bytes: number): void {
    if (!this.idle) return this.push(message, bytes);
    this.handledBytes = bytes;
    this.handle(message);
    this.serveMeanwhile();
  }

  /** Lets a message wait for {@link Inbox.step}, also if nothing is before it. */
  defer(message: Message, bytes: number): void {
    this.push(message, bytes);
  }

  /** Calls a handler after all that waits. */
  call(handler: Handler, payload: unknown, runner: HandlerRunner): void {
    if (!this.idle) return this.push(new Call(handler, payload, runner), 0);
    this.handledBytes = 0;
    this.run(handler, payload, runner);
    this.serveMeanwhile();
  }

  /** Resolves when all that was taken until now is handled. */
  done(): Promise<void> {
    if (this.idle) return Promise.resolve();
    return new Promise((resolve) => this.push(new Barrier(resolve), 0));
  }

  /** Handles what has waited longest. Only while {@link Inbox.ready}. */
  step(): void {
    const next = this.waiting.shift();
    if (!next) return;
    const { item, bytes } = next;
    this.waitingBytes -= bytes;
    this.handledBytes = bytes;
    if (item instanceof Call) this.run(item.handler, item.payload, item.runner);
    else if (item instanceof Barrier) item.onReached();
    else this.handle(item);
  }

  /**
   * Calls a handler and delivers what it returns. Whatever it throws ends here.
   * @param runner of the connection that the payload came on.
   */
  run(handler: Handler, payload: unknown, runner: HandlerRunner): void {
    let working: Promise<void> | undefined;
    this.handling = true;
    try {
      working = runner.deliver(handler.call(payload, this.owner.device, runner), handler.name);
    } catch (error) {
      runner.onFailure(error, handler.name);
    }
    this.handling = false;
    if (working) this.wait(handler, working);
  }

  /** Reports a long-running handler. Called periodically with monotonic time in ms. */
  watch(now: number): void {
    const { running } = this;
    if (!running) return;
    if (this.seenRunningAt === 0) this.seenRunningAt = now;
    if (now - this.seenRunningAt < LONG_RUN_MS) return;
    this.seenRunningAt = Infinity;
    this.owner.onStall(running);
  }

  private handle(message: Message): void {
    this.handling = true;
    try {
      this.owner.handle(message);
    } catch (error) {
      this.owner.onFailure(error);
    }
    this.handling = false;
  }

  /** What was asked for while something was handled has nothing to wait for any more. */
  private serveMeanwhile(): void {
    if (this.ready) this.owner.onReady();
  }

  private push(item: Message | Call | Barrier, bytes: number): void {
    this.waiting.push({ item, bytes });
    this.waitingBytes += bytes;
  }

  private wait(handler: Handler, working: Promise<void>): void {
    this.running = handler;
    this.seenRunningAt = 0;
    working.then(
      () => this.proceed(),
      (error: unknown) => {
        this.owner.onFailure(error);
        this.proceed();
      },
    );
  }

  private proceed(): void {
    this.running = undefined;
    this.owner.onReady();
  }
}

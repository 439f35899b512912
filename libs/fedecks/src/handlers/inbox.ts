import { type HandlerRunner } from '../results/index.js';
import { type DeviceContext } from './handler-call.js';
import { type Handler } from './router.js';

/** After this time, in ms, a running handler is reported, because later messages wait for it. */
export const LONG_RUN_MS = 60_000;

/** The limits of waiting messages. */
export interface InboxLimits {
  readonly messages: number;
  readonly bytes: number;
}

/** What an inbox needs of the connection it belongs to. */
export interface InboxOwner<Message> {
  readonly device: DeviceContext;
  /**
   * Handles a message: calls {@link Inbox.run} with the matching handler, if any. May throw errors of type guards.
   */
  handle(message: Message): void;
  /** Called when work is ready: call {@link Inbox.step} while {@link Inbox.ready}. */
  onReady(): void;
  /** {@link InboxOwner.handle} has thrown. */
  onFailure(error: unknown): void;
  /** A handler has been running for {@link LONG_RUN_MS}. Called once for each time it runs so long. */
  onStall(handler: Handler): void;
}

/** A call of a handler without a message: `@OnConnected`, `@OnDisconnected`. */
class Call {
  constructor(
    readonly handler: Handler,
    readonly payload: unknown,
    readonly runner: HandlerRunner,
    readonly onFinished: (() => void) | undefined,
  ) {}
}

/** A barrier: resolves when all earlier messages are handled. */
class Barrier {
  constructor(readonly onReached: () => void) {}
}

/** A waiting item, and the bytes that it keeps in memory. */
interface Entry<Message> {
  readonly item: Message | Call | Barrier;
  readonly bytes: number;
}

/**
 * Handles the messages of one peer, one after another. While handlers return no promise, {@link Inbox.take} calls them
 * directly and queues nothing. While a handler runs, messages wait; the owner stops reading when the inbox is
 * {@link Inbox.full}.
 */
export class Inbox<Message> {
  private readonly waiting: Entry<Message>[] = [];
  private waitingBytes = 0;
  /** The bytes of the last handled message. */
  private handledBytes = 0;
  /** The handler whose promise is pending. */
  private running: Handler | undefined;
  /** Whether a synchronous call is in progress: items that arrive during it, even from a handler, wait. */
  private handling = false;
  /** When {@link Inbox.watch} first saw it run; 0 until then, Infinity once it has been reported. */
  private seenRunningAt = 0;

  constructor(
    private readonly limits: InboxLimits,
    private readonly owner: InboxOwner<Message>,
  ) {}

  /** Whether the promise of a handler is pending. */
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

  /** The next item of {@link Inbox.step}, if it is a message. */
  get next(): Message | undefined {
    const item = this.waiting[0]?.item;
    return item instanceof Call || item instanceof Barrier ? undefined : item;
  }

  /** The number of waiting items. */
  get length(): number {
    return this.waiting.length;
  }

  /** The bytes of the waiting messages. */
  get bytes(): number {
    return this.waitingBytes;
  }

  /** The bytes of the message whose handler is running. */
  get runningBytes(): number {
    return this.running === undefined ? 0 : this.handledBytes;
  }

  /**
   * Handles a message, immediately if nothing waits before it.
   * @param bytes the memory that it keeps while it waits.
   */
  take(message: Message, bytes: number): void {
    if (!this.idle) return this.push(message, bytes);
    this.handledBytes = bytes;
    this.handle(message);
    this.serveMeanwhile();
  }

  /** Queues a message for {@link Inbox.step}, even if nothing waits before it. */
  defer(message: Message, bytes: number): void {
    this.push(message, bytes);
  }

  /** Calls a handler after all that waits, as {@link Inbox.run} does. */
  call(handler: Handler, payload: unknown, runner: HandlerRunner, onFinished?: () => void): void {
    if (!this.idle) return this.push(new Call(handler, payload, runner, onFinished), 0);
    this.handledBytes = 0;
    this.run(handler, payload, runner, onFinished);
    this.serveMeanwhile();
  }

  /** Resolves when all items taken so far are handled. */
  done(): Promise<void> {
    if (this.idle) return Promise.resolve();
    return new Promise((resolve) => this.push(new Barrier(resolve), 0));
  }

  /** Handles the oldest item. Call only while {@link Inbox.ready}. */
  step(): void {
    const next = this.waiting.shift();
    if (!next) return;
    const { item, bytes } = next;
    this.waitingBytes -= bytes;
    this.handledBytes = bytes;
    if (item instanceof Call) this.run(item.handler, item.payload, item.runner, item.onFinished);
    else if (item instanceof Barrier) item.onReached();
    else this.handle(item);
  }

  /**
   * Calls a handler and delivers its result. Never throws.
   * @param runner that of the payload's connection.
   * @param onFinished called when the handler has finished, before the next one begins.
   */
  run(handler: Handler, payload: unknown, runner: HandlerRunner, onFinished?: () => void): void {
    let working: Promise<void> | undefined;
    this.handling = true;
    try {
      working = runner.deliver(handler.call(payload, this.owner.device, runner), handler.name);
    } catch (error) {
      runner.onFailure(error, handler.name);
    }
    this.handling = false;
    if (working) this.wait(handler, working, onFinished);
    else onFinished?.();
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

  /** Items that arrived during a synchronous call can be handled now. */
  private serveMeanwhile(): void {
    if (this.ready) this.owner.onReady();
  }

  private push(item: Message | Call | Barrier, bytes: number): void {
    this.waiting.push({ item, bytes });
    this.waitingBytes += bytes;
  }

  private wait(handler: Handler, working: Promise<void>, onFinished: (() => void) | undefined): void {
    this.running = handler;
    this.seenRunningAt = 0;
    working.then(
      () => this.proceed(onFinished),
      (error: unknown) => {
        this.owner.onFailure(error);
        this.proceed(onFinished);
      },
    );
  }

  private proceed(onFinished: (() => void) | undefined): void {
    this.running = undefined;
    onFinished?.();
    this.owner.onReady();
  }
}

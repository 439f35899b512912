import { type Observable } from 'rxjs';
import { GuardedSubscriber } from '../faults/index.js';
import { giveWay } from './give-way.js';

/** A stream that a handler has returned. */
export interface Stream {
  /** Whether it has ended: no value of it goes to the device any more. */
  readonly closed: boolean;
  unsubscribe(): void;
}

/** The owner of a stream. Its methods never throw. */
export interface StreamOwner {
  /** Delivers a value; a promise where it is not delivered yet. */
  onValue(value: unknown): Promise<void> | undefined;
  /** Resolves when the device may be sent more; undefined when it may be at once. */
  drained(): Promise<void> | undefined;
  onFailure(error: unknown): void;
  /** Forgets the stream. */
  onEnd(stream: Stream): void;
}

/** An Observable: it cannot be paused, and delivers whenever it likes. */
export class PushStream extends GuardedSubscriber<unknown> implements Stream {
  constructor(private readonly owner: StreamOwner) {
    super((error) => owner.onFailure(error));
  }

  follow(values: Observable<unknown>): void {
    try {
      // Another library's Observable may not take this for a subscriber, and gives a subscription of its own.
      const subscription = values.subscribe(this);
      if (subscription !== this) this.add(subscription);
    } catch (error) {
      this.error(error);
    }
  }

  next(value: unknown): void {
    // Some Observables emit after unsubscription.
    if (!this.closed) void this.owner.onValue(value);
  }

  error(error: unknown): void {
    if (this.closed) return;
    this.owner.onFailure(error);
    this.unsubscribe();
  }

  complete(): void {
    this.unsubscribe();
  }

  override unsubscribe(): void {
    this.owner.onEnd(this);
    super.unsubscribe();
  }
}

/**
 * An async or plain iterator. Its next value is requested only when the device has read the last one, so it cannot
 * flood a slow device; and it yields to the event loop, so it cannot starve other devices.
 */
export class PullStream implements Stream {
  closed = false;

  constructor(
    private readonly iterator: AsyncIterator<unknown> | Iterator<unknown>,
    private readonly owner: StreamOwner,
  ) {}

  async run(): Promise<void> {
    try {
      while (!this.closed && (await this.step()));
    } catch (error) {
      this.owner.onFailure(error);
    }
    this.closed = true;
    this.owner.onEnd(this);
  }

  /** Ends it early: the iterator may clean up. */
  unsubscribe(): void {
    if (this.closed) return;
    this.closed = true;
    this.owner.onEnd(this);
    const onFailure = (error: unknown): void => this.owner.onFailure(error);
    try {
      Promise.resolve(this.iterator.return?.()).then(undefined, onFailure);
    } catch (error) {
      onFailure(error);
    }
  }

  /** Takes one value to the device. False if there was none. */
  private async step(): Promise<boolean> {
    const turn = giveWay();
    if (turn) {
      await turn;
      if (this.closed) return false;
    }
    // Untyped code may return anything.
    const result = (await this.iterator.next()) as IteratorResult<unknown> | null | undefined;
    if (typeof result !== 'object' || result === null) {
      throw new TypeError('next() of an iterator that a handler has returned must return { value, done }.');
    }
    if (this.closed || result.done) return false;
    const { owner } = this;
    const delivered = owner.onValue(result.value);
    if (delivered) await delivered;
    const drained = owner.drained();
    if (drained) await drained;
    return true;
  }
}

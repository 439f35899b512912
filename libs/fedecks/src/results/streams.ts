import { type Observable } from 'rxjs';
import { GuardedSubscriber } from '../faults/index.js';
import { giveWay } from './give-way.js';

/** A stream that a handler has returned. */
export interface Stream {
  /** Whether it has ended: it sends no more values. */
  readonly closed: boolean;
  unsubscribe(): void;
}

/** The owner of a stream. Its methods never throw. */
export interface StreamOwner {
  /** Delivers a value. Returns a promise if that takes time. */
  onValue(value: unknown): Promise<void> | undefined;
  /** Resolves when the send buffer has room; undefined if it has room now. */
  drained(): Promise<void> | undefined;
  onFailure(error: unknown): void;
  /** Forgets the stream. */
  onEnd(stream: Stream): void;
}

/** An Observable. It cannot be paused. */
export class PushStream extends GuardedSubscriber<unknown> implements Stream {
  constructor(private readonly owner: StreamOwner) {
    super((error) => owner.onFailure(error));
  }

  follow(values: Observable<unknown>): void {
    try {
      // An Observable of another library may return its own subscription.
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
 * An async or plain iterator. It requests the next value after the last one was written, so it cannot flood a slow
 * device. It yields to the event loop, so it cannot starve other devices.
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

  /** Delivers one value. False if there was none. */
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

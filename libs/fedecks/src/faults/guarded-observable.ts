import { Observable, type Observer, Subscriber, type Subscription } from 'rxjs';
import { GuardedSubscriber, type OnFailure } from './guarded-subscriber.js';

/**
 * An Observable for the application to subscribe to. What an observer throws, or rejects with, goes to `onFailure`, and
 * the observer goes on; rxjs would throw it again from a timer, which ends the process.
 *
 * It guards those who subscribe to it and to what is piped from it. A subscriber of another Observable that this one is
 * merged into (`merge(a$, b$)`) is not guarded.
 */
export class GuardedObservable<T> extends Observable<T> {
  constructor(
    values: Observable<T>,
    private readonly onFailure: OnFailure,
  ) {
    super((subscriber) => values.subscribe(subscriber));
  }

  override pipe(...operators: unknown[]): Observable<never> {
    // The overloads of Observable type what the application sees.
    const piped = super.pipe(...(operators as [])) as unknown as Observable<never>;
    return new GuardedObservable(piped, this.onFailure);
  }

  override subscribe(
    observer?: Partial<Observer<T>> | ((value: T) => void) | null,
    error?: ((error: unknown) => void) | null,
    complete?: (() => void) | null,
  ): Subscription {
    // Part of an operator chain, whose end handles the error.
    if (isSubscriber(observer)) return super.subscribe(observer);
    const guarded = new GuardedObserver<T>(
      typeof observer === 'function' || !observer ? partial(observer, error, complete) : observer,
      this.onFailure,
    );
    try {
      return super.subscribe(guarded);
    } catch (failure) {
      guarded.error(failure);
      return guarded;
    }
  }
}

class GuardedObserver<T> extends GuardedSubscriber<T> {
  private stopped = false;

  constructor(
    private readonly observer: Partial<Observer<T>>,
    onFailure: OnFailure,
  ) {
    super(onFailure);
  }

  next(value: T): void {
    if (this.stopped || this.closed) return;
    try {
      const result: unknown = this.observer.next?.(value);
      if (result !== undefined) this.watch(result);
    } catch (error) {
      this.onFailure(error);
    }
  }

  error(failure: unknown): void {
    this.finish(() => (this.observer.error ?? this.onFailure).call(this.observer, failure));
  }

  complete(): void {
    this.finish(() => this.observer.complete?.());
  }

  private finish(call: () => unknown): void {
    if (this.stopped || this.closed) return;
    this.stopped = true;
    try {
      this.watch(call());
    } catch (error) {
      this.onFailure(error);
    }
    this.unsubscribe();
  }
}

function partial<T>(
  next: ((value: T) => void) | null | undefined,
  error: ((error: unknown) => void) | null | undefined,
  complete: (() => void) | null | undefined,
): Partial<Observer<T>> {
  return { ...(next && { next }), ...(error && { error }), ...(complete && { complete }) };
}

/** Also one of another copy of rxjs. */
function isSubscriber<T>(observer: unknown): observer is Subscriber<T> {
  return (
    observer instanceof Subscriber ||
    (typeof observer === 'object' && observer !== null && 'add' in observer && 'remove' in observer)
  );
}

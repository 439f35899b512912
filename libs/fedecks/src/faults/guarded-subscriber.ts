import { type Observer, Subscription, type TeardownLogic, UnsubscriptionError } from 'rxjs';

/** Handles an error of the application. Must not throw. */
export type OnFailure = (error: unknown) => void;

/**
 * A subscriber that catches errors of the application's teardown functions.
 *
 * rxjs takes it as it is: it has all that an Observer and a Subscription have. So the application's teardown functions
 * are in this subscription, and what they throw arrives in `unsubscribe` and `add`, whoever calls those.
 */
export abstract class GuardedSubscriber<T> extends Subscription implements Observer<T> {
  constructor(protected readonly onFailure: OnFailure) {
    super();
  }

  abstract next(value: T): void;
  abstract error(error: unknown): void;
  abstract complete(): void;

  override unsubscribe(): void {
    try {
      super.unsubscribe();
    } catch (error) {
      for (const each of causesOf(error)) this.onFailure(each);
    }
  }

  override add(teardown: TeardownLogic): void {
    try {
      // An async subscribe function returns a promise instead of a teardown function.
      if (isPromise(teardown)) this.watch(teardown);
      else if (typeof teardown === 'function') super.add(this.guarded(teardown));
      else super.add(teardown);
    } catch (error) {
      for (const each of causesOf(error)) this.onFailure(each);
    }
  }

  private guarded(teardown: () => unknown): () => void {
    return () => {
      this.watch(teardown());
    };
  }

  /** Sees to the rejection of what an async function has returned. */
  protected watch(result: unknown): void {
    if (isPromise(result)) Promise.resolve(result).then(undefined, this.onFailure);
  }
}

/** Whether a result has to be waited for. Throws what a getter throws. */
export function isPromise(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
}

function causesOf(error: unknown): readonly unknown[] {
  try {
    return error instanceof UnsubscriptionError ? (error.errors as unknown[]) : [error];
  } catch {
    return [error];
  }
}

import { setImmediate as turn } from 'node:timers/promises';
import { config, finalize, map, NEVER, Subject, take, tap, throwError } from 'rxjs';
import { GuardedObservable } from './guarded-observable.js';

let failures: unknown[];
let source: Subject<number>;
let guarded: GuardedObservable<number>;
/** Errors that rxjs would have thrown from a timer. */
let unhandled: unknown[];

beforeEach(() => {
  failures = [];
  unhandled = [];
  source = new Subject();
  guarded = new GuardedObservable(source, (error) => failures.push(messageOf(error)));
  config.onUnhandledError = (error) => unhandled.push(error);
});
afterEach(async () => {
  await new Promise((resolve) => setTimeout(resolve, 2));
  config.onUnhandledError = null;
  expect(unhandled).toEqual([]);
});

const messageOf = (error: unknown): unknown => (error instanceof Error ? error.message : error);
const broken = (): never => {
  throw new Error('x');
};

const brokenLater: () => unknown = async () => broken();

describe('an observer of a GuardedObservable', () => {
  it.each<[string, () => unknown]>([
    ['a function', () => guarded.subscribe(broken)],
    ['an object', () => guarded.subscribe({ next: broken })],
    ['a function that is async', () => guarded.subscribe(brokenLater)],
    ['a function behind operators', () => guarded.pipe(map((value: number) => value * 2)).subscribe(broken)],
    [
      'another Subject, which is closed',
      () => {
        const closed = new Subject<number>();
        closed.unsubscribe();
        return guarded.subscribe(closed);
      },
    ],
  ])('that is %s and throws is reported each time; the others get every value', async (_what, subscribe) => {
    const received: number[] = [];
    subscribe();
    guarded.subscribe((value) => received.push(value));
    source.next(1);
    source.next(2);
    await turn();
    expect(failures).toHaveLength(2);
    expect(received).toEqual([1, 2]);
  });

  it('without an error function: an error of an operator is reported, and ends the subscription', () => {
    guarded.pipe(tap(broken)).subscribe();
    source.next(1);
    source.next(2);
    expect(failures).toEqual(['x']);
    expect(source.observed).toBe(false);
  });

  it('with an error function gets the error of an operator', () => {
    const errors: unknown[] = [];
    guarded.pipe(tap(broken)).subscribe({ error: (error) => errors.push(messageOf(error)) });
    source.next(1);
    expect([errors, failures]).toEqual([['x'], []]);
  });

  it('is reported when its error, complete or finalize function throws', () => {
    guarded.subscribe({ complete: broken });
    guarded.pipe(finalize(broken)).subscribe();
    source.complete();
    new GuardedObservable(
      throwError(() => 'gone'),
      (error) => failures.push(messageOf(error)),
    ).subscribe({
      error: broken,
    });
    expect(failures).toEqual(['x', 'x', 'x']);
  });

  it('gets completion, and no values after it has unsubscribed', () => {
    const seen: unknown[] = [];
    const subscription = guarded.subscribe((value) => seen.push(value));
    guarded
      .pipe(take(1))
      .subscribe({ next: (value) => seen.push(`take ${String(value)}`), complete: () => seen.push('done') });
    source.next(1);
    subscription.unsubscribe();
    source.next(2);
    expect(seen).toEqual([1, 'take 1', 'done']);
    expect(source.observed).toBe(false);
  });
});

it('GuardedObservable is not subscribed to its source without an observer', () => {
  expect(source.observed).toBe(false);
  const subscription = guarded.subscribe();
  expect(source.observed).toBe(true);
  subscription.unsubscribe();
  expect(source.observed).toBe(false);
  new GuardedObservable(NEVER, () => undefined).subscribe().unsubscribe();
});

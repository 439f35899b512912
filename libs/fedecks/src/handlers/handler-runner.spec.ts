import { setImmediate as turn } from 'node:timers/promises';
import { NEVER, Observable, of, range, Subject } from 'rxjs';
import { type Term, tuple } from '../wire/internal.js';
import { HandlerRunner, type ResultSink } from './handler-runner.js';
import { Intercepted, Stop, stop } from './result.js';

class Sink implements ResultSink {
  readonly sent: Term[] = [];
  readonly stopped: Stop[] = [];
  private readonly failed: unknown[] = [];
  readonly runner = new HandlerRunner(this);
  onSend: (term: Term) => void = () => undefined;
  private blocked: (() => void) | undefined;
  constructor(private readonly slow = false) {}

  send(term: Term): void {
    this.sent.push(term);
    this.onSend(term);
  }
  stop(value: Stop): void {
    this.stopped.push(value);
  }
  drained(): Promise<void> | undefined {
    return this.slow ? new Promise((resolve) => (this.blocked = resolve)) : undefined;
  }
  drain(): void {
    this.blocked?.();
  }
  onFailure(error: unknown): void {
    this.failed.push(error);
  }
  /** The reported error messages. */
  get failures(): unknown[] {
    return this.failed.map((each) => (each instanceof Error ? each.message : each));
  }
}

/** An async iterator without values, with a given `return()`. */
function idle(end: () => unknown): AsyncIterable<unknown> {
  const iterator = { next: () => new Promise(() => undefined), return: end };
  return { [Symbol.asyncIterator]: () => iterator } as unknown as AsyncIterable<unknown>;
}

/** An async iterator with a given `next()`. */
function giving(next: () => unknown): AsyncIterable<unknown> {
  return { [Symbol.asyncIterator]: () => ({ next }) } as unknown as AsyncIterable<unknown>;
}

const broken = (message: string): never => {
  throw new Error(message);
};

let sink: Sink;
beforeEach(() => (sink = new Sink()));

describe('the result of a handler', () => {
  it('is not sent when it is undefined', () => {
    expect(sink.runner.deliver(undefined)).toBeUndefined();
    expect(sink.sent).toEqual([]);
  });

  it.each<[string, Term]>([
    ['null, which is nil', null],
    ['a string', 'hi'],
    ['zero', 0],
    ['false', false],
    ['a list', ['hi', 'there']],
    ['a tuple', tuple('hi', 1)],
    ['bytes', Uint8Array.of(1, 2)],
    ['an object', { led: true }],
    ['an object with the keys of an iterator', { next: 1, done: false }],
  ])('is sent if it is %s', (_what, value) => {
    expect(sink.runner.deliver(value)).toBeUndefined();
    expect(sink.sent).toEqual([value]);
  });

  it('is sent when its promise resolves, with the resolved value', async () => {
    await sink.runner.deliver(Promise.resolve(Promise.resolve(of(1, 2))));
    expect(sink.sent).toEqual([1, 2]);
  });

  it('closes the connection if it is stop()', () => {
    void sink.runner.deliver(stop(4321, 'enough'));
    expect(sink.stopped).toEqual([new Stop(4321, 'enough')]);
  });

  it('is sent value by value if it is a synchronous generator', async () => {
    function* count(): Generator<number> {
      yield 1;
      yield 2;
    }
    expect(sink.runner.deliver(count())).toBeUndefined();
    await turn();
    expect(sink.sent).toEqual([1, 2]);
  });

  it('is sent once if it is a thenable that calls back twice', async () => {
    await sink.runner.deliver({
      then(resolve: (value: unknown) => void) {
        resolve(1);
        resolve(2);
      },
    });
    await turn();
    expect(sink.sent).toEqual([1]);
  });

  it.each<[string, () => unknown]>([
    ['a promise that rejects', () => Promise.reject(new Error('x'))],
    ['a thenable whose then throws', () => ({ then: () => broken('x') })],
    ['a value whose getter then throws', () => Object.defineProperty({}, 'then', { get: () => broken('x') })],
    [
      'a value whose getter Symbol.asyncIterator throws',
      () => Object.defineProperty({}, Symbol.asyncIterator, { get: () => broken('x') }),
    ],
    ['an iterable that gives no iterator', () => ({ [Symbol.asyncIterator]: () => broken('x') })],
    ['an Observable whose subscribe throws', () => ({ lift: () => undefined, subscribe: () => broken('x') })],
    ['an Observable that fails', () => new Observable((subscriber) => subscriber.error(new Error('x')))],
    ['an Observable that throws', () => new Observable(() => broken('x'))],
    ['an Observable whose async subscribe rejects', () => new Observable((async () => broken('x')) as never)],
    ['an iterator whose next() throws', () => giving(() => broken('x'))],
    ['an iterator whose next() rejects', () => giving(() => Promise.reject(new Error('x')))],
    ['a handler that throws', () => broken('x')],
  ])('is reported once if it is %s', async (_what, handler) => {
    await sink.runner.run(handler);
    await turn();
    expect(sink.failures).toEqual(['x']);
    expect(sink.sent).toEqual([]);
  });

  it.each([undefined, null, 1])("is reported if its iterator's next() returns %p", async (result) => {
    void sink.runner.deliver(giving(() => result));
    await turn();
    expect(sink.failures).toEqual([expect.stringContaining('must return { value, done }')]);
  });

  it('is reported if it is a revoked Proxy', () => {
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    expect(sink.runner.deliver(proxy)).toBeUndefined();
    expect(sink.failures).toHaveLength(1);
  });

  it('is complete when the intercepted handler has returned, even if its stream is open', async () => {
    const values = new Observable((subscriber) => subscriber.next('first'));
    await sink.runner.deliver(new Intercepted(values, Promise.resolve()));
    expect(sink.sent).toEqual(['first']);
  });
});

describe('a stream of a handler', () => {
  it("requests the iterator's next value when the device has read the last one", async () => {
    sink = new Sink(true);
    let asked = 0;
    async function* values(): AsyncGenerator<number> {
      while (asked < 10) yield asked++;
    }
    expect(sink.runner.deliver(values())).toBeUndefined();
    await turn();
    expect(sink.sent).toEqual([0]);
    expect(asked).toBe(1);
    sink.drain();
    await turn();
    expect(sink.sent).toEqual([0, 1]);
  });

  it('sends the values of promises that resolve after an Observable has completed', async () => {
    void sink.runner.deliver(of(Promise.resolve(1)));
    await turn();
    expect(sink.sent).toEqual([1]);
  });

  it('runs the finally blocks of a generator when the connection ends', async () => {
    sink = new Sink(true);
    const ended = new Promise((resolve) => {
      async function* values(): AsyncGenerator<number> {
        try {
          yield 1;
          yield 2;
        } finally {
          resolve('ended');
        }
      }
      void sink.runner.deliver(values());
    });
    await turn();
    sink.runner.end();
    await expect(ended).resolves.toBe('ended');
    expect(sink.sent).toEqual([1]);
  });

  it('yields the event loop while endless generators run', async () => {
    let given = 0;
    async function* endless(): AsyncGenerator<number> {
      for (;;) yield given++;
    }
    for (let index = 0; index < 10; index++) void sink.runner.deliver(endless());
    // The next turn never comes if one of them does not yield.
    for (let index = 0; index < 5; index++) await turn();
    expect(given).toBeGreaterThan(10);
    sink.runner.end();
    const last = given;
    await turn();
    await turn();
    expect(given).toBeLessThanOrEqual(last + 10);
  });

  it('runs only a few of many generators per event loop turn', async () => {
    let given = 0;
    async function* endless(): AsyncGenerator<number> {
      for (;;) yield given++;
    }
    for (let index = 0; index < 500; index++) void sink.runner.deliver(endless());
    const most = 300;
    for (let index = 0; index < 5; index++) {
      const before = given;
      await turn();
      expect(given - before).toBeLessThan(most);
      expect(given - before).toBeGreaterThan(0);
    }
    sink.runner.end();
    // End them, so that they do not run before the streams of the next test.
    for (let index = 0; index < 30; index++) await turn();
  });

  it('unsubscribes from a synchronous Observable when a value ends the connection', () => {
    let given = 0;
    sink.onSend = () => {
      if (sink.sent.length === 3) sink.runner.end();
    };
    void sink.runner.deliver(
      new Observable((subscriber) => {
        range(0, 1_000).subscribe((value) => {
          if (!subscriber.closed) given++;
          subscriber.next(value);
        });
      }),
    );
    expect(sink.sent).toEqual([0, 1, 2]);
    expect(given).toBe(3);
    expect(sink.failures).toEqual([]);
  });

  it('sends no value whose promise resolves after the end', async () => {
    void sink.runner.deliver(of(new Promise((resolve) => setImmediate(resolve, 1))));
    sink.runner.end();
    await turn();
    await turn();
    expect(sink.sent).toEqual([]);
  });

  it.each<[string, () => unknown]>([
    ['a teardown function', () => new Observable(() => () => broken('x'))],
    [
      'a teardown function behind operators',
      () => new Observable(() => () => broken('x')).pipe((each) => each),
    ],
    ['a finalize()', () => NEVER.pipe(finalizeBroken)],
    ['an async teardown function', () => new Observable(() => async () => broken('x'))],
    ['return()', () => idle(() => broken('x'))],
    ['return(), later', () => idle(() => Promise.reject(new Error('x')))],
    ['a finally block', () => brokenAtLast()],
  ])('reports the error of %s when the connection ends', async (_what, stream) => {
    sink = new Sink(true);
    void sink.runner.deliver(stream());
    await turn();
    sink.runner.end();
    await turn();
    expect(sink.failures).toEqual(['x']);
  });

  it('reports the error of a teardown function when the Observable completes', () => {
    const source = new Subject<unknown>();
    void sink.runner.deliver(
      new Observable((subscriber) => {
        source.subscribe(subscriber);
        return () => broken('x');
      }),
    );
    // Otherwise rxjs throws it in complete().
    expect(() => source.complete()).not.toThrow();
    expect(sink.failures).toEqual(['x']);
  });

  it.each<[string, unknown]>([
    ['returns no promise', idle(() => ({ done: true }))],
    ['never answers', idle(() => new Promise(() => undefined))],
    ['is none', giving(() => new Promise(() => undefined))],
  ])('ends when return() %s', async (_what, iterable) => {
    void sink.runner.deliver(iterable);
    await turn();
    expect(() => sink.runner.end()).not.toThrow();
    await turn();
    expect(sink.failures).toEqual([]);
  });

  it('ends all other streams when one fails to end', () => {
    let ended = 0;
    void sink.runner.deliver(new Observable(() => () => broken('x')));
    void sink.runner.deliver(new Observable(() => () => ended++));
    sink.runner.end();
    expect(ended).toBe(1);
  });

  it("is not started after the end, and its iterator's return() is called", () => {
    sink.runner.end();
    let returned = 0;
    void sink.runner.deliver(idle(() => returned++));
    void sink.runner.deliver(new Observable(() => broken('x')));
    expect(returned).toBe(1);
    expect(sink.failures).toEqual([]);
  });
});

describe('the signal of a connection', () => {
  it('is aborted when the connection ends', () => {
    const { signal } = sink.runner;
    expect(sink.runner.signal).toBe(signal);
    expect(signal.aborted).toBe(false);
    sink.runner.end();
    expect(signal.aborted).toBe(true);
  });

  it('is aborted from the start after the end', () => {
    sink.runner.end();
    expect(sink.runner.signal.aborted).toBe(true);
  });

  it('ends a waiting async generator, without a report', async () => {
    const { signal } = sink.runner;
    let cleaned = 0;
    async function* waiting(): AsyncGenerator<number> {
      try {
        yield 1;
        await new Promise((_resolve, reject) =>
          signal.addEventListener('abort', () => reject(signal.reason as Error)),
        );
      } finally {
        cleaned++;
      }
    }
    void sink.runner.deliver(waiting());
    await turn();
    sink.runner.end();
    await turn();
    expect(cleaned).toBe(1);
    expect(sink.failures).toEqual([]);
  });

  it('reports what its listeners throw or reject with, and calls all of them', async () => {
    const { signal } = sink.runner;
    let called = 0;
    signal.addEventListener('abort', () => broken('one'));
    const brokenLater: () => unknown = async () => broken('two');
    signal.addEventListener('abort', brokenLater);
    signal.addEventListener('abort', { handleEvent: () => broken('three') });
    signal.onabort = (): never => broken('four');
    signal.addEventListener('abort', () => called++);
    sink.runner.end();
    await turn();
    expect(sink.failures.sort()).toEqual(['four', 'one', 'three', 'two']);
    expect(called).toBe(1);
  });

  it('adds a listener once, and removes it', () => {
    const { signal } = sink.runner;
    let called = 0;
    const listener = (): number => called++;
    const removed = (): never => broken('removed');
    signal.addEventListener('abort', listener);
    signal.addEventListener('abort', listener);
    signal.addEventListener('abort', removed);
    signal.removeEventListener('abort', removed);
    sink.runner.end();
    expect(called).toBe(1);
    expect(sink.failures).toEqual([]);
  });

  it('suppresses AbortError rejections only after the end', async () => {
    const aborted = new DOMException('This operation was aborted', 'AbortError');
    await sink.runner.deliver(Promise.reject(aborted));
    expect(sink.failures).toEqual([aborted]);
    sink.runner.end();
    await sink.runner.deliver(Promise.reject(aborted));
    expect(sink.failures).toHaveLength(1);
  });
});

function finalizeBroken(source: Observable<never>): Observable<never> {
  return new Observable((subscriber) => {
    source.subscribe(subscriber);
    subscriber.add(() => broken('x'));
  });
}

async function* brokenAtLast(): AsyncGenerator<number> {
  try {
    yield 1;
  } finally {
    broken('x');
  }
}

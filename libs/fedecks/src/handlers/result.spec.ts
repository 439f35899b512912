import { setImmediate as turn } from 'node:timers/promises';
import { Observable, of, Subscription } from 'rxjs';
import { type Term, tuple } from '../wire/index.js';
import { deliver, Intercepted, type ResultSink, Stop, stop } from './result.js';

class Sink implements ResultSink {
  readonly sent: Term[] = [];
  readonly stopped: Stop[] = [];
  readonly streams = new Subscription();
  private blocked: (() => void) | undefined;
  constructor(private readonly slow = false) {}

  send(term: Term): void {
    this.sent.push(term);
  }
  stop(value: Stop): void {
    this.stopped.push(value);
  }
  stream(values: Observable<unknown>): void {
    this.streams.add(values.subscribe((value) => void deliver(value, this)));
  }
  drained(): Promise<void> {
    return this.slow ? new Promise((resolve) => (this.blocked = resolve)) : Promise.resolve();
  }
  drain(): void {
    this.blocked?.();
  }
}

describe('deliver', () => {
  it('sends nothing for undefined', () => {
    const sink = new Sink();
    expect(deliver(undefined, sink)).toBeUndefined();
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
  ])('sends %s', (_what, value) => {
    const sink = new Sink();
    expect(deliver(value, sink)).toBeUndefined();
    expect(sink.sent).toEqual([value]);
  });

  it('waits for a promise, and for what it resolves to', async () => {
    const sink = new Sink();
    await deliver(Promise.resolve(Promise.resolve(of(1, 2))), sink);
    expect(sink.sent).toEqual([1, 2]);
  });

  it('rejects with what the promise rejects with', async () => {
    await expect(deliver(Promise.reject(new Error('broken')), new Sink())).rejects.toThrow('broken');
  });

  it('closes the connection for stop()', () => {
    const sink = new Sink();
    void deliver(stop(4321, 'enough'), sink);
    expect(sink.stopped).toEqual([new Stop(4321, 'enough')]);
  });

  it('sends each value of an async iterable when the last has been taken', async () => {
    const sink = new Sink(true);
    let asked = 0;
    async function* values(): AsyncGenerator<number> {
      while (asked < 10) yield asked++;
    }
    expect(deliver(values(), sink)).toBeUndefined();
    await turn();
    expect(sink.sent).toEqual([0]);
    expect(asked).toBe(1);
    sink.drain();
    await turn();
    expect(sink.sent).toEqual([0, 1]);
  });

  it('ends an async iterable with its connection', async () => {
    const sink = new Sink(true);
    const ended = new Promise((resolve) => {
      async function* values(): AsyncGenerator<number> {
        try {
          yield 1;
          yield 2;
        } finally {
          resolve('ended');
        }
      }
      void deliver(values(), sink);
    });
    await turn();
    sink.streams.unsubscribe();
    await expect(ended).resolves.toBe('ended');
    expect(sink.sent).toEqual([1]);
  });

  it('is done with an intercepted handler when its method is, not its stream', async () => {
    const sink = new Sink();
    await deliver(
      new Intercepted(new Observable((subscriber) => subscriber.next('first')), Promise.resolve()),
      sink,
    );
    expect(sink.sent).toEqual(['first']);
  });
});

describe('stop', () => {
  it('is 1000 without a reason by default', () => {
    expect(stop()).toEqual({ code: 1000, reason: '' });
  });

  it.each([0, 999, 1004, 1005, 1006, 1015, 2000, 2999, 5000, 1.5, NaN])(
    'refuses %d, which must not be sent',
    (code) => {
      expect(() => stop(code)).toThrow(RangeError);
    },
  );

  it('refuses a reason that does not fit a close frame', () => {
    expect(() => stop(1000, 'é'.repeat(62))).toThrow(/123 bytes/);
    expect(stop(1000, 'é'.repeat(61)).reason).toHaveLength(61);
  });
});

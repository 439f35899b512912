import { type RequestControl, MAX_REQUEST_ID, type Term } from '../wire/internal.js';
import { type Answered, AskedRequests } from './asked-requests.js';
import { ConnectionLostError, RequestFailedError } from './errors.js';

/** What one request was answered with. */
class Recorder implements Answered {
  readonly seen: unknown[] = [];
  next(value: Term): void {
    this.seen.push(['next', value]);
  }
  complete(only?: { readonly value: Term }): void {
    this.seen.push(only ? ['reply', only.value] : ['complete']);
  }
  error(error: Error): void {
    this.seen.push(error);
  }
}

let sent: RequestControl[];
let asked: AskedRequests;
beforeEach(() => {
  sent = [];
  asked = new AskedRequests((control) => sent.push(control));
});

function ask(): Recorder {
  const recorder = new Recorder();
  asked.ask('hello', -1, recorder);
  return recorder;
}

describe('AskedRequests', () => {
  it('numbers requests from 1', () => {
    ask();
    ask();
    expect(sent).toEqual([
      { type: 'request', id: 1, remainingMs: -1, message: 'hello' },
      { type: 'request', id: 2, remainingMs: -1, message: 'hello' },
    ]);
  });

  it('gives a request exactly one outcome', () => {
    const [one, two, three] = [ask(), ask(), ask()];
    expect(asked.onAnswer({ type: 'reply', id: 1, value: 7 })).toBe(true);
    expect(asked.onAnswer({ type: 'reply', id: 1, value: 8 })).toBe(true);
    expect(asked.onAnswer({ type: 'next', id: 2, value: 1 })).toBe(true);
    expect(asked.onAnswer({ type: 'complete', id: 2 })).toBe(true);
    expect(asked.onAnswer({ type: 'next', id: 2, value: 2 })).toBe(true);
    expect(asked.onAnswer({ type: 'error', id: 3, code: 'busy', text: '' })).toBe(true);
    asked.end();
    expect(one.seen).toEqual([['reply', 7]]);
    expect(two.seen).toEqual([['next', 1], ['complete']]);
    expect(three.seen).toEqual([new RequestFailedError('busy', '')]);
  });

  it('says that an answer to what was never sent is a breach', () => {
    ask();
    expect(asked.onAnswer({ type: 'reply', id: 2, value: 7 })).toBe(false);
    expect(asked.onUnreadable(2)).toBe(false);
  });

  it('calls nothing after a cancel, and sends one', () => {
    const recorder = new Recorder();
    const request = asked.ask('hello', -1, recorder);
    request.cancel();
    request.cancel();
    asked.onAnswer({ type: 'reply', id: 1, value: 7 });
    asked.end();
    expect(recorder.seen).toEqual([]);
    expect(sent.slice(1)).toEqual([{ type: 'cancel', id: 1 }]);
  });

  it('ends all with the connection', () => {
    const [one, two] = [ask(), ask()];
    asked.end();
    for (const { seen } of [one, two]) expect(seen).toEqual([new ConnectionLostError()]);
    expect(asked.size).toBe(0);
  });

  it('ends a request whose sending ends the connection', () => {
    asked = new AskedRequests(() => asked.end());
    expect(ask().seen).toEqual([new ConnectionLostError()]);
    expect(asked.size).toBe(0);
  });

  it('begins again at 1 after the largest id, and passes over ids that are open', () => {
    asked = new AskedRequests((control) => sent.push(control), MAX_REQUEST_ID - 1);
    ask();
    ask();
    asked.onAnswer({ type: 'reply', id: MAX_REQUEST_ID, value: 1 });
    expect(sent.map(({ id }) => id)).toEqual([MAX_REQUEST_ID, 1]);
    // An answer to an id of the round before may be late.
    expect(asked.onAnswer({ type: 'reply', id: 5, value: 1 })).toBe(true);
  });

  it('keeps nothing of a request that cannot be sent', () => {
    asked = new AskedRequests(() => {
      throw new TypeError('it is no term');
    });
    expect(() => asked.ask('hello', -1, new Recorder())).toThrow('it is no term');
    expect(asked.size).toBe(0);
  });
});

import {
  cancel,
  type DeviceQueue,
  EMPTY_QUEUE,
  enqueue,
  expire,
  find,
  isEmpty,
  markSent,
  type NewDelivery,
  type QueueChange,
  settle,
  type WaitingDelivery,
} from './queue.js';

const DAY_MS = 24 * 60 * 60 * 1_000;
/** After 1970, as all times of a queue. */
const NOW = 1_000_000;

/** A queue that is changed step by step. */
class Steps {
  queue: DeviceQueue = EMPTY_QUEUE;
  ended: string[] = [];
  private seq = 100;

  constructor(private now = NOW) {}

  at(now: number): this {
    this.now = now;
    return this;
  }

  put(event: string, more: Partial<NewDelivery> = {}, epoch = 'P'): WaitingDelivery | string {
    const delivery = { event, lane: 'default', message: `bytes of ${event}`, ttlMs: 1_000, ...more };
    const change = enqueue(this.queue, delivery, { epoch, seq: ++this.seq }, this.now);
    if (typeof change === 'string') return change;
    this.take(change);
    return change.added;
  }

  added(event: string, more?: Partial<NewDelivery>, epoch?: string): WaitingDelivery {
    const added = this.put(event, more, epoch);
    if (typeof added === 'string') throw new Error(added);
    return added;
  }

  send(delivery: WaitingDelivery): boolean {
    const sent = markSent(this.queue, delivery, this.now);
    this.queue = sent ?? this.queue;
    return sent !== undefined;
  }

  take({ queue, ended }: QueueChange): void {
    this.queue = queue;
    this.ended.push(...ended.map(({ event, state, message }) => `${event} ${state}, ${message}`));
  }

  get waiting(): string[] {
    return this.queue.waiting.map(({ event }) => event);
  }

  get final(): string[] {
    return this.queue.final.map(({ event, state }) => `${event} ${state}`);
  }
}

let steps: Steps;
beforeEach(() => {
  steps = new Steps();
});

it('numbers the messages of a lane, also after a process with higher numbers', () => {
  const first = enqueue(
    EMPTY_QUEUE,
    { event: 'a', lane: 'l', message: 'm', ttlMs: 1 },
    { epoch: 'P', seq: 9 },
    NOW,
  );
  if (typeof first === 'string') throw new Error(first);
  const second = enqueue(
    first.queue,
    { event: 'b', lane: 'l', message: 'n', ttlMs: 1 },
    { epoch: 'Q', seq: 3 },
    NOW,
  );
  if (typeof second === 'string') throw new Error(second);
  expect([first.added.seq, second.added.seq]).toEqual([9, 10]);
  expect(second.queue.lanes).toEqual([
    {
      lane: 0,
      name: 'l',
      last: 10,
      spans: [
        { epoch: 'P', from: 9 },
        { epoch: 'Q', from: 10 },
      ],
    },
  ]);
});

it('changes the revision each time, also within a millisecond, and never to a lower one', () => {
  const revisions = [];
  for (const now of [NOW, NOW, NOW - 500]) {
    steps.at(now).put('a');
    revisions.push(steps.queue.revision);
  }
  expect(revisions).toEqual([NOW, NOW + 1, NOW + 2]);
});

it('replaces a message with its key in its lane, unless that was sent', () => {
  const sent = steps.added('sent', { key: 'k' });
  steps.send(sent);
  steps.put('old', { key: 'k' });
  steps.put('of another lane', { key: 'k', lane: 'other' });
  steps.put('with another key', { key: 'l' });
  steps.put('new', { key: 'k' });
  expect(steps.waiting).toEqual(['sent', 'of another lane', 'with another key', 'new']);
  expect(steps.ended).toEqual(['old cancelled, bytes of old']);
  expect(steps.queue.final[0]).toMatchObject({ code: 'replaced' });
});

it('has room for 1,000 messages, and for one with a key that replaces another', () => {
  for (let index = 0; index < 999; index++) steps.put(`event ${index}`);
  steps.put('old', { key: 'k' });
  expect(steps.put('one more')).toBe('messages');
  expect(steps.put('new', { key: 'k' })).toMatchObject({ event: 'new' });
});

it('has room again when messages have expired', () => {
  for (let index = 0; index < 1_000; index++) steps.put(`event ${index}`);
  expect(steps.at(NOW + 1_000).put('one more')).toMatchObject({ event: 'one more' });
});

it('tells what has expired and what is replaced when one change ends both', () => {
  steps.put('short', { ttlMs: 10 });
  steps.put('old', { key: 'k' });
  steps.at(NOW + 10).put('new', { key: 'k' });
  expect(steps.ended).toEqual(['short expired, bytes of short', 'old cancelled, bytes of old']);
});

it('has eight lanes, and gives the number of an empty one to another, whose numbers go on', () => {
  const first = steps.added('first', { lane: 'lane 0' });
  for (let lane = 1; lane < 8; lane++) steps.put('event', { lane: `lane ${lane}` });
  expect(steps.put('ninth', { lane: 'lane 8' })).toBe('lanes');
  steps.take(settle(steps.queue, [first], { state: 'done' }, NOW));
  const ninth = enqueue(
    steps.queue,
    { event: 'ninth', lane: 'lane 8', message: 'm', ttlMs: 1_000 },
    { epoch: 'Q', seq: 1 },
    NOW,
  );
  if (typeof ninth === 'string') throw new Error(ninth);
  expect([ninth.added.lane, ninth.added.seq]).toEqual([0, first.seq + 1]);
  expect(ninth.queue.lanes.map(({ name }) => name)).toEqual(
    [1, 2, 3, 4, 5, 6, 7, 8].map((lane) => `lane ${lane}`),
  );
});

it('counts how often a message was sent, and when last', () => {
  const delivery = steps.added('a');
  expect([steps.send(delivery), steps.at(NOW + 5).send(delivery)]).toEqual([true, true]);
  expect(steps.queue.waiting).toMatchObject([{ attempts: 2, sentAt: NOW + 5 }]);
});

it.each<[string, (delivery: WaitingDelivery) => void]>([
  ['was cancelled after it was sent', (delivery) => steps.take(cancel(steps.queue, delivery, NOW))],
  ['has expired', () => steps.at(NOW + 1_000)],
  ['is done', (delivery) => steps.take(settle(steps.queue, [delivery], { state: 'done' }, NOW))],
])('does not send what %s', (_what, change) => {
  const delivery = steps.added('a');
  steps.send(delivery);
  change(delivery);
  expect(steps.send(delivery)).toBe(false);
});

it('gives a message one final state: the first', () => {
  const [one, two] = [steps.added('one'), steps.added('two')];
  steps.take(settle(steps.queue, [one], { state: 'rejected', code: 'invalid', text: 'no' }, NOW + 3));
  steps.take(settle(steps.queue, [one, two], { state: 'done', result: 'g2EB' }, NOW + 4));
  expect(steps.ended).toEqual(['one rejected, bytes of one', 'two done, bytes of two']);
  expect(steps.queue.final).toMatchObject([
    { code: 'invalid', text: 'no', finalAt: NOW + 3 },
    { result: 'g2EB', finalAt: NOW + 4 },
  ]);
  expect(steps.waiting).toEqual([]);
  expect(find(steps.queue, one)).toBeUndefined();
});

it('does not change the queue when nothing waits at the position', () => {
  const { lane, epoch, seq } = steps.added('a');
  for (const position of [
    { lane: 1, epoch, seq },
    { lane, epoch: 'Q', seq },
    { lane, epoch, seq: seq + 1 },
  ]) {
    expect(settle(steps.queue, [position], { state: 'done' }, NOW).queue).toBe(steps.queue);
    expect(cancel(steps.queue, position, NOW).queue).toBe(steps.queue);
    expect(markSent(steps.queue, position, NOW)).toBeUndefined();
  }
});

it('cancels at once what was not sent', () => {
  const delivery = steps.added('a');
  steps.take(cancel(steps.queue, delivery, NOW));
  expect([steps.final, steps.waiting]).toEqual([['a cancelled'], []]);
});

it('leaves open what becomes of a message that was cancelled after it was sent', () => {
  const delivery = steps.added('a');
  steps.send(delivery);
  steps.take(cancel(steps.queue, delivery, NOW));
  expect([steps.final, steps.queue.waiting[0]!.isCancelled]).toEqual([[], true]);
  expect(cancel(steps.queue, delivery, NOW).queue).toBe(steps.queue);
  steps.take(settle(steps.queue, [delivery], { state: 'done' }, NOW));
  expect(steps.queue.final[0]).not.toHaveProperty('isCancelled');
});

it('keeps the spans from the first message that waits on', () => {
  const [one, two] = [steps.added('one', {}, 'P'), steps.added('two', {}, 'Q')];
  steps.put('three', {}, 'R');
  const spans = (): string[] => steps.queue.lanes[0]!.spans.map(({ epoch }) => epoch);
  steps.take(settle(steps.queue, [two], { state: 'done' }, NOW));
  expect(spans()).toEqual(['P', 'Q', 'R']);
  steps.take(settle(steps.queue, [one], { state: 'done' }, NOW));
  expect(spans()).toEqual(['R']);
});

it('keeps no span for what waits in another lane', () => {
  const one = steps.added('one', {}, 'P');
  steps.put('of another lane', { lane: 'other' }, 'P');
  steps.put('two', {}, 'Q');
  steps.take(settle(steps.queue, [one], { state: 'done' }, NOW));
  const { spans } = steps.queue.lanes.find(({ name }) => name === 'default')!;
  expect(spans.map(({ epoch }) => epoch)).toEqual(['Q']);
});

describe('expire', () => {
  it('makes those final whose time has passed', () => {
    steps.put('short', { ttlMs: 10 });
    steps.put('long', { ttlMs: 11 });
    expect(steps.queue.dueAt).toBe(NOW + 10);
    expect(expire(steps.queue, NOW + 9).queue).toBe(steps.queue);
    expect(steps.waiting).toEqual(['short', 'long']);
    steps.take(expire(steps.queue, NOW + 10));
    expect([steps.waiting, steps.final, steps.queue.dueAt]).toEqual([['long'], ['short expired'], NOW + 11]);
  });

  it('forgets final states after 7 days', () => {
    const delivery = steps.added('a');
    steps.take(cancel(steps.queue, delivery, NOW));
    expect(steps.queue.dueAt).toBe(NOW + 7 * DAY_MS);
    expect(isEmpty(expire(steps.queue, NOW + 7 * DAY_MS - 1).queue)).toBe(false);
    expect(isEmpty(expire(steps.queue, NOW + 7 * DAY_MS).queue)).toBe(true);
  });
});

it('keeps 100 final states', () => {
  for (let index = 0; index <= 100; index++) {
    const delivery = steps.added(`event ${index}`);
    steps.take(settle(steps.queue, [delivery], { state: 'done' }, NOW));
  }
  expect([steps.final.length, steps.final[0]]).toEqual([100, 'event 1 done']);
});

it('keeps 256 KiB of results, of the newest', () => {
  const result = 'x'.repeat(16 * 1_024);
  for (let index = 0; index < 18; index++) {
    const delivery = steps.added(`event ${index}`);
    steps.take(settle(steps.queue, [delivery], { state: 'done', result }, NOW));
  }
  expect([steps.final.length, steps.final[0]]).toEqual([16, 'event 2 done']);
});

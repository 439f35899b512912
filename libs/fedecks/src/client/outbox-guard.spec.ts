import { jest } from '@jest/globals';
import { type ClientEvent } from './client-event.js';
import { OutboxGuard } from './outbox-guard.js';

let events: ClientEvent[];
let guard: OutboxGuard;
beforeEach(() => {
  jest.useFakeTimers();
  events = [];
  guard = new OutboxGuard((event) => events.push(event));
});
afterEach(() => jest.useRealTimers());

const stalled = (reason: string): ClientEvent => ({ type: 'outbox_failed', cause: 'stalled', reason });

it('reports work that takes 10 s, and still settles with it', async () => {
  let finish = (_: number): void => undefined;
  const watched = guard.watch('Reading', new Promise<number>((resolve) => (finish = resolve)));
  jest.advanceTimersByTime(9_999);
  expect(events).toEqual([]);
  jest.advanceTimersByTime(1);
  expect(events).toEqual([stalled('Reading has not finished within 10 s. Check the disk.')]);
  finish(7);
  expect(await watched).toBe(7);
});

it('leaves no timer behind work that is quick', async () => {
  await guard.watch('Reading', Promise.resolve());
  await guard.within(3_000, 'Closing', Promise.resolve());
  expect(jest.getTimerCount()).toBe(0);
});

it('waits no longer than it may', async () => {
  const waiting = guard.within(3_000, 'Closing', new Promise(() => undefined));
  jest.advanceTimersByTime(3_000);
  await waiting;
  expect(events).toEqual([stalled('Closing has not finished within 3 s. Check the disk.')]);
});

it('repeats what it has reported only after a minute', () => {
  for (let second = 0; second <= 60; second++) {
    guard.failed('write_failed', 'no space');
    jest.advanceTimersByTime(1_000);
  }
  expect(events).toHaveLength(2);
});

it('reports what throws at once', () => {
  guard.attempt(() => {
    throw new Error('out of order');
  });
  expect(events).toEqual([{ type: 'outbox_failed', cause: 'write_failed', reason: 'Error: out of order' }]);
});

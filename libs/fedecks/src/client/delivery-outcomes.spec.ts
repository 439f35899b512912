import { type ClientEvent } from './client-event.js';
import { DeliveryOutcomes } from './delivery-outcomes.js';

const NO_LOSSES = { full: 0, expired: 0, rejected: 0, replaced: 0, failed: 0, damaged: 0 };

let events: ClientEvent[];
let outcomes: DeliveryOutcomes;

beforeEach(() => {
  events = [];
  outcomes = new DeliveryOutcomes((event) => events.push(event));
  // An earlier process has left 1 to 4.
  outcomes.open([{ lane: 0, held: [{ from: 1, to: 4 }], spans: [{ epoch: 'E', from: 1 }], next: 5 }]);
});

type Settled = Parameters<DeliveryOutcomes['settle']>[0];

function settle(seq: number, outcome: Settled['outcome'], code?: string): void {
  const settled = { do: 'settle', lane: 0, from: seq, to: seq, outcome, ...(code && { code }) } as const;
  outcomes.settle(settled, 'default', (number) => `E/0/${number}`);
}

it.each([
  ['handled', undefined, undefined],
  ['expired', 'expired', 'expired'],
  ['rejected', 'invalid', 'rejected'],
  ['rejected', 'no_handler', 'rejected'],
  ['dropped', 'full', 'full'],
  ['dropped', 'replaced', 'replaced'],
  ['dropped', 'failed', 'failed'],
  ['dropped', 'damaged', 'damaged'],
] as const)('counts a message that is %s (%s) under %s', async (outcome, code, counter) => {
  const done = outcomes.track(0, 5, 'F/0/5', 'default');
  settle(5, outcome, code);
  expect(await done).toBe(outcome);
  expect(outcomes.losses).toEqual(counter === undefined ? NO_LOSSES : { ...NO_LOSSES, [counter]: 1 });
});

it('reports and counts what becomes of messages of an earlier process', () => {
  settle(4, 'expired', 'expired');
  expect(events).toEqual([{ type: 'delivery_expired', id: 'E/0/4', lane: 'default' }]);
  expect(outcomes.losses).toEqual({ ...NO_LOSSES, expired: 1 });
});

it('keeps an outcome until the message is known to be kept', async () => {
  settle(6, 'dropped', 'full');
  expect(events).toEqual([]);
  const other = outcomes.track(0, 5, 'F/0/5', 'default');
  const done = outcomes.track(0, 6, 'F/0/6', 'default');
  expect(await done).toBe('dropped');
  expect(events).toEqual([{ type: 'delivery_dropped', id: 'F/0/6', lane: 'default', cause: 'full' }]);
  expect([outcomes.isOpen(0, 5), outcomes.isOpen(0, 6)]).toEqual([true, false]);
  settle(5, 'handled');
  expect(await other).toBe('handled');
});

it('reports one outcome of a message of which a store reports two', async () => {
  const done = outcomes.track(0, 5, 'F/0/5', 'default');
  settle(5, 'handled');
  settle(5, 'dropped', 'full');
  expect(await done).toBe('handled');
  expect(events).toEqual([{ type: 'delivered', id: 'F/0/5', lane: 'default' }]);
  expect(outcomes.losses).toEqual(NO_LOSSES);
});

import { claimAfter, type DeliveryClaim, isDeliveryClaim, withHandled } from './claim.js';

const CLAIM: DeliveryClaim = { generation: 5, handled: [{ lane: 0, epoch: 'E', seq: 7 }] };
const handled = (seq: number, epoch = 'E', lane = 0): DeliveryClaim['handled'][number] => ({
  lane,
  epoch,
  seq,
});

describe('a claim', () => {
  it('has a greater generation than the last, also when that is lost, and keeps what was handled', () => {
    const later = { ...CLAIM, generation: Date.now() + 60_000 };
    expect(claimAfter(later)).toEqual({ ...later, generation: later.generation + 1 });
    expect(claimAfter(undefined).generation).toBeGreaterThan(claimAfter(CLAIM).generation - 1_000);
    expect(claimAfter(undefined).handled).toEqual([]);
  });

  it.each([
    ['a later number', handled(8), [handled(8)]],
    ['another epoch', handled(1, 'F'), [handled(1, 'F')]],
    ['another lane', handled(1, 'E', 3), [handled(7), handled(1, 'E', 3)]],
    ['what is there', handled(7), [handled(7)]],
    ['an earlier number', handled(6), [handled(7)]],
  ])('takes %s', (_what, position, expected) => {
    expect(withHandled(CLAIM, 5, position)).toEqual({ generation: 5, handled: expected });
  });

  it('takes nothing of an older one', () => {
    expect(withHandled(CLAIM, 4, handled(8))).toBeUndefined();
    expect(withHandled(CLAIM, 4, handled(7))).toBeUndefined();
  });

  it('is made anew when it was lost', () => {
    expect(withHandled(undefined, 4, handled(8))).toEqual({ generation: 4, handled: [handled(8)] });
  });

  it.each([
    undefined,
    null,
    {},
    { generation: '5', handled: [] },
    { generation: 5 },
    { generation: 5, handled: [handled(1, 'E', 8)] },
    { generation: 5, handled: [handled(0)] },
    { generation: 5, handled: [handled(1, '')] },
    { generation: 5, handled: [handled(1), handled(2)] },
  ])('is not %j', (value) => {
    expect(isDeliveryClaim(value)).toBe(false);
    expect(isDeliveryClaim(CLAIM)).toBe(true);
  });
});

import { type DeliveryOutcome, DeliveryTurn } from './delivery-turn.js';

const INFO = {
  lane: 0,
  seq: 1,
  epoch: 'E',
  attempt: 1,
  ageMs: undefined,
  sentAt: undefined,
  key: 'device/E/0/1',
  commit: () => Promise.resolve(),
};

describe('DeliveryTurn', () => {
  let outcomes: DeliveryOutcome[];
  let turn: DeliveryTurn;
  let ends: number;
  beforeEach(() => {
    outcomes = [];
    ends = 0;
    turn = new DeliveryTurn(Buffer.alloc(0), INFO, (outcome) => outcomes.push(outcome));
    turn.onEnd = () => ends++;
  });

  it('has one outcome, the first', () => {
    expect(turn.begin()).toBe(true);
    turn.finish({ result: 'handled' });
    turn.finish({ result: 'failed', text: 'too late' });
    turn.onAborted();
    expect([outcomes, ends]).toEqual([[{ result: 'handled' }], 1]);
  });

  it('has no outcome before a handler has ended that was told to stop', () => {
    turn.begin();
    turn.abort();
    expect([outcomes, ends]).toEqual([[], 1]);
    turn.finish({ result: 'handled' });
    expect(outcomes).toEqual([{ result: 'handled' }]);
  });

  it('does not begin when it was told to stop before', () => {
    turn.abort();
    expect(outcomes).toEqual([{ result: 'failed', text: 'aborted' }]);
    expect(turn.begin()).toBe(false);
  });

  it('does not begin when its connection has ended before', () => {
    turn.abandon();
    expect(outcomes).toEqual([{ result: 'failed', text: 'aborted' }]);
    expect(turn.begin()).toBe(false);
  });

  it('goes on when its connection ends while its handler runs', () => {
    turn.begin();
    turn.abandon();
    expect([outcomes, ends]).toEqual([[], 0]);
  });
});

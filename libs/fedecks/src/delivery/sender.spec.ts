import { nextSender, openSender, type SenderEffect, type SenderEvent, type SenderState } from './sender.js';
import { retryDelayMs } from './sender-lane.js';

const GRANT = { messages: 8, bytes: 16_384 };
const put = (seq: number, lane = 0, epoch = 'E'): SenderEvent => ({ type: 'put', lane, epoch, seq });
const loaded = (seq: number, bytes = 100, lane = 0): SenderEvent => ({ type: 'loaded', lane, seq, bytes });
const connected = (connection = 1): SenderEvent => ({ type: 'connected', connection });
const resume = (seq = 0, epoch = 'E', grant = GRANT): SenderEvent => ({
  type: 'resume',
  connection: 1,
  handled: seq === 0 ? [] : [{ lane: 0, epoch, seq }],
  grant,
});
const ack = (seq: number, lane = 0, connection = 1): SenderEvent => ({
  type: 'ack',
  connection,
  lane,
  seq,
  grant: GRANT,
});
const nack = (seq: number, code: 'failed' | 'invalid' | 'no_handler' = 'failed', lane = 0): SenderEvent => ({
  type: 'nack',
  connection: 1,
  lane,
  seq,
  code,
  text: 'why',
});
const expired = (seq: number): SenderEvent => ({
  type: 'dropped',
  lane: 0,
  seq,
  outcome: 'expired',
  code: 'ttl',
});
const lost: SenderEvent = { type: 'lost', connection: 1 };

/** Gives it the events in order, at the time of `now`, and returns the state and the effects of the last one. */
function play(
  events: readonly SenderEvent[],
  from = openSender([]),
  now = 0,
): { state: SenderState; last: string[] } {
  let state = from;
  let effects: readonly SenderEffect[] = [];
  for (const event of events) ({ state, effects } = nextSender(state, event, now));
  return { state, last: effects.map(describeEffect) };
}

function describeEffect(effect: SenderEffect): string {
  switch (effect.do) {
    case 'deliver':
      return `deliver ${effect.lane}/${effect.seq} ${effect.epoch ?? '='} #${effect.attempt} after ${effect.nacks} nacks`;
    case 'settle':
      return `${effect.outcome} ${effect.lane}/${effect.from}-${effect.to}${effect.code ? ` ${effect.code}` : ''}`;
    case 'load':
      return `load ${effect.lane}/${effect.seq}`;
    case 'wake':
      return `wake ${effect.atMs}`;
    case 'close':
      return `close ${effect.code}`;
    case 'renumber':
      return effect.do;
  }
}

/** One, two and three are under way. */
const THREE = [connected(), resume(), put(1), loaded(1), put(2), loaded(2), put(3), loaded(3)];

const CASES: readonly [title: string, events: readonly SenderEvent[], last: readonly string[]][] = [
  ['delivers nothing without a connection', [put(1)], []],
  ['delivers nothing before the resume', [put(1), connected()], []],
  ['loads the first number after the resume', [put(1), put(2), connected(), resume()], ['load 0/1']],
  [
    'names the epoch in the first delivery of a lane',
    [put(1), put(2), connected(), resume(), loaded(1)],
    ['deliver 0/1 E #1 after 0 nacks', 'load 0/2'],
  ],
  ['does not repeat the epoch', THREE, ['deliver 0/3 = #1 after 0 nacks']],
  ['settles all numbers up to an ack', [...THREE, ack(2)], ['handled 0/1-2']],
  ['ignores an ack of an older connection', [...THREE, ack(2, 0, 0)], []],
  ['closes on an ack of what was never sent', [...THREE, ack(4)], ['close 1002']],
  ['closes on an ack of an unknown lane', [...THREE, ack(1, 5)], ['close 1002']],
  ['closes on an ack before the resume', [put(1), connected(), ack(1)], ['close 1002']],
  ['closes on a second resume', [...THREE, resume()], ['close 1002']],
  ['closes on a nack of another number than the head', [...THREE, nack(2)], ['close 1002']],
  ['ignores what comes after a violation', [...THREE, ack(9), ack(1)], []],
  ['waits after a failure', [...THREE, nack(1)], ['wake 1000']],
  [
    'settles a rejected head and goes on',
    [...THREE, nack(1, 'invalid')],
    ['rejected 0/1-1 invalid', 'load 0/2'],
  ],
  [
    'sends again what was behind a nack, which is no attempt',
    [...THREE, nack(1, 'no_handler'), loaded(2)],
    ['deliver 0/2 E #1 after 1 nacks', 'load 0/3'],
  ],
  ['keeps what is under way when the connection is lost', [...THREE, lost], []],
  [
    'settles at resume what the peer has handled',
    [put(1), put(2), put(3), connected(), resume(2)],
    ['handled 0/1-2', 'load 0/3'],
  ],
  [
    'takes a position of an unknown epoch for another line',
    [put(1), connected(), resume(1, 'F')],
    ['load 0/1'],
  ],
  ['renumbers if more is handled than was put in', [put(1), connected(), resume(2)], ['renumber']],
  [
    'settles a dropped message whose outcome was not known when it renumbers',
    [...THREE, expired(1), lost, connected(2), { ...resume(9), connection: 2 } as SenderEvent],
    ['expired 0/1-1 ttl', 'renumber'],
  ],
  ['settles a dropped message that was never sent', [put(1), expired(1)], ['expired 0/1-1 ttl']],
  ['does not settle a dropped message under way', [...THREE, expired(1)], []],
  ['lets an ack decide on a dropped message', [...THREE, expired(1), ack(1)], ['handled 0/1-1']],
  ['lets a nack end a dropped message', [...THREE, expired(1), nack(1)], ['expired 0/1-1 ttl', 'load 0/2']],
  ['ignores a size that it did not ask for', [put(1), connected(), resume(), loaded(7)], []],
  [
    'keeps a hole out of the order',
    [put(1), put(2), put(3), expired(2), connected(), resume(), loaded(1)],
    ['deliver 0/1 E #1 after 0 nacks', 'load 0/3'],
  ],
];

it.each(CASES)('%s', (_title, events, last) => {
  expect(play(events).last).toEqual(last);
});

it('delivers again what was under way, with a higher attempt', () => {
  const { state } = play([...THREE, lost, connected(2)]);
  const next = play([{ ...resume(1), connection: 2 } as SenderEvent, loaded(2)], state);
  expect(next.last).toEqual(['deliver 0/2 E #2 after 0 nacks', 'load 0/3']);
});

it('counts the attempts of an earlier process, of which it knows nothing', () => {
  const found = openSender([
    { lane: 0, held: [{ from: 4, to: 4 }], spans: [{ epoch: 'D', from: 1 }], next: 5 },
  ]);
  expect(play([connected(), resume(), loaded(4)], found).last).toEqual(['deliver 0/4 D #2 after 0 nacks']);
});

it('settles only its own numbers if a power cut took the rest of an epoch', () => {
  const spans = [
    { epoch: 'D', from: 1 },
    { epoch: 'E', from: 3 },
  ];
  const found = openSender([{ lane: 0, held: [{ from: 1, to: 2 }], spans, next: 3 }]);
  expect(play([put(3), connected(), resume(5, 'D')], found).last).toEqual(['handled 0/1-2', 'load 0/3']);
});

it('drops a message after five failures, and waits longer after each', () => {
  let { state } = play([put(1), connected(), resume(), loaded(1)]);
  let now = 0;
  const last: string[] = [];
  for (let failure = 1; failure <= 5; failure++) {
    const failed = play([nack(1)], state, now);
    last.push(...failed.last);
    now += retryDelayMs(failure);
    ({ state } = play([{ type: 'tick' }, loaded(1)], failed.state, now));
  }
  expect(last).toEqual(['wake 1000', 'wake 5000', 'wake 21000', 'wake 81000', 'dropped 0/1-1 failed']);
});

it('lets a failing lane block no other', () => {
  const { state } = play([...THREE, nack(1)]);
  expect(play([put(1, 1)], state).last).toContain('load 1/1');
  expect(play([put(4)], state).last).toEqual([]);
});

it.each([
  ['messages', { messages: 1, bytes: 16_384 }],
  ['bytes', { messages: 8, bytes: 150 }],
])('keeps within the granted %s', (_what, grant) => {
  expect(play([put(1), put(2), connected(), resume(0, 'E', grant), loaded(1), loaded(2)]).last).toEqual([]);
});

it('delivers a message that is larger than the window, alone', () => {
  const { last } = play([put(1), connected(), resume(), loaded(1, 200_000)]);
  expect(last).toEqual(['deliver 0/1 E #1 after 0 nacks']);
});

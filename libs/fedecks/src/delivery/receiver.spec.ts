import {
  INITIAL_RECEIVER,
  nextReceiver,
  type HandlerResult,
  type ReceiverEffect,
  type ReceiverEvent,
  type ReceiverState,
} from './receiver.js';
import { type HandledPosition } from './terms.js';
import { MAX_WINDOW } from './window.js';

const GRANT = { messages: 8, bytes: 16_384 };
const connected = (connection = 1, handled: readonly HandledPosition[] = []): ReceiverEvent => ({
  type: 'connected',
  connection,
  handled,
  grant: GRANT,
});
const deliver = (
  seq: number,
  more: Partial<Extract<ReceiverEvent, { type: 'deliver' }>> = {},
): ReceiverEvent => ({
  type: 'deliver',
  connection: 1,
  lane: 0,
  seq,
  epoch: 'E',
  attempt: 1,
  nacks: 0,
  bytes: 100,
  ...more,
});
const finished = (seq: number, result: HandlerResult = { result: 'handled' }): ReceiverEvent => ({
  type: 'finished',
  lane: 0,
  epoch: 'E',
  seq,
  ...result,
});
const answer = (type: 'stored' | 'refused', seq: number, connection = 1): ReceiverEvent => ({
  type,
  connection,
  lane: 0,
  epoch: 'E',
  seq,
});
const lost = (connection = 1): ReceiverEvent => ({ type: 'lost', connection });
const FAILED: HandlerResult = { result: 'failed', text: 'why' };

function play(events: readonly ReceiverEvent[], now = 0): { state: ReceiverState; last: string[] } {
  let state = INITIAL_RECEIVER;
  let effects: readonly ReceiverEffect[] = [];
  for (const event of events) ({ state, effects } = nextReceiver(state, event, now));
  return { state, last: effects.map(describeEffect) };
}

function describeEffect(effect: ReceiverEffect): string {
  switch (effect.do) {
    case 'resume':
      return `resume ${effect.handled.map(({ lane, epoch, seq }) => `${lane}: ${epoch}/${seq}`).join()}`;
    case 'handle':
      return `handle ${effect.lane}: ${effect.epoch}/${effect.seq} #${effect.attempt}`;
    case 'store':
      return `store ${effect.lane}: ${effect.epoch}/${effect.seq} for ${effect.connection}`;
    case 'ack':
      return `ack ${effect.lane}/${effect.seq}`;
    case 'nack':
      return `nack ${effect.lane}/${effect.seq} ${effect.code}`;
    case 'stop':
      return effect.do;
    case 'close':
      return `close ${effect.code}`;
  }
}

const TWO = [connected(), deliver(1), deliver(2, { epoch: undefined })];

const CASES: readonly [title: string, events: readonly ReceiverEvent[], last: readonly string[]][] = [
  ['says first what it has handled', [connected(1, [{ lane: 2, epoch: 'E', seq: 7 }])], ['resume 2: E/7']],
  ['handles a delivery', [connected(), deliver(1)], ['handle 0: E/1 #1']],
  ['handles one message of a lane at a time', TWO, []],
  ['handles lanes side by side', [...TWO, deliver(1, { lane: 1 })], ['handle 1: E/1 #1']],
  ['stores before it acknowledges', [...TWO, finished(1)], ['store 0: E/1 for 1']],
  [
    'acknowledges what is stored, then handles the next',
    [...TWO, finished(1), answer('stored', 1)],
    ['ack 0/1', 'handle 0: E/2 #1'],
  ],
  ['allows holes', [connected(), deliver(7)], ['handle 0: E/7 #1']],
  ['says that a handler failed', [...TWO, finished(1, FAILED)], ['nack 0/1 failed']],
  ['ignores what was sent before the nack arrived', [...TWO, finished(1, FAILED), deliver(3)], []],
  [
    'takes what was sent after it',
    [...TWO, finished(1, FAILED), deliver(1, { nacks: 1, attempt: 2 })],
    ['handle 0: E/1 #2'],
  ],
  [
    'acknowledges again what is handled',
    [connected(1, [{ lane: 0, epoch: 'E', seq: 7 }]), deliver(6)],
    ['ack 0/6'],
  ],
  [
    'handles an old number of a new epoch',
    [connected(1, [{ lane: 0, epoch: 'D', seq: 7 }]), deliver(6)],
    ['handle 0: E/6 #1'],
  ],
  ['ignores a delivery of an old connection', [connected(1), connected(2), deliver(1)], []],
  [
    'stores what finishes after the connection is lost',
    [connected(), deliver(1), lost(), finished(1)],
    ['store 0: E/1 for 1'],
  ],
  [
    'does not run a handler twice when the peer comes back',
    [connected(), deliver(1), connected(2), deliver(1, { connection: 2, attempt: 2 })],
    [],
  ],
  [
    'stores for the new connection what a handler of the old one has handled',
    [connected(), deliver(1), connected(2), deliver(1, { connection: 2 }), finished(1)],
    ['store 0: E/1 for 2'],
  ],
  ['does not store it until it is delivered again', [connected(), deliver(1), connected(2), finished(1)], []],
  [
    'stores it once it is',
    [connected(), deliver(1), connected(2), finished(1), deliver(1, { connection: 2 })],
    ['store 0: E/1 for 2'],
  ],
  [
    'forgets it if another message is delivered',
    [connected(), deliver(1), connected(2), finished(1), deliver(2, { connection: 2 })],
    ['handle 0: E/2 #1'],
  ],
  ['stops when another node holds the device', [...TWO, finished(1), answer('refused', 1)], ['stop']],
  ['handles nothing after that', [...TWO, finished(1), answer('refused', 1), deliver(3)], []],
  [
    'tries again if its own new connection was the reason',
    [
      connected(),
      deliver(1),
      finished(1),
      connected(2),
      deliver(1, { connection: 2 }),
      answer('refused', 1, 1),
    ],
    ['store 0: E/1 for 2'],
  ],
  ['closes on a delivery before its resume', [connected(1), deliver(1, { connection: 2 })], ['close 1002']],
  ['closes on an unknown lane', [connected(), deliver(1, { lane: 8 })], ['close 1002']],
  [
    'closes on a first delivery without an epoch',
    [connected(), deliver(1, { epoch: undefined })],
    ['close 1002'],
  ],
  ['closes on deliveries out of order', [connected(), deliver(2), deliver(1)], ['close 1002']],
  ['closes on nacks that it did not send', [connected(), deliver(1, { nacks: 1 })], ['close 1002']],
  [
    'closes on more bytes than it ever grants',
    [connected(), deliver(1, { bytes: MAX_WINDOW.bytes + 1 }), deliver(2)],
    ['close 1002'],
  ],
];

it.each(CASES)('%s', (_title, events, last) => {
  expect(play(events).last).toEqual(last);
});

it('closes on more messages than it ever grants', () => {
  const many = Array.from({ length: MAX_WINDOW.messages + 1 }, (_, index) => deliver(index + 1));
  expect(play([connected(), ...many.slice(0, -1)]).last).toEqual([]);
  expect(play([connected(), ...many]).last).toEqual(['close 1002']);
});

it.each([
  ['grants more', 2_000, { messages: 9, bytes: 16_484 }],
  ['grants less', 2_001, { messages: 7, bytes: 16_284 }],
])('%s after a message that took %i ms', (_what, elapsedMs, grant) => {
  const { state } = play([connected(), deliver(1), finished(1)]);
  expect(nextReceiver(state, answer('stored', 1), elapsedMs).effects).toEqual([
    { do: 'ack', lane: 0, seq: 1, grant },
  ]);
});

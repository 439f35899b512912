import { cancel, type DeviceQueue, enqueue, markSent, settle } from '../delivery/index.js';
import { deviceQueue } from '../../test/support/device-queue.js';
import { isQueueEntry, isQueueRecord, queueOf } from './queue-record.js';

/** As it comes out of the bucket. */
function kept(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value));
}

/** With one field set, at a path. */
function changed(path: readonly (string | number)[], value: unknown): unknown {
  const queue = kept(deviceQueue({ revision: 1, seqs: [1, 2] })) as Record<string, unknown>;
  let target: Record<string | number, unknown> = queue;
  for (const step of path.slice(0, -1)) target = target[step] as typeof target;
  target[path.at(-1)!] = value;
  return queue;
}

it('accepts every queue that the rules of delivery make', () => {
  const at = { epoch: 'E', seq: 1 };
  const message = { event: 'update', lane: 'default', message: 'm', ttlMs: 1_000 };
  const states: unknown[] = [];
  let queue: DeviceQueue = { revision: 0, dueAt: 0, lanes: [], waiting: [], final: [] };
  const keep = (next: DeviceQueue | undefined): void => void states.push(kept((queue = next!)));
  for (const [seq, more] of [{}, { key: 'k' }, { lane: 'other' }, {}].entries()) {
    const change = enqueue(queue, { ...message, ...more }, { epoch: 'E', seq: seq + 1 }, 1_000);
    keep(typeof change === 'string' ? undefined : change.queue);
  }
  keep(markSent(queue, { lane: 0, ...at }, 1_001));
  keep(cancel(queue, { lane: 0, ...at }, 1_002).queue);
  keep(cancel(queue, { lane: 0, epoch: 'E', seq: 2 }, 1_002).queue);
  keep(settle(queue, [{ lane: 0, ...at }], { state: 'done', result: 'g2o=' }, 1_003).queue);
  const rejected = { state: 'rejected', code: 'invalid', text: 'no' } as const;
  keep(settle(queue, [{ lane: 1, epoch: 'E', seq: 3 }], rejected, 1_004).queue);
  expect(states.map(isQueueRecord)).toEqual(Array<boolean>(9).fill(true));
  for (const { waiting, final } of states as DeviceQueue[])
    for (const entry of [...waiting, ...final]) expect(isQueueEntry(entry)).toBe(true);
});

it('keeps the fields of a later version', () => {
  const queue = { ...deviceQueue({ revision: 1, seqs: [1] }), pace: 'slow' };
  expect(isQueueRecord(kept(queue))).toBe(true);
  expect(queueOf(queue)).toBe(queue);
});

it('takes the entry of a removed queue for none', () => {
  const removed = { removed: true } as const;
  expect(isQueueRecord(removed)).toBe(true);
  expect(queueOf(removed)).toBeUndefined();
});

it.each([
  [['revision'], 'x'],
  [['revision'], 1.5],
  [['dueAt'], null],
  [['dueAt'], '7'],
  [['lanes'], {}],
  [['lanes', 0], null],
  [['lanes', 0, 'lane'], 8],
  [['lanes', 0, 'name'], undefined],
  [['lanes', 0, 'last'], null],
  [['lanes', 0, 'spans'], 'E'],
  [['lanes', 0, 'spans', 0, 'epoch'], ''],
  [['lanes', 0, 'spans', 0, 'from'], '1'],
  [['lanes', 1], { lane: 0, name: 'twice', last: 0, spans: [] }],
  [['waiting'], undefined],
  [['waiting', 0], [1]],
  [['waiting', 0, 'lane'], 1],
  [['waiting', 0, 'lane'], -1],
  [['waiting', 0, 'epoch'], 'e'.repeat(33)],
  [['waiting', 0, 'seq'], 0],
  [['waiting', 0, 'seq'], 2],
  [['waiting', 0, 'event'], 7],
  [['waiting', 0, 'key'], null],
  [['waiting', 0, 'message'], null],
  [['waiting', 0, 'queuedAt'], 'now'],
  [['waiting', 0, 'sentAt'], null],
  [['waiting', 0, 'expiresAt'], undefined],
  [['waiting', 0, 'attempts'], -1],
  [['waiting', 0, 'isCancelled'], 'yes'],
  [['final'], null],
  [['final', 0, 'state'], 'lost'],
  [['final', 0, 'result'], 7],
  [['final', 0, 'code'], {}],
  [['final', 0, 'text'], null],
  [['final', 0, 'finalAt'], undefined],
])('refuses a queue whose %j is %j', (path, value) => {
  expect(isQueueRecord(changed(['revision'], 1))).toBe(true);
  expect(isQueueRecord(changed(path, value))).toBe(false);
});

it.each([null, undefined, 7, 'x', [], {}, { removed: 'yes' }, { lane: 0 }])('refuses %j', (value) => {
  expect(isQueueRecord(value)).toBe(false);
  expect(isQueueEntry(value)).toBe(false);
});

import { type QueueEntry } from '../delivery/index.js';
import { deviceQueue } from '../../test/support/device-queue.js';
import { Malformed } from './link.js';
import { encodeQueueNews, readQueueNews } from './queue-messages.js';

const facts = { lane: 0, epoch: 'E', event: 'update', queuedAt: 1_000, attempts: 0 } as const;
const waiting = (seq: number): QueueEntry => ({ ...facts, seq, expiresAt: 2_000 });

it('reads what a node has written', () => {
  const text =
    '{"device":"lamp","entries":[{"lane":0,"epoch":"E","seq":1,"event":"update","queuedAt":1000,"attempts":0,"expiresAt":2000}],"later":1}';
  expect(readQueueNews(Buffer.from(text))).toEqual({ device: 'lamp', entries: [waiting(1)] });
});

it('announces a change in one message', () => {
  const [bytes, ...more] = encodeQueueNews({ device: 'ключ', entries: [waiting(1), waiting(2)] });
  expect(more).toEqual([]);
  expect(JSON.parse(bytes!.toString())).toEqual({ device: 'ключ', entries: [waiting(1), waiting(2)] });
});

it('announces nothing where nothing has changed', () => {
  expect(encodeQueueNews({ device: 'lamp', entries: [] })).toEqual([]);
});

it('splits what is more than 64 KiB, in order, and leaves out nothing', () => {
  const result = 'A'.repeat(21_848);
  const entries = Array.from({ length: 1_000 }, (_, index): QueueEntry => {
    const done = { ...facts, seq: index + 1, state: 'done', result, finalAt: 3_000 } as const;
    return index < 100 ? done : waiting(index + 1);
  });
  const messages = encodeQueueNews({ device: 'lamp', entries });
  expect(messages.length).toBeGreaterThan(30);
  for (const { length } of messages) expect(length).toBeLessThan(66 * 1_024);
  expect(messages.flatMap((bytes) => readQueueNews(bytes).entries)).toEqual(entries);
});

it.each([
  ['no JSON', 'dust'],
  ['null', 'null'],
  ['no device', '{"entries":[]}'],
  ['no entries', '{"device":"lamp"}'],
  ['an entry that is none', '{"device":"lamp","entries":[{"lane":0}]}'],
  ['a whole queue', JSON.stringify(deviceQueue({ revision: 1, seqs: [1] }))],
  ['more than 256 KiB', JSON.stringify({ device: 'x'.repeat(256 * 1_024), entries: [] })],
])('throws Malformed without the contents: %s', (_what, text) => {
  const read = (): unknown => readQueueNews(Buffer.from(text));
  expect(read).toThrow(Malformed);
  expect(read).not.toThrow(/lamp|dust/);
});

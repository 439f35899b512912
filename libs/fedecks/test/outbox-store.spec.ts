import { MemoryOutboxStore } from '../src/client/outbox/memory-outbox-store.js';
import { type OutboxStore } from '../src/client/outbox/outbox-store.js';
import { type OutboxLimits } from '../src/client/outbox/waiting.js';
import { BOOT, contents, fileStore, message, TestClock, Told } from './support/outbox-stores.js';
import { PowerCutDisk } from './support/power-cut-disk.js';

let clock: TestClock;
let told: Told;
let opened: OutboxStore[];

beforeEach(() => {
  clock = new TestClock();
  told = new Told();
  opened = [];
});
afterEach(async () => {
  for (const store of opened) await store.close();
});

describe.each<[string, (limits?: OutboxLimits) => OutboxStore]>([
  ['MemoryOutboxStore', (limits) => new MemoryOutboxStore(limits, clock.now)],
  ['FileOutboxStore', (limits) => fileStore(new PowerCutDisk(), clock, limits)],
])('any outbox store: %s', (_name, make) => {
  async function open(limits?: OutboxLimits): Promise<OutboxStore> {
    const store = make(limits);
    await store.open(told);
    opened.push(store);
    return store;
  }

  it('has no lane and a random epoch at first', async () => {
    const [one, other] = [await open(), await open()];
    expect(one.state()).toEqual({ epoch: expect.stringMatching(/^[\w-]{22}$/) as string, lanes: [] });
    expect(one.positions()).toHaveLength(8);
    expect(one.state().epoch).not.toEqual(other.state().epoch);
  });

  it('refuses to be used before it is open', async () => {
    await expect(make().append(message('a'), 'disk')).rejects.toMatchObject({ code: 'outbox-closed' });
  });

  it.each(['memory', 'disk', 'power'] as const)('numbers each lane from 1: %s', async (durability) => {
    const store = await open();
    const lanes = ['a', 'b', 'a', 'a'];
    const seqs = await Promise.all(lanes.map((lane) => store.append(message('x', { lane }), durability)));
    expect(seqs).toEqual([1, 1, 2, 3]);
    expect(store.state().lanes).toMatchObject([
      { lane: 'a', first: 1, next: 4, count: 3 },
      { lane: 'b', first: 1, next: 2, count: 1 },
    ]);
  });

  it('returns what was put in, also when the caller uses the bytes again', async () => {
    const store = await open();
    const bytes = Uint8Array.from([0, 1, 255]);
    const given = { lane: 'ü', key: 'schlüssel', ttlMs: 5_000, message: bytes };
    const seq = await store.append(given, 'disk');
    bytes.fill(9);
    expect(await store.read('ü', seq)).toEqual({
      ...given,
      message: Uint8Array.from([0, 1, 255]),
      seq: 1,
      putAt: { bootId: BOOT, monotonicMs: 1_000, wallMs: clock.wallMs },
    });
  });

  it('has an empty message, and one without a key', async () => {
    const store = await open();
    await store.append(message(''), 'disk');
    const record = await store.read('default', 1);
    expect([record?.key, record?.message]).toEqual([undefined, new Uint8Array()]);
  });

  it('forgets what is acknowledged, up to a number', async () => {
    const store = await open();
    for (const text of ['a', 'b', 'c', 'd']) await store.append(message(text), 'disk');
    await store.append(message('other', { lane: 'other' }), 'disk');
    store.acknowledge('default', 3);
    store.acknowledge('unknown', 3);
    expect(await contents(store)).toEqual({ 'default 4': 'd', 'other 1': 'other' });
    expect(store.state().lanes[0]).toMatchObject({ first: 4, next: 5, count: 1 });
    store.acknowledge('default', 4);
    expect(store.state().lanes[0]).toMatchObject({ first: 5, next: 5, count: 0, bytes: 0 });
    expect(await store.append(message('e'), 'disk')).toBe(5);
  });

  it('forgets one, and ignores a second removal', async () => {
    const store = await open();
    for (const text of ['a', 'b', 'c']) await store.append(message(text), 'disk');
    store.remove('default', 2);
    store.remove('default', 2);
    store.remove('unknown', 2);
    expect(await contents(store)).toEqual({ 'default 1': 'a', 'default 3': 'c' });
    expect(store.following('default', 1)).toBe(3);
    expect(await store.read('default', 2)).toBeUndefined();
  });

  it('replaces a waiting message by a newer one with its key in the same lane', async () => {
    const store = await open();
    await store.append(message('old', { key: 'k' }), 'disk');
    await store.append(message('other key', { key: 'l' }), 'disk');
    await store.append(message('other lane', { key: 'k', lane: 'b' }), 'disk');
    await store.append(message('new', { key: 'k' }), 'memory');
    expect(await contents(store)).toEqual({
      'b 1': 'other lane',
      'default 2': 'other key',
      'default 3': 'new',
    });
    expect(told.removed).toEqual(['default 1 replaced']);
  });

  it('replaces nothing once the message with the key is gone', async () => {
    const store = await open();
    await store.append(message('old', { key: 'k' }), 'disk');
    store.acknowledge('default', 1);
    await store.append(message('new', { key: 'k' }), 'disk');
    expect([await contents(store), told.removed]).toEqual([{ 'default 2': 'new' }, []]);
  });

  it('drops the oldest of the largest lane when there are too many messages', async () => {
    const store = await open({ maxMessages: 3 });
    await store.append(message('alarm', { lane: 'alarms' }), 'disk');
    for (const text of ['a', 'b', 'c']) await store.append(message(text), 'disk');
    expect(await contents(store)).toEqual({ 'alarms 1': 'alarm', 'default 2': 'b', 'default 3': 'c' });
    expect(told.removed).toEqual(['default 1 dropped']);
  });

  it('drops as many as a large message needs', async () => {
    const store = await open({ maxBytes: 800 });
    for (const text of ['a', 'b', 'c']) await store.append(message(text.repeat(100)), 'disk');
    await store.append(message('d'.repeat(400)), 'disk');
    expect(Object.keys(await contents(store))).toEqual(['default 3', 'default 4']);
  });

  it('rejects what has no room if it is to', async () => {
    const store = await open({ maxMessages: 1, full: 'reject' });
    await store.append(message('a'), 'disk');
    await expect(store.append(message('b'), 'disk')).rejects.toMatchObject({
      code: 'outbox-full',
      message: expect.stringContaining("raise 'maxMessages', 1") as string,
    });
    expect(await contents(store)).toEqual({ 'default 1': 'a' });
    store.acknowledge('default', 1);
    expect(await store.append(message('c'), 'disk')).toBe(2);
  });

  it('rejects a message that is larger than the outbox, and drops nothing for it', async () => {
    const store = await open({ maxBytes: 200 });
    await store.append(message('a'), 'disk');
    await expect(store.append(message('b'.repeat(200)), 'disk')).rejects.toMatchObject({
      code: 'outbox-full',
    });
    expect(await contents(store)).toEqual({ 'default 1': 'a' });
  });

  it.each([
    ['a lane without a name', { lane: '' }, 'A lane must have 1 to 64 bytes, not 0.'],
    ['a lane with a long name', { lane: 'ü'.repeat(33) }, 'A lane must have 1 to 64 bytes, not 66.'],
    ['a long key', { key: 'k'.repeat(257) }, 'A key must have at most 256 bytes, not 257.'],
    ['no time to live', { ttlMs: 0 }, 'ttlMs must be a number above 0, not 0.'],
  ])('rejects %s', async (_what, wrong, reason) => {
    const store = await open();
    await expect(store.append(message('x', wrong), 'disk')).rejects.toThrow(reason);
  });

  it('rejects a ninth lane, and names the eight', async () => {
    const store = await open();
    for (let lane = 1; lane <= 8; lane++) await store.append(message('x', { lane: `${lane}` }), 'disk');
    await expect(store.append(message('x', { lane: '9' }), 'disk')).rejects.toThrow(
      /8 lanes 1, 2, 3, 4, 5, 6, 7, 8/,
    );
  });

  it('finds what has expired, a limited number at a time, and says when the next will', async () => {
    const store = await open();
    for (const ttlMs of [3_000, 1_000, 2_000, 9_000]) await store.append(message('x', { ttlMs }), 'disk');
    expect(store.expired(9)).toEqual({ due: [], nextInMs: 1_000 });
    clock.pass(3_500);
    expect(store.expired(2)).toEqual({
      due: [
        { lane: 'default', seq: 1 },
        { lane: 'default', seq: 2 },
      ],
      nextInMs: 0,
    });
    store.remove('default', 1);
    store.remove('default', 2);
    expect(store.expired(9).due).toEqual([{ lane: 'default', seq: 3 }]);
    store.remove('default', 3);
    expect(store.expired(9)).toEqual({ due: [], nextInMs: 5_500 });
    store.acknowledge('default', 4);
    expect(store.expired(9)).toEqual({ due: [], nextInMs: Infinity });
  });

  it('names all that waits by a new epoch, and keeps the numbers', async () => {
    const store = await open();
    for (const text of ['a', 'b', 'c', 'd']) await store.append(message(text, { key: text }), 'disk');
    await store.append(message('e', { lane: 'other' }), 'memory');
    store.remove('default', 1);
    store.remove('default', 3);
    const before = store.state().epoch;
    const { epoch } = await store.newEpoch();
    expect(epoch).not.toEqual(before);
    expect(await contents(store)).toEqual({ 'default 2': 'b', 'default 4': 'd', 'other 1': 'e' });
    expect(await store.append(message('new d', { key: 'd' }), 'disk')).toBe(5);
    expect(store.positions()[0]).toEqual({
      lane: 0,
      held: [
        { from: 2, to: 2 },
        { from: 5, to: 5 },
      ],
      spans: [{ epoch, from: 2 }],
      next: 6,
    });
  });
});

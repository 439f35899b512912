/** Deliveries to devices byte by byte: our cloud with a raw device (PROTOCOL.md §6.4). */
import {
  DeliveryQueueFullError,
  type DeviceDeliverOptions,
  Fedecks,
  tuple as tupleTerm,
} from '@fedecks/nest';
import { type Cloud, startCloud } from './support/cloud.js';
import { DelegatingStore } from './support/delegating-store.js';
import { eventually } from './support/eventually.js';
import { frame, OPCODE, type RawPeer } from './support/raw-peer.js';
import { expectBinary, expectClose, type Handled, PROTOCOL_2, resume } from './support/raw-deliveries.js';
import { ackOf, expectDelivery, integer, type Received, resultOf } from './support/raw-receiving.js';
import { chars, int, list, str, term, tuple } from './support/term-bytes.js';

let cloud: Cloud;
let fedecks: Fedecks;
let devices = 0;
let id: string;
beforeAll(async () => {
  cloud = await startCloud({});
  fedecks = cloud.get(Fedecks);
});
beforeEach(() => {
  cloud.forget();
  id = `device-${++devices}`;
});
afterAll(() => cloud.close());

const nackOf = ({ lane, seq }: Received, code: string, text: string): Buffer =>
  term(tuple(chars('nack'), int(lane), integer(seq), str(code), str(text)));

const resumeWith = (...received: Received[]): Buffer => {
  const positions = received.map(({ lane, epoch, seq }) => tuple(int(lane), str(epoch), integer(seq)));
  return term(tuple(chars('resume'), list(...positions), int(8), int(16_384)));
};

/** A device without an outbox: the cloud sends its resume first. */
async function open(): Promise<RawPeer> {
  const peer = await cloud.open({ deviceId: id, headers: PROTOCOL_2 });
  // The cloud sends nothing before the device has, or a second later (§2.6).
  peer.write(frame(OPCODE.pong, ''));
  return peer;
}

/** A device that answers the resume of the cloud. */
async function openTaking(answer: Buffer = resume()): Promise<RawPeer> {
  const peer = await open();
  await expectBinary(peer, resume());
  peer.sendBinary(answer);
  return peer;
}

const message = (name: string, payload: number): Buffer => term(tuple(str(name), int(payload)));
const stateOf = async (delivery: { id: string }): Promise<string | undefined> =>
  (await fedecks.deliveries.get(delivery.id))?.state;

/** Resolves when the cloud knows that the connection of the device has ended. */
async function gone(): Promise<void> {
  await eventually(
    () => fedecks.devices().map((device) => device.id),
    (ids) => !ids.includes(id),
  );
}

async function expectNothing(peer: RawPeer): Promise<void> {
  peer.write(frame(OPCODE.ping, 'nothing before this'));
  expect((await peer.expectFrame()).opcode).toBe(OPCODE.pong);
}

it('sends a device for which nothing waits nothing', async () => {
  await expectNothing(await open());
});

it('sends what waits when the device connects, and is done when the device acknowledges it', async () => {
  const delivery = await fedecks.deliver(id, 'update', 7);
  expect(delivery).toMatchObject({ deviceId: id, event: 'update', state: 'queued', attempts: 0 });
  const peer = await openTaking();
  const received = await expectDelivery(peer);
  expect(received.message.equals(message('update', 7))).toBe(true);
  expect(received).toMatchObject({ lane: 0, attempt: 1, nacks: 0 });
  expect(delivery.id).toBe(`${id}/${received.epoch}/${received.lane}/${received.seq}`);
  expect(await stateOf(delivery)).toBe('sent');
  peer.sendBinary(ackOf(received));
  const final = await delivery.final;
  expect(final).toMatchObject({ id: delivery.id, state: 'done', attempts: 1, result: undefined });
  expect(final.finalAt!.getTime()).toBeGreaterThanOrEqual(final.sentAt!.getTime());
});

it('takes the result of the handler from the device', async () => {
  const delivery = await fedecks.deliver(id, 'update', 7);
  const peer = await openTaking();
  const received = await expectDelivery(peer);
  peer.sendBinary(resultOf(received, tuple(str('ok'), int(3))));
  peer.sendBinary(ackOf(received));
  expect((await delivery.final).result).toEqual(tupleTerm('ok', 3));
});

it('sends to a device that is connected, and has sent its resume before', async () => {
  const peer = await open();
  peer.sendBinary(resume());
  await expectBinary(peer, resume());
  const delivery = await fedecks.deliver(id, 'update', 7);
  peer.sendBinary(ackOf(await expectDelivery(peer)));
  expect((await delivery.final).state).toBe('done');
});

it('sends the resume once to a device that is connected and has nothing to deliver', async () => {
  const peer = await open();
  await fedecks.deliver(id, 'one', 1);
  await expectBinary(peer, resume());
  await fedecks.deliver(id, 'two', 2);
  peer.sendBinary(resume());
  const one = await expectDelivery(peer);
  const two = await expectDelivery(peer);
  expect([one, two].map((each) => each.message)).toEqual([message('one', 1), message('two', 2)]);
  expect([one.epoch.length > 0, two.epoch]).toEqual([true, '']);
  expect(two.seq).toBeGreaterThan(one.seq);
});

it('takes what the resume of the device covers as done, and sends the rest', async () => {
  const [one, two] = [await fedecks.deliver(id, 'one', 1), await fedecks.deliver(id, 'two', 2)];
  let peer = await openTaking();
  const first = await expectDelivery(peer);
  await expectDelivery(peer);
  peer.destroy();
  await gone();
  peer = await openTaking(resumeWith(first));
  const again = await expectDelivery(peer);
  expect([again.message, again.attempt]).toEqual([message('two', 2), 2]);
  expect([(await one.final).state, await stateOf(two)]).toEqual(['done', 'sent']);
});

it('does not take the position of another epoch for its own', async () => {
  await fedecks.deliver(id, 'one', 1);
  const handled: Handled[] = [[0, 'another', 2_000_000_000]];
  const peer = await openTaking(resume(handled));
  expect((await expectDelivery(peer)).attempt).toBe(1);
});

it.each([
  ['invalid', 'no celsius'],
  ['no_handler', ''],
])('is rejected when the device refuses it: %s', async (code, text) => {
  const delivery = await fedecks.deliver(id, 'update', 7);
  const next = await fedecks.deliver(id, 'next', 8);
  const peer = await openTaking();
  const received = await expectDelivery(peer);
  await expectDelivery(peer);
  peer.sendBinary(nackOf(received, code, text));
  expect(await delivery.final).toMatchObject({ state: 'rejected', code, text });
  // What was under way behind it comes again.
  const again = await expectDelivery(peer);
  expect([again.message, again.nacks]).toEqual([message('next', 8), 1]);
  peer.sendBinary(ackOf(again));
  expect((await next.final).state).toBe('done');
});

it('comes again after a second when the handler has failed', async () => {
  const delivery = await fedecks.deliver(id, 'update', 7);
  const peer = await openTaking();
  peer.sendBinary(nackOf(await expectDelivery(peer), 'failed', 'internal error'));
  const again = await expectDelivery(peer);
  expect([again.attempt, again.nacks]).toEqual([2, 1]);
  peer.sendBinary(ackOf(again));
  expect(await delivery.final).toMatchObject({ state: 'done', attempts: 2 });
});

it('keeps lanes apart, and their order', async () => {
  const lanes = ['updates', 'alarms', 'updates'];
  for (const [index, lane] of lanes.entries()) await fedecks.deliver(id, 'event', index, { lane });
  const peer = await openTaking(resume([], 1, 1));
  const received = [await expectDelivery(peer), await expectDelivery(peer)];
  expect(received.map((each) => [each.lane, each.message])).toEqual([
    [1, message('event', 1)],
    [0, message('event', 0)],
  ]);
  peer.sendBinary(ackOf(received[1]!));
  expect((await expectDelivery(peer)).message).toEqual(message('event', 2));
});

it('replaces a message that was not sent by a newer one with its key', async () => {
  const old = await fedecks.deliver(id, 'update', 1, { key: 'update' });
  const other = await fedecks.deliver(id, 'update', 2, { key: 'update', lane: 'other' });
  const newer = await fedecks.deliver(id, 'update', 3, { key: 'update' });
  expect(await old.final).toMatchObject({ state: 'cancelled', code: 'replaced', attempts: 0 });
  const peer = await openTaking();
  const received = [await expectDelivery(peer), await expectDelivery(peer)];
  expect(received.map((each) => each.message).sort()).toEqual([message('update', 2), message('update', 3)]);
  expect([await stateOf(other), await stateOf(newer)]).toEqual(['sent', 'sent']);
});

it('cancels what was not sent', async () => {
  const delivery = await fedecks.deliver(id, 'update', 1);
  expect((await fedecks.deliveries.cancel(delivery.id))?.state).toBe('cancelled');
  expect((await delivery.final).state).toBe('cancelled');
  await expectNothing(await open());
});

it('does not send again what was cancelled after it was sent', async () => {
  const delivery = await fedecks.deliver(id, 'update', 1);
  let peer = await openTaking();
  await expectDelivery(peer);
  expect(await fedecks.deliveries.cancel(delivery.id)).toMatchObject({ state: 'sent', isCancelled: true });
  peer.destroy();
  await gone();
  peer = await openTaking();
  expect((await delivery.final).state).toBe('cancelled');
  await expectNothing(peer);
});

it('is done if the device handles it although it was cancelled', async () => {
  const delivery = await fedecks.deliver(id, 'update', 1);
  const peer = await openTaking();
  const received = await expectDelivery(peer);
  await fedecks.deliveries.cancel(delivery.id);
  peer.sendBinary(ackOf(received));
  expect((await delivery.final).state).toBe('done');
});

it('expires before it is sent', async () => {
  const delivery = await fedecks.deliver(id, 'update', 1, { ttlMs: 20 });
  await new Promise((resolve) => setTimeout(resolve, 25));
  await expectNothing(await open());
  expect(await delivery.final).toMatchObject({ state: 'expired', attempts: 0 });
});

it('is rejected when a device of protocol 1 connects', async () => {
  const delivery = await fedecks.deliver(id, 'update', 1);
  const peer = await cloud.open({ deviceId: id });
  expect(await delivery.final).toMatchObject({ state: 'rejected', code: 'not_supported' });
  await expectNothing(peer);
});

it('waits while the device takes no deliveries', async () => {
  const delivery = await fedecks.deliver(id, 'update', 1);
  const peer = await openTaking(resume([], 0, 0));
  await expectNothing(peer);
  expect(await stateOf(delivery)).toBe('queued');
  peer.destroy();
  await gone();
  expect((await expectDelivery(await openTaking())).message.equals(message('update', 1))).toBe(true);
});

it('sends nothing to a device of protocol 1', async () => {
  const peer = await cloud.open({ deviceId: id });
  const delivery = await fedecks.deliver(id, 'update', 1);
  expect((await delivery.final).code).toBe('not_supported');
  await expectNothing(peer);
});

it('lists what became of the messages of a device, and what waits', async () => {
  const done = await fedecks.deliver(id, 'one', 1);
  await fedecks.deliveries.cancel(done.id);
  await fedecks.deliver(id, 'two', 2, { key: 'k' });
  const listed = await fedecks.deliveries.of(id);
  expect(listed.map(({ event, state, key }) => [event, state, key])).toEqual([
    ['one', 'cancelled', undefined],
    ['two', 'queued', 'k'],
  ]);
  expect(await fedecks.deliveries.of('nobody')).toEqual([]);
});

it('tells each change of a state', async () => {
  const states: string[] = [];
  const subscription = fedecks.deliveries.changes$.subscribe(({ deviceId, state }) => {
    if (deviceId === id) states.push(state);
  });
  const delivery = await fedecks.deliver(id, 'update', 1);
  const peer = await openTaking();
  peer.sendBinary(ackOf(await expectDelivery(peer)));
  await delivery.final;
  subscription.unsubscribe();
  expect(states).toEqual(['queued', 'sent', 'done']);
});

it.each(['', 'nonsense', 'a/b/9/1', `nobody/E/0/1`])('knows nothing of the id %j', async (unknown) => {
  expect(await fedecks.deliveries.get(unknown)).toBeUndefined();
  expect(await fedecks.deliveries.cancel(unknown)).toBeUndefined();
});

it('keeps 1,000 messages for a device, and refuses the next', async () => {
  await Promise.all(Array.from({ length: 1_000 }, (_, index) => fedecks.deliver(id, 'event', index)));
  const refused = fedecks.deliver(id, 'event', 1_000);
  await expect(refused).rejects.toThrow(DeliveryQueueFullError);
  const peer = await openTaking();
  for (let index = 0; index < 1_000; index++) {
    const received = await expectDelivery(peer);
    expect(received.message.equals(term(tuple(str('event'), int(index))))).toBe(true);
    peer.sendBinary(ackOf(received));
  }
  const listed = await eventually(
    () => fedecks.deliveries.of(id),
    (all) => all.at(-1)?.state === 'done',
  );
  expect(listed.map(({ state }) => state)).toEqual(new Array(100).fill('done'));
}, 60_000);

it('has messages of 8 lanes for a device, and refuses a ninth', async () => {
  for (let lane = 0; lane < 8; lane++) await fedecks.deliver(id, 'event', lane, { lane: `lane ${lane}` });
  await expect(fedecks.deliver(id, 'event', 8, { lane: 'one more' })).rejects.toMatchObject({
    what: 'lanes',
  });
});

it.each<[string, string, DeviceDeliverOptions, string]>([
  ['the event', '', {}, 'the event must be'],
  ['ttlMs', 'e', { ttlMs: 0 }, "'ttlMs' must be"],
  ['ttlMs', 'e', { ttlMs: 31 * 86_400_000 }, "'ttlMs' must be"],
  ['key', 'e', { key: 'k'.repeat(257) }, "'key' must be"],
  ['lane', 'e', { lane: '' }, "'lane' must be"],
  ['option', 'e', { ttl: 5_000 } as never, "option 'ttl' does not exist (have: ttlMs, key, lane)"],
  ['kind of options', 'e', 5_000 as never, 'the options must be an object'],
])('refuses a wrong %s', async (_what, event, options, words) => {
  await expect(fedecks.deliver(id, event, 1, options)).rejects.toThrow(words);
});

it.each(['', 'x'.repeat(126)])('refuses the device id %j', async (wrong) => {
  await expect(fedecks.deliver(wrong, 'event', 1)).rejects.toThrow('the device id must have 1 to 125 bytes');
});

it('refuses a message of more than 256 KiB', async () => {
  await expect(fedecks.deliver(id, 'event', 'x'.repeat(262_144))).rejects.toMatchObject({
    code: 'message-too-large',
  });
});

it.each<[string, (received: Received) => Buffer]>([
  ['an ack of what was never delivered', (received) => ackOf({ ...received, seq: received.seq + 1 })],
  ['an ack of a lane that was never used', (received) => ackOf({ ...received, lane: 1 })],
  [
    'a nack of what was never delivered',
    (received) => nackOf({ ...received, seq: received.seq + 1 }, 'failed', ''),
  ],
  ['an unknown code', (received) => nackOf(received, 'whatever', '')],
  ['a result of more than 16 KiB', (received) => resultOf(received, str('x'.repeat(16_385)))],
  ['a result that is no safe term', (received) => resultOf(received, Buffer.from([0xff]))],
  ['a second resume', () => resume()],
])('closes on %s', async (_what, bytes) => {
  await fedecks.deliver(id, 'update', 1);
  const peer = await openTaking();
  peer.sendBinary(bytes(await expectDelivery(peer)));
  await expectClose(peer, 1002);
});

it('closes on an ack where nothing was ever to be delivered', async () => {
  const peer = await open();
  peer.sendBinary(ackOf({ lane: 0, seq: 1 } as Received));
  await expectClose(peer, 1002);
});

it('sends what follows a rejected message only when the rejection is kept', async () => {
  class Store extends DelegatingStore {
    keepsRejections = false;

    override writeQueue(...all: Parameters<DelegatingStore['writeQueue']>): boolean | Promise<boolean> {
      const isRejection = all[2]?.final.some(({ state }) => state === 'rejected') ?? false;
      if (isRejection && !this.keepsRejections) throw new Error('the disk is full');
      return super.writeQueue(...all);
    }
  }
  const store = new Store();
  const failing = await startCloud({ deliveryStore: store });
  try {
    for (const event of ['refused', 'next']) await failing.get(Fedecks).deliver(id, event, 1);
    const peer = await failing.open({ deviceId: id, headers: PROTOCOL_2 });
    await expectBinary(peer, resume());
    peer.sendBinary(resume([], 1, 1));
    peer.sendBinary(nackOf(await expectDelivery(peer), 'invalid', 'no'));
    // The store is asked again after 100, 200 and 400 ms.
    await new Promise((resolve) => setTimeout(resolve, 700));
    peer.write(frame(OPCODE.ping, 'nothing before this'));
    expect((await peer.expectFrame()).opcode).toBe(OPCODE.pong);
    store.keepsRejections = true;
    expect((await expectDelivery(peer)).message.equals(message('next', 1))).toBe(true);
  } finally {
    await failing.close();
  }
});

import { jest } from '@jest/globals';
import { DelegatingStore } from '../../../test/support/delegating-store.js';
import { eventually } from '../../../test/support/eventually.js';
import { type DeviceQueue } from '../../delivery/index.js';
import { type DeviceDelivery } from './device-delivery.js';
import { type DeviceResume, type SenderPeer } from './device-sender.js';
import { ToDevices } from './to-devices.js';

/** A connection of a device that takes all that is sent, and answers nothing by itself. */
class Peer implements SenderPeer {
  readonly protocol = 2;
  readonly deviceResume: DeviceResume = { handled: [], window: { messages: 8, bytes: 16_384 } };
  readonly sent: string[] = [];
  readonly ages: number[] = [];
  readonly breaches: string[] = [];
  readonly seqs: number[] = [];
  beginDeliveries(): void {}
  sendDelivery({ seq, ageMs }: Parameters<SenderPeer['sendDelivery']>[0], message: Uint8Array): void {
    this.sent.push(Buffer.from(message).toString());
    this.ages.push(ageMs);
    this.seqs.push(seq);
  }
  breach(reason: string): void {
    this.breaches.push(reason);
  }
}

type Queue = DeviceQueue | undefined;

/** A store in memory of which a test delays reads, or lets them fail. */
class Store extends DelegatingStore {
  onRead: (deviceId: string, read: () => Queue) => Queue | Promise<Queue> = (_deviceId, read) => read();

  override readQueue(...all: Parameters<DelegatingStore['readQueue']>): Queue | Promise<Queue> {
    return this.onRead(all[1], () => this.memory.readQueue(...all));
  }
}

let store: Store;
let peer: Peer | undefined;
let toDevices: ToDevices;
beforeEach(() => {
  store = new Store();
  peer = undefined;
  toDevices = new ToDevices('/fedecks', {
    peerOf: () => peer,
    deviceIds: () => ['a'],
    announce: () => true,
    onState: () => undefined,
    onFailure: () => undefined,
  });
  toDevices.keepIn(store);
});
afterEach(async () => {
  toDevices.beginToClose();
  await toDevices.close();
});

function put(event: string): Promise<DeviceDelivery> {
  const message = Buffer.from(event);
  return toDevices.put('a', { event, lane: 'l', key: undefined, ttlMs: 60_000, message });
}

function positionOf({ id }: DeviceDelivery): { lane: number; epoch: string; seq: number } {
  const [, epoch, lane, seq] = id.split('/');
  return { lane: Number(lane), epoch: epoch!, seq: Number(seq) };
}

function connect(): Peer {
  const next = new Peer();
  peer = next;
  toDevices.onConnected('a', next);
  return next;
}

async function expectSent({ sent }: Peer, ...events: string[]): Promise<void> {
  await eventually(
    () => sent,
    (all) => all.length >= events.length,
  );
  expect(sent).toEqual(events);
}

const pause = (ms = 20): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

it('tells all that wait for the final state of a message', async () => {
  const delivery = await put('one');
  const again = await toDevices.get('a', positionOf(delivery));
  const both = Promise.all([delivery.final, again!.final]);
  await pause();
  await toDevices.cancel('a', positionOf(delivery));
  expect((await both).map(({ state }) => state)).toEqual(['cancelled', 'cancelled']);
});

it('rejects `final` when the store fails, and asks it again the next time', async () => {
  const delivery = await put('one');
  const { onRead } = store;
  store.onRead = () => {
    throw new Error('the disk is full');
  };
  await expect(delivery.final).rejects.toThrow('the disk is full');
  store.onRead = onRead;
  const { final } = delivery;
  await toDevices.cancel('a', positionOf(delivery));
  expect((await final).state).toBe('cancelled');
});

it('rejects `final` when the final state is no longer kept', async () => {
  const delivery = await put('one');
  const queue = await store.readQueue('/fedecks', 'a');
  await store.writeQueue('/fedecks', 'a', undefined, queue!.revision);
  await expect(delivery.final).rejects.toThrow(`Nothing is known of delivery '${delivery.id}' any more.`);
});

it('asks each minute of 1,000 messages that are waited for, and of the others in the next', async () => {
  jest.useFakeTimers();
  try {
    const waiting = new ToDevices('/fedecks', {
      peerOf: () => undefined,
      deviceIds: () => [],
      announce: () => true,
      onState: () => undefined,
      onFailure: () => undefined,
    });
    waiting.keepIn(store);
    for (let device = 0; device < 1_001; device++) {
      const facts = { event: 'e', lane: 'l', key: undefined, ttlMs: 86_400_000, message: Buffer.of(1) };
      void (await waiting.put(`device ${device}`, facts)).final;
    }
    await jest.advanceTimersByTimeAsync(0);
    let reads: string[] = [];
    store.onRead = (deviceId, read) => {
      reads.push(deviceId);
      return read();
    };
    await jest.advanceTimersByTimeAsync(60_000);
    expect([reads.length, reads[0]]).toEqual([1_000, 'device 0']);
    reads = [];
    await jest.advanceTimersByTimeAsync(60_000);
    expect([reads.length, reads[0]]).toEqual([1_000, 'device 1000']);
    await waiting.close();
  } finally {
    jest.useRealTimers();
  }
});

it('completes `changes$` when it closes', async () => {
  let isComplete = false;
  toDevices.changes$.subscribe({ complete: () => (isComplete = true) });
  await toDevices.close();
  expect(isComplete).toBe(true);
});

it('sends to the newest connection of a device, also when an older one ends after that', async () => {
  const older = connect();
  await put('one');
  await expectSent(older, 'one');
  const newer = connect();
  await expectSent(newer, 'one');
  toDevices.onEnded('a', older);
  await put('two');
  await expectSent(newer, 'one', 'two');
  expect(older.sent).toEqual(['one']);
  expect([toDevices.senderOf('a', older), toDevices.senderOf('a', newer) === undefined]).toEqual([
    undefined,
    false,
  ]);
});

it('sends what is put in while it reads what waits', async () => {
  const newest = connect();
  await pause();
  const answers: (() => void)[] = [];
  let reads = 0;
  store.onRead = async (_deviceId, read) => {
    const queue = read();
    // The first read is that of the one who puts it in.
    if (++reads === 2) await new Promise<void>((resolve) => answers.push(resolve));
    return queue;
  };
  await put('one');
  await put('two');
  answers[0]!();
  await expectSent(newest, 'one', 'two');
});

it('does not know the age of a message when the clock was set back', async () => {
  const now = jest.spyOn(Date, 'now').mockReturnValue(2_000_000);
  try {
    await put('one');
    now.mockReturnValue(1_000_000);
    const newest = connect();
    await expectSent(newest, 'one');
    expect(newest.ages).toEqual([-1]);
  } finally {
    now.mockRestore();
  }
});

it('rejects a message of which the store has lost the bytes, and sends what follows', async () => {
  const lost = await put('one');
  const { waiting } = (await store.readQueue('/fedecks', 'a'))!;
  await store.removeMessages('/fedecks', 'a', [waiting[0]!.message]);
  await put('two');
  await expectSent(connect(), 'two');
  expect(await lost.final).toMatchObject({ state: 'rejected', code: 'lost' });
});

it('gives the result to the message that it belongs to', async () => {
  const both = [await put('one'), await put('two')];
  const newest = connect();
  await expectSent(newest, 'one', 'two');
  const sender = toDevices.senderOf('a', newest)!;
  const seq = newest.seqs[1]!;
  sender.onReply({ type: 'result', lane: 0, seq, value: 'of two' });
  sender.onReply({ type: 'ack', lane: 0, seq, window: { messages: 8, bytes: 16_384 } });
  const final = await Promise.all(both.map((delivery) => delivery.final));
  expect(final.map(({ state, result }) => [state, result])).toEqual([
    ['done', undefined],
    ['done', 'of two'],
  ]);
});

import { jest } from '@jest/globals';
import { type DeviceQueue, EMPTY_QUEUE } from '../../delivery/index.js';
import { MemoryDeliveryStore } from './delivery-store.js';
import { type Changed, QueueWriter } from './queue-writer.js';

class FailingStore extends MemoryDeliveryStore {
  isFailing = true;

  override writeQueue(...all: Parameters<MemoryDeliveryStore['writeQueue']>): boolean {
    if (this.isFailing) throw new Error('the answer is lost');
    return super.writeQueue(...all);
  }
}

const touch = (queue: DeviceQueue): Changed<undefined> => ({
  queue: { ...queue, revision: queue.revision + 1 },
  result: undefined,
});

let store: FailingStore;
let writer: QueueWriter;
let told: number;
beforeEach(() => {
  jest.useFakeTimers();
  store = new FailingStore();
  told = 0;
  writer = new QueueWriter('/fedecks', () => told++);
  writer.keepIn(store);
});
afterEach(() => jest.useRealTimers());

async function changeInVain(devices: readonly string[]): Promise<void> {
  const changes = Promise.allSettled(devices.map((device) => writer.change(device, touch)));
  await jest.advanceTimersByTimeAsync(1_000);
  await changes;
}

it('remembers 10 writes of a device that were not answered', async () => {
  for (let times = 0; times < 4; times++) await changeInVain(['a']);
  store.isFailing = false;
  // Another node has written the queue: now it is known what became of them.
  store.writeQueue('/fedecks', 'a', { ...EMPTY_QUEUE, revision: 9 }, undefined);
  await writer.read('a');
  expect([told, writer.unsureDevices]).toEqual([10, []]);
});

it('remembers such writes of 10,000 devices', async () => {
  await changeInVain(Array.from({ length: 10_001 }, (_, device) => `device ${device}`));
  expect([writer.unsureDevices.length, writer.unsureDevices[0]]).toEqual([10_000, 'device 1']);
  // 30,003 writes that fail.
}, 120_000);

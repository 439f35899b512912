/**
 * What every `DeliveryStore` has to do, whatever keeps it: the suite to run against a new one.
 *
 *     describeDeliveryStore('in memory', async () => {
 *       const store = new MemoryDeliveryStore();
 *       return { open: () => store, close: async () => undefined };
 *     });
 */
import { type DeliveryStore } from '@fedecks/nest';
import { deviceQueue, LATER } from './device-queue.js';

export interface OpenStores {
  /** The store of an endpoint, as one more process opens it. */
  open(endpoint: string): DeliveryStore;
  close(): Promise<void>;
}

const ONE = '/fedecks';
const OTHER = '/other';
/** Ids that a key, a file name or a query could misread. */
const ODD_IDS = [
  'lamp',
  'a.b',
  '*',
  '>',
  '../up',
  'a b',
  "';--",
  '%',
  'ключ',
  '\u{1f331}',
  '$KV',
  'x'.repeat(200),
];

export function describeDeliveryStore(name: string, start: () => Promise<OpenStores>): void {
  describe(`The delivery store ${name}`, () => {
    let stores: OpenStores;
    let store: DeliveryStore;
    let devices = 0;
    /** A device of which nothing is kept. */
    const newDevice = (): string => `device ${String(++devices).padStart(3, '0')}`;
    beforeAll(async () => {
      stores = await start();
      store = stores.open(ONE);
    }, 30_000);
    afterAll(() => stores.close());

    it('gives each claim of a device a greater generation, and what was handled', async () => {
      const id = newDevice();
      const first = await store.claim(ONE, id);
      expect(first.handled).toEqual([]);
      expect(await store.setHandled(ONE, id, first.generation, { lane: 0, epoch: 'E', seq: 3 })).toBe(true);
      expect(await store.setHandled(ONE, id, first.generation, { lane: 7, epoch: 'F', seq: 1 })).toBe(true);
      const second = await stores.open(ONE).claim(ONE, id);
      expect(second.generation).toBeGreaterThan(first.generation);
      expect([...second.handled].sort((a, b) => a.lane - b.lane)).toEqual([
        { lane: 0, epoch: 'E', seq: 3 },
        { lane: 7, epoch: 'F', seq: 1 },
      ]);
    });

    it('refuses what an older claim has handled', async () => {
      const id = newDevice();
      const older = await store.claim(ONE, id);
      const newer = await store.claim(ONE, id);
      expect(await store.setHandled(ONE, id, older.generation, { lane: 0, epoch: 'E', seq: 1 })).toBe(false);
      expect(await store.setHandled(ONE, id, newer.generation, { lane: 0, epoch: 'E', seq: 2 })).toBe(true);
      expect((await store.claim(ONE, id)).handled).toEqual([{ lane: 0, epoch: 'E', seq: 2 }]);
    });

    it('keeps the greater number of an epoch, and the newest epoch', async () => {
      const id = newDevice();
      const { generation } = await store.claim(ONE, id);
      for (const [epoch, seq] of [
        ['E', 5],
        ['E', 4],
      ] as const)
        expect(await store.setHandled(ONE, id, generation, { lane: 0, epoch, seq })).toBe(true);
      const again = await store.claim(ONE, id);
      expect(again.handled).toEqual([{ lane: 0, epoch: 'E', seq: 5 }]);
      expect(await store.setHandled(ONE, id, again.generation, { lane: 0, epoch: 'F', seq: 1 })).toBe(true);
      expect((await store.claim(ONE, id)).handled).toEqual([{ lane: 0, epoch: 'F', seq: 1 }]);
    });

    it('has no queue, nothing due and no message before one is written', async () => {
      const id = newDevice();
      expect(await store.readQueue(ONE, id)).toBeUndefined();
      expect(await store.readMessage(ONE, id, 'm')).toBeUndefined();
      await store.removeMessages(ONE, id, ['m']);
      expect(await store.dueQueues(ONE, LATER, 100)).not.toContain(id);
    });

    it('returns a queue as it was written, of whatever device', async () => {
      for (const [index, id] of ODD_IDS.entries()) {
        const queue = deviceQueue({ revision: index + 1, seqs: [1, 2, 9] });
        expect(await store.writeQueue(ONE, id, queue, undefined)).toBe(true);
      }
      for (const [index, id] of ODD_IDS.entries())
        expect(await stores.open(ONE).readQueue(ONE, id)).toEqual(
          deviceQueue({ revision: index + 1, seqs: [1, 2, 9] }),
        );
    });

    it('refuses to write or remove a queue after another one than it keeps', async () => {
      const id = newDevice();
      const kept = deviceQueue({ revision: 10, seqs: [1] });
      expect(await store.writeQueue(ONE, id, kept, 9)).toBe(false);
      expect(await store.readQueue(ONE, id)).toBeUndefined();
      expect(await store.writeQueue(ONE, id, kept, undefined)).toBe(true);
      for (const after of [undefined, 9, 11]) {
        expect(await store.writeQueue(ONE, id, deviceQueue({ revision: 12 }), after)).toBe(false);
        expect(await store.writeQueue(ONE, id, undefined, after)).toBe(false);
      }
      expect(await store.readQueue(ONE, id)).toEqual(kept);
      expect(await store.writeQueue(ONE, id, deviceQueue({ revision: 12 }), 10)).toBe(true);
      expect(await store.readQueue(ONE, id)).toEqual(deviceQueue({ revision: 12 }));
    });

    it('removes a queue, after which a new one follows none', async () => {
      const id = newDevice();
      for (const revision of [5, 7, 9]) {
        expect(await store.writeQueue(ONE, id, deviceQueue({ revision }), undefined)).toBe(true);
        expect(await store.writeQueue(ONE, id, undefined, revision)).toBe(true);
        expect(await store.readQueue(ONE, id)).toBeUndefined();
        expect(await store.writeQueue(ONE, id, deviceQueue({ revision: revision + 1 }), revision)).toBe(
          false,
        );
      }
    });

    it('accepts one of many writes that follow the same queue', async () => {
      const id = newDevice();
      for (let after: number | undefined, revision = 1; revision <= 100; after = revision, revision += 20) {
        const writes = Array.from({ length: 10 }, async (_, index) =>
          stores.open(ONE).writeQueue(ONE, id, deviceQueue({ revision: revision + index }), after),
        );
        const accepted = (await Promise.all(writes)).flatMap((isKept, index) => (isKept ? [index] : []));
        expect(accepted).toHaveLength(1);
        revision += accepted[0]!;
        expect((await store.readQueue(ONE, id))?.revision).toBe(revision);
      }
    });

    it('keeps a queue of 800 KB', async () => {
      const id = newDevice();
      const seqs = Array.from({ length: 1_000 }, (_, index) => index + 1);
      const small = deviceQueue({ revision: 1, seqs });
      const waiting = small.waiting.map((each) => ({ ...each, key: 'k'.repeat(655) }));
      const queue = { ...small, waiting };
      const size = JSON.stringify(queue).length;
      expect(size).toBeGreaterThan(790_000);
      expect(size).toBeLessThan(800_000);
      expect(await store.writeQueue(ONE, id, queue, undefined)).toBe(true);
      expect(await store.readQueue(ONE, id)).toEqual(queue);
      expect(await store.writeQueue(ONE, id, undefined, 1)).toBe(true);
    });

    it('names the devices whose queue is due, as many as are asked for', async () => {
      const ids = Array.from({ length: 5 }, newDevice);
      for (const [index, id] of ids.entries())
        await store.writeQueue(ONE, id, deviceQueue({ revision: 1, dueAt: 1_000 + index }), undefined);
      const due = async (now: number, limit = 100): Promise<string[]> =>
        [...(await store.dueQueues(ONE, now, limit))].sort();
      expect(await due(999)).toEqual([]);
      expect(await due(1_000)).toEqual(ids.slice(0, 1));
      expect(await due(1_003)).toEqual(ids.slice(0, 4));
      expect(await due(1_003, 2)).toHaveLength(2);
      await store.writeQueue(ONE, ids[0]!, deviceQueue({ revision: 2, dueAt: LATER }), 1);
      await store.writeQueue(ONE, ids[1]!, undefined, 1);
      await store.writeQueue(ONE, ids[4]!, deviceQueue({ revision: 2, dueAt: 900 }), 1);
      expect(await due(1_003)).toEqual(ids.slice(2));
      for (const id of ids.slice(2)) await store.writeQueue(ONE, id, undefined, id === ids[4] ? 2 : 1);
      expect(await due(1_003)).toEqual([]);
    });

    it('keeps the bytes of a message, of up to 256 KiB, until it is removed', async () => {
      const id = newDevice();
      const all = Uint8Array.from({ length: 256 }, (_, byte) => byte);
      const messages: Record<string, Uint8Array> = {
        ['A-z_0'.repeat(6)]: all,
        empty: new Uint8Array(),
        large: Buffer.alloc(256 * 1_024, 255),
        view: Buffer.concat([all, all]).subarray(3, 10),
      };
      for (const [key, bytes] of Object.entries(messages)) await store.writeMessage(ONE, id, key, bytes);
      // It may be called again.
      await store.writeMessage(ONE, id, 'empty', new Uint8Array());
      for (const [key, bytes] of Object.entries(messages))
        expect(Buffer.from((await stores.open(ONE).readMessage(ONE, id, key))!)).toEqual(Buffer.from(bytes));
      await store.removeMessages(ONE, id, ['large', 'never written', 'empty']);
      expect(await store.readMessage(ONE, id, 'large')).toBeUndefined();
      expect(await store.readMessage(ONE, id, 'empty')).toBeUndefined();
      expect(await store.readMessage(ONE, id, 'view')).toBeDefined();
      await store.removeMessages(ONE, id, []);
    });

    it('keeps endpoints and devices apart', async () => {
      const id = newDevice();
      const other = stores.open(OTHER);
      await store.writeQueue(ONE, id, deviceQueue({ revision: 1, dueAt: 5 }), undefined);
      await store.writeMessage(ONE, id, 'm', Uint8Array.of(1));
      const { generation } = await store.claim(ONE, id);
      await store.setHandled(ONE, id, generation, { lane: 0, epoch: 'E', seq: 1 });
      for (const [there, endpoint, device] of [
        [other, OTHER, id],
        [store, ONE, `${id}0`],
      ] as const) {
        expect(await there.readQueue(endpoint, device)).toBeUndefined();
        expect(await there.readMessage(endpoint, device, 'm')).toBeUndefined();
        await there.removeMessages(endpoint, device, ['m']);
        expect((await there.claim(endpoint, device)).handled).toEqual([]);
        expect(await there.writeQueue(endpoint, device, deviceQueue({ revision: 2 }), undefined)).toBe(true);
      }
      expect(await other.dueQueues(OTHER, 5, 100)).toEqual([]);
      expect(await store.dueQueues(ONE, 5, 100)).toEqual([id]);
      expect(await store.readMessage(ONE, id, 'm')).toEqual(expect.objectContaining({ length: 1 }));
      expect(await store.readQueue(ONE, id)).toEqual(deviceQueue({ revision: 1, dueAt: 5 }));
    });
  });
}

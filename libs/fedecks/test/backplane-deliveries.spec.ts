/** The queues of devices on several nodes under failures, for each backplane. */
import { type DeliveryStore } from '@fedecks/nest';
import { type QueueEntry } from '../src/delivery/index.js';
import { BARE_FLEETS, type BareFleet, type BareFleetKind } from './support/bare-fleets.js';
import { type BareNode } from './support/bare-node.js';
import { deviceQueue, LATER } from './support/device-queue.js';
import { eventually } from './support/eventually.js';

const PATH = '/fedecks';

const entry = (seq: number, more: Partial<QueueEntry> = {}): QueueEntry => ({
  lane: 0,
  epoch: 'E',
  seq,
  event: 'update',
  queuedAt: 1_000,
  attempts: 0,
  expiresAt: 2_000,
  ...more,
});

function storeOf({ backplane }: BareNode): DeliveryStore {
  return backplane.deliveries!;
}

describe.each(BARE_FLEETS.map((kind) => [kind.name, kind] as const))(
  'The queues of devices on several nodes %s',
  (_, kind: BareFleetKind) => {
    /** A test that runs once per seed: each seed gives other delays. */
    function history(title: string, test: (fleet: BareFleet) => Promise<void>): void {
      it(
        title,
        async () => {
          for (let seed = 1; seed <= kind.histories; seed++) {
            try {
              await kind.run(seed, test);
            } catch (error) {
              throw new Error(`with seed ${seed}: ${(error as Error).message}`, { cause: error });
            }
          }
        },
        60_000,
      );
    }

    async function waitUntilUp(...nodes: BareNode[]): Promise<void> {
      for (const { backplane } of nodes)
        await eventually(
          () => backplane.health,
          ({ status }) => status === 'up',
          30_000,
        );
    }

    history('announces states to every other node, in order, and not to itself', async (fleet) => {
      const nodes = [await fleet.node(), await fleet.node(), await fleet.node()] as const;
      await waitUntilUp(...nodes);
      const [one, two, three] = nodes;
      const done: QueueEntry = { ...entry(1), state: 'done', result: 'g2o=', finalAt: 1_500 };
      expect(one.backplane.announce('lamp', [entry(1), entry(2)])).toBe(true);
      expect(one.backplane.announce('lamp', [done])).toBe(true);
      for (const { news } of [two, three]) {
        await eventually(
          () => news.length,
          (count) => count === 2,
        );
        expect(news).toEqual([
          { id: 'lamp', entries: [entry(1), entry(2)] },
          { id: 'lamp', entries: [done] },
        ]);
      }
      expect(two.backplane.announce('lamp', [entry(3)])).toBe(true);
      await eventually(
        () => one.news,
        ([first]) => first?.entries.length === 1,
      );
      expect(one.news).toEqual([{ id: 'lamp', entries: [entry(3)] }]);
      expect(nodes.flatMap(({ failures }) => failures)).toEqual([]);
    });

    history('announces nothing while it is not connected, and says when it is again', async (fleet) => {
      const [one, two] = [await fleet.node(), await fleet.node()];
      await waitUntilUp(one, two);
      expect(one.timesReachable).toBe(0);
      fleet.cut(one);
      await eventually(
        () => one.backplane.health,
        ({ status }) => status === 'degraded',
        30_000,
      );
      expect(one.backplane.announce('lamp', [entry(1)])).toBe(false);
      expect(two.backplane.announce('lamp', [entry(2)])).toBe(true);
      expect(one.timesReachable).toBe(0);
      fleet.restore(one);
      await eventually(
        () => one.timesReachable,
        (times) => times === 1,
        30_000,
      );
      expect(one.backplane.announce('lamp', [entry(3)])).toBe(true);
      await eventually(
        () => two.news,
        ([first]) => first !== undefined,
      );
      expect(two.news).toEqual([{ id: 'lamp', entries: [entry(3)] }]);
      expect(one.news).toEqual([]);
      expect(two.timesReachable).toBe(0);
    });

    history(
      'rejects what cannot be kept while it is not connected, and keeps it after that',
      async (fleet) => {
        const [one, two] = [await fleet.node(), await fleet.node()];
        await waitUntilUp(one, two);
        const store = storeOf(one);
        await store.writeQueue(PATH, 'lamp', deviceQueue({ revision: 1, seqs: [1] }), undefined);
        await store.writeMessage(PATH, 'lamp', 'm1', Uint8Array.of(1));
        fleet.cut(one);
        await eventually(
          () => one.backplane.health,
          ({ status }) => status === 'degraded',
          30_000,
        );
        const unavailable = { name: 'BackplaneError', code: 'unavailable' };
        const next = deviceQueue({ revision: 2, seqs: [1, 2] });
        for (const call of [
          () => store.writeQueue(PATH, 'lamp', next, 1),
          () => store.readQueue(PATH, 'lamp'),
          () => store.dueQueues(PATH, LATER, 1),
          () => store.writeMessage(PATH, 'lamp', 'm2', Uint8Array.of(2)),
          () => store.readMessage(PATH, 'lamp', 'm1'),
          () => store.removeMessages(PATH, 'lamp', ['m1']),
          () => store.claim(PATH, 'lamp'),
        ])
          await expect((async () => call())()).rejects.toMatchObject(unavailable);
        fleet.restore(one);
        await waitUntilUp(one);
        expect(await store.writeQueue(PATH, 'lamp', next, 1)).toBe(true);
        expect(await storeOf(two).readQueue(PATH, 'lamp')).toEqual(next);
        expect([...(await storeOf(two).readMessage(PATH, 'lamp', 'm1'))!]).toEqual([1]);
      },
    );

    history('loses no message of five nodes that write one queue', async (fleet) => {
      // All of them write at once, for which a busy machine may take long.
      const patient = { requestTimeoutMs: 20_000 };
      const nodes = await Promise.all([1, 2, 3, 4, 5].map(() => fleet.node(patient)));
      await waitUntilUp(...nodes);
      await Promise.all(
        nodes.map(async (node, index) => {
          const store = storeOf(node);
          for (let count = 0; count < 6; count++) {
            for (let isKept = false; !isKept;) {
              const before = await store.readQueue(PATH, 'lamp');
              const seqs = [...(before?.waiting.map(({ seq }) => seq) ?? []), 1 + index + 5 * count];
              const after = before?.revision;
              const queue = deviceQueue({ revision: (after ?? 0) + 1, seqs: seqs.sort((a, b) => a - b) });
              isKept = await store.writeQueue(PATH, 'lamp', queue, after);
            }
          }
        }),
      );
      const queue = await storeOf(nodes[0]!).readQueue(PATH, 'lamp');
      expect(queue?.waiting.map(({ seq }) => seq)).toEqual(Array.from({ length: 30 }, (_, seq) => seq + 1));
      expect(queue?.revision).toBe(30);
    });

    history('begins anew after all buckets were deleted', async (fleet) => {
      const [one, two] = [await fleet.node(), await fleet.node()];
      await waitUntilUp(one, two);
      await storeOf(one).writeQueue(PATH, 'lamp', deviceQueue({ revision: 1, dueAt: 5 }), undefined);
      expect(await storeOf(one).dueQueues(PATH, 5, 10)).toEqual(['lamp']);
      await fleet.deleteBuckets();
      for (const node of [one, two])
        await eventually(
          () => storeOf(node).readQueue(PATH, 'lamp'),
          (queue) => queue === undefined,
        );
      const queue = deviceQueue({ revision: 2, dueAt: 5 });
      expect(await storeOf(two).writeQueue(PATH, 'moth', queue, undefined)).toBe(true);
      const due = async () => [
        ...(await storeOf(one).dueQueues(PATH, 5, 10)),
        ...(await storeOf(two).dueQueues(PATH, 5, 10)),
      ];
      await eventually(due, (found) => found.length === 1 && found[0] === 'moth');
    });

    history('has each due queue found by one node, also after that node has died', async (fleet) => {
      const nodes = await Promise.all([1, 2, 3, 4, 5].map(() => fleet.node()));
      await waitUntilUp(...nodes);
      const all = Array.from({ length: 30 }, (_, index) => `device ${index}`);
      for (const [index, id] of all.entries()) {
        const queue = deviceQueue({ revision: 1, dueAt: index });
        await storeOf(nodes[index % 5]!).writeQueue(PATH, id, queue, undefined);
      }
      const found: string[] = [];
      const finders = new Set<BareNode>();
      /** Each node looks once, as it does every minute, and takes what it finds out of the way. */
      async function look(now: number, asking: readonly BareNode[]): Promise<void> {
        for (const node of asking) {
          const due = await storeOf(node).dueQueues(PATH, now, 100);
          for (const id of due) {
            const before = await storeOf(node).readQueue(PATH, id);
            const queue = deviceQueue({ revision: before!.revision + 1 });
            await storeOf(node).writeQueue(PATH, id, queue, before!.revision);
          }
          found.push(...due);
          if (due.length > 0) finders.add(node);
        }
      }
      for (let now = 0; now < 10; now++) await look(now, nodes);
      expect(found).toEqual(all.slice(0, 10));
      expect(finders.size).toBe(1);
      const [dead] = finders;
      const rest = nodes.filter((node) => node !== dead);
      fleet.cut(dead!);
      await look(14, rest);
      expect(found).toHaveLength(10);
      for (let now = 15; now < 30; now++) await look(now, rest);
      expect([...found].sort()).toEqual([...all].sort());
      expect(finders.size).toBe(2);
    });
  },
);

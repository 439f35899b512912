import { type BareNode } from './support/bare-node.js';
import {
  BARE_FLEETS,
  type BareFleet,
  type BareFleetKind,
  type BareNodeOptions,
} from './support/bare-fleets.js';
import { eventually } from './support/eventually.js';
import { type MemoryFaults } from './support/memory-cluster.js';

/** Several devices per run, as they may affect each other. */
const DEVICES = 10;
const IDS = Array.from({ length: DEVICES }, (_each, index) => `device-${index}`);

const KINDS = BARE_FLEETS.flatMap((kind) =>
  (['newest', 'oldest'] as const).map((duplicates) => [kind.name, duplicates, kind] as const),
);

/** In the end a device has one connection, and all nodes agree which, whatever fails meanwhile. */
describe.each(KINDS)(
  'Presence of several nodes %s, where the %s connection stays,',
  (_, duplicates, kind) => {
    const newest = duplicates === 'newest';

    /** A test that runs once per seed: each seed gives other delays. */
    function history(title: string, test: (fleet: BareFleet) => Promise<void>, faults?: MemoryFaults): void {
      it(title, () => inHistories(kind, test, faults), 120_000);
    }

    function nodes(fleet: BareFleet, count: number, options?: BareNodeOptions): Promise<BareNode[]> {
      return Promise.all(Array.from({ length: count }, () => fleet.node({ duplicates, ...options })));
    }

    /** Connects as a device does: retries until it is accepted, or another connection of it is. */
    async function connect(fleet: BareFleet, id: string, node: BareNode): Promise<void> {
      await fleet.sleep(fleet.random() * 2);
      await node.login(id).catch(() => false);
    }

    async function disconnect(id: string, node: BareNode): Promise<void> {
      node.leave(id);
    }

    /** Connects all devices that no node holds to the first node. */
    async function reconnect(nodes: readonly BareNode[]): Promise<void> {
      for (const id of IDS)
        await eventually(
          async () => nodes.some((node) => node.held(id)) || (await nodes[0]!.login(id)) !== false,
          (isHeld) => isHeld,
        );
    }

    async function settle(fleet: BareFleet, nodes: BareNode[]): Promise<void> {
      for (const { backplane } of nodes)
        await eventually(
          () => backplane.health,
          ({ status }) => status === 'up',
          30_000,
        );
      await fleet.sleep(500);
    }

    history('agrees on a device that connects to two nodes at once', async (fleet) => {
      const all = await nodes(fleet, 3);
      const [one, two] = all as [BareNode, BareNode];
      await Promise.all(IDS.flatMap((id) => [connect(fleet, id, one), connect(fleet, id, two)]));
      await expectAgreement(all);
    });

    history('agrees on a device that reconnects to two nodes while a third holds it', async (fleet) => {
      const all = await nodes(fleet, 3);
      const [one, two] = all as [BareNode, BareNode];
      await Promise.all(IDS.map((id) => connect(fleet, id, one)));
      await fleet.sleep(15);
      await Promise.all(IDS.flatMap((id) => [connect(fleet, id, one), connect(fleet, id, two)]));
      await expectAgreement(all);
    });

    history('agrees on a device that disconnects from one node and connects to another', async (fleet) => {
      const all = await nodes(fleet, 3);
      const [one, two] = all as [BareNode, BareNode];
      await Promise.all(
        IDS.map(async (id) => {
          await connect(fleet, id, one);
          await fleet.sleep(fleet.random() * 2);
          one.leave(id);
          await eventually(
            () => two.login(id),
            (token) => token !== false,
          );
        }),
      );
      await expectAgreement(all, IDS, two);
    });

    history('agrees on a device that connects to three nodes at once', async (fleet) => {
      const all = await nodes(fleet, 3);
      await Promise.all(IDS.flatMap((id) => all.map((node) => connect(fleet, id, node))));
      await expectAgreement(all);
    });

    history(
      'agrees although writes arrive late and two conflicting writes are both accepted',
      async (fleet) => {
        const all = await nodes(fleet, 3);
        for (let round = 0; round < 3; round++)
          await Promise.all(
            IDS.flatMap((id) =>
              all.map((node) => (fleet.random() < 0.7 ? connect(fleet, id, node) : disconnect(id, node))),
            ),
          );
        await fleet.sleep(2_000);
        await reconnect(all);
        await expectAgreement(all);
      },
      { lateWrites: 0.3, bothAccepted: 0.5 },
    );

    history('agrees although the network delays the writes of one node', async (fleet) => {
      const all = await nodes(fleet, 3);
      const [one, two] = all as [BareNode, BareNode];
      fleet.hold(one, 'up');
      for (const id of IDS) one.open(id);
      await fleet.sleep(20);
      for (const id of IDS) two.open(id);
      await fleet.sleep(20);
      for (const id of IDS) if (fleet.random() < 0.5) one.leave(id);
      await fleet.sleep(280);
      fleet.release(one, 'up');
      await expectAgreement(all);
    });

    history('agrees although the store stalls while devices move', async (fleet) => {
      const all = await nodes(fleet, 3, { heartbeatMs: 1_000, requestTimeoutMs: 5_000 });
      const [one, two] = all as [BareNode, BareNode];
      await fleet.stall();
      for (const id of IDS) one.open(id);
      await fleet.sleep(100);
      for (const id of IDS) {
        if (fleet.random() < 0.5) one.leave(id);
        two.open(id);
      }
      await fleet.sleep(700);
      fleet.goOn();
      await fleet.sleep(100);
      for (const id of IDS) one.leave(id);
      // With 'oldest', this connection may have closed the other one before it disconnected.
      await fleet.sleep(2_000);
      if (!newest) await reconnect([two]);
      await expectAgreement(all, IDS, two);
    });

    history('agrees on devices that move while their node is paused', async (fleet) => {
      const all = await nodes(fleet, 3);
      const [one, two] = all as [BareNode, BareNode];
      await Promise.all(IDS.map((id) => connect(fleet, id, one)));
      await fleet.sleep(200);
      fleet.pause(one);
      // With 'oldest', a device is accepted elsewhere only after the lease of its node has expired.
      await fleet.sleep(newest ? fleet.random() * 3_000 : 3_000);
      await Promise.all(IDS.map((id) => connect(fleet, id, two)));
      await fleet.sleep(1_000);
      fleet.resume(one);
      await settle(fleet, all);
      await expectAgreement(all, IDS, newest ? two : undefined);
    });

    history('agrees on devices that move while their node is disconnected', async (fleet) => {
      const all = await nodes(fleet, 3);
      const [one, two] = all as [BareNode, BareNode];
      await Promise.all(IDS.map((id) => connect(fleet, id, one)));
      await fleet.sleep(200);
      fleet.cut(one);
      await fleet.sleep(3_000);
      await Promise.all(IDS.map((id) => connect(fleet, id, two)));
      for (const id of IDS) if (fleet.random() < 0.3) one.open(id);
      fleet.restore(one);
      await settle(fleet, all);
      await expectAgreement(all);
    });

    history('agrees, and closes no connection, when the store has lost everything', async (fleet) => {
      const all = await nodes(fleet, 3);
      const [one, two] = all as [BareNode, BareNode];
      await Promise.all(IDS.flatMap((id) => [connect(fleet, id, one), connect(fleet, id, two)]));
      await expectAgreement(all);
      const held = all.map((node) => IDS.filter((id) => node.held(id)));
      for (const lose of [() => fleet.deleteBuckets(), () => fleet.loseFiles()]) {
        await lose();
        await fleet.sleep(1_000);
        await settle(fleet, all);
        await expectAgreement(all);
        expect(all.map((node) => IDS.filter((id) => node.held(id)))).toEqual(held);
      }
    });

    if (kind.hasClocks) {
      history("agrees on the newest or oldest connection, whatever the nodes' clocks say", async (fleet) => {
        const all = await nodes(fleet, 3);
        const [one, two] = all as [BareNode, BareNode];
        for (const node of all) fleet.setClock!(node, (fleet.random() - 0.5) * 7_200_000);
        await Promise.all(IDS.map((id) => connect(fleet, id, one)));
        await expectAgreement(all, IDS, one);
        for (const node of all) fleet.setClock!(node, (fleet.random() - 0.5) * 7_200_000);
        await Promise.all(IDS.map((id) => connect(fleet, id, two)));
        await expectAgreement(all, IDS, newest ? two : one);
      });
    }
  },
);

async function inHistories(
  kind: BareFleetKind,
  test: (fleet: BareFleet) => Promise<void>,
  faults?: MemoryFaults,
): Promise<void> {
  for (let seed = 1; seed <= kind.histories; seed++) {
    try {
      await kind.run(seed, test, faults);
    } catch (error) {
      throw new Error(`with seed ${seed}: ${(error as Error).message}`, { cause: error });
    }
  }
}

/** Waits until one node (this one if given) holds each device, and all nodes agree. */
async function expectAgreement(nodes: readonly BareNode[], ids = IDS, holder?: BareNode): Promise<void> {
  const wrong = async (): Promise<string[]> => {
    const found = await Promise.all(ids.map((id) => whatIsWrong(nodes, id, holder)));
    return found.filter((each) => each !== undefined);
  };
  await eventually(wrong, (found) => found.length === 0, 20_000);
}

async function whatIsWrong(
  nodes: readonly BareNode[],
  id: string,
  wanted: BareNode | undefined,
): Promise<string | undefined> {
  const holders = nodes.filter((node) => node.held(id));
  const [holder] = holders;
  if (!holder || holders.length > 1) return `${holders.length} nodes hold ${id}`;
  if (wanted && holder !== wanted) return `${id} is held by node ${nodes.indexOf(holder)}`;
  const entries = await Promise.all(nodes.map(({ backplane }) => backplane.presenceOf(id)));
  const names = new Set(entries.map((entry) => (entry?.state === 'online' ? entry.node : entry?.state)));
  const since = holder.held(id)?.since;
  if (names.size > 1) return `nodes say of ${id}: ${[...names].join(', ')}`;
  if (entries.some((entry) => entry?.state !== 'online' || entry.since !== since))
    return `${id} is held, and presence says ${JSON.stringify(entries[0])}`;
  return undefined;
}

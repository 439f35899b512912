import { type BareNode } from './support/bare-node.js';
import {
  BARE_FLEETS,
  type BareFleet,
  type BareFleetKind,
  type BareNodeOptions,
} from './support/bare-fleets.js';
import { eventually } from './support/eventually.js';
import { type MemoryFaults } from './support/memory-cluster.js';

const IDS = Array.from({ length: 5 }, (_each, index) => `device-${index}`);

/** Attempts that arrive out of order, and machines that share one device id. */
describe.each(BARE_FLEETS.map((kind) => [kind.name, kind] as const))(
  'Devices that send an attempt header to several nodes %s',
  (_, kind: BareFleetKind) => {
    /** A test that runs once per seed: each seed gives other delays. */
    function history(title: string, test: (fleet: BareFleet) => Promise<void>, faults?: MemoryFaults): void {
      it(
        title,
        async () => {
          for (let seed = 1; seed <= kind.histories; seed++) {
            try {
              await kind.run(seed, test, faults);
            } catch (error) {
              throw new Error(`with seed ${seed}: ${(error as Error).message}`, { cause: error });
            }
          }
        },
        60_000,
      );
    }

    async function nodes(fleet: BareFleet, options?: BareNodeOptions) {
      return (await Promise.all([1, 2, 3].map(() => fleet.node(options)))) as [BareNode, BareNode, BareNode];
    }

    /** Opens the attempts one after another, and waits after each until the nodes have settled. */
    async function takeTurns(
      all: readonly BareNode[],
      turns: readonly (readonly [BareNode, string])[],
    ): Promise<void> {
      for (const [node, attempt] of turns) {
        node.open('lamp', attempt);
        await settle(all, node);
      }
    }

    /** Waits until all nodes agree that this one holds the lamp, and it has heard what the others know of clones. */
    async function settle(all: readonly BareNode[], holder: BareNode): Promise<void> {
      await expectAgreement(all, ['lamp'], holder);
      // What the others have told it before a push, it has heard before that.
      for (const node of all)
        if (node !== holder)
          await eventually(
            () => node.push('lamp', 'settled'),
            (result) => result === 'sent',
          );
    }

    history(
      'keeps the newer connection when an older attempt arrives late at another node',
      async (fleet) => {
        const all = await nodes(fleet);
        const [one, two] = all;
        for (const id of IDS) one.open(id, 'a2');
        await waitUntilHeldBy(all, one, 'a2');
        for (const id of IDS) two.open(id, 'a1');
        await waitUntilHeldBy(all, one, 'a2');
        expect(one.ended).toEqual([]);
        // No connection is left to replace, so the older attempt is accepted.
        for (const id of IDS) one.leave(id);
        await fleet.sleep(200);
        for (const id of IDS) two.open(id, 'a1');
        await waitUntilHeldBy(all, two, 'a1');
      },
    );

    history(
      'keeps the newest of three attempts, in whatever order attempts and writes arrive',
      async (fleet) => {
        const all = await nodes(fleet);
        const [one, two, three] = all;
        await Promise.all(
          IDS.flatMap((id) =>
            all.map(async (node, index) => {
              await fleet.sleep(fleet.random() * 4);
              node.open(id, `a${index + 1}`);
            }),
          ),
        );
        await waitUntilHeldBy([one, two, three], three, 'a3');
      },
      { lateWrites: 0.3, bothAccepted: 0.5 },
    );

    history(
      'replaces a connection by one of another process, or one without an attempt header',
      async (fleet) => {
        const all = await nodes(fleet);
        const [one, two, three] = all;
        for (const id of IDS) one.open(id, 'a9');
        await waitUntilHeldBy(all, one, 'a9');
        for (const id of IDS) two.open(id, 'b1');
        await waitUntilHeldBy(all, two, 'b1');
        for (const id of IDS) three.open(id);
        await waitUntilHeldBy(all, three);
        for (const id of IDS) two.open(id, 'a1');
        await waitUntilHeldBy(all, two, 'a1');
      },
    );

    history('reports two machines after one round, whichever nodes they connect to', async (fleet) => {
      const all = await nodes(fleet);
      const [one, two, three] = all;
      await takeTurns(all, [
        [one, 'a1'],
        [two, 'b1'],
        [three, 'a2'],
      ]);
      expect(reportsOf(one, two, three)).toEqual([]);
      await takeTurns(all, [[one, 'b2']]);
      expect(reportsOf(one, two, three)).toEqual([
        'clone_suspected: two machines use this device id, at the address of a and the address of b: ' +
          'give each machine its own id and login',
      ]);
      // Without clones: 'refuse', the newer connection stays.
      expect(one.held('lamp')?.attempt?.number).toBe(2);
    });

    history(
      'suspects no clone when a device restarts, or a late request opens a connection',
      async (fleet) => {
        const all = await nodes(fleet);
        const [one, two, three] = all;
        await takeTurns(all, [
          [one, 'a1'],
          [two, 'b1'],
          [three, 'c1'],
          [one, 'c2'],
          [two, 'd1'],
        ]);
        for (const number of [2, 3, 4]) {
          three.open('lamp', `c${number}`, false);
          await settle(all, three);
          await takeTurns(all, [[number % 2 ? one : two, `d${number}`]]);
        }
        expect(reportsOf(one, two, three)).toEqual([]);
      },
    );

    history(
      "with clones: 'refuse', keeps the connected machine, whichever node the other connects to",
      async (fleet) => {
        const all = await nodes(fleet, { clones: 'refuse' });
        const [one, two, three] = all;
        await takeTurns(all, [
          [one, 'a1'],
          [two, 'b1'],
          [one, 'a2'],
          [two, 'b2'],
        ]);
        one.open('lamp', 'a3');
        await expectAgreement(all, ['lamp'], two);
        // Rejected attempts never show in presence, not even on a node that has never seen the device.
        const shown: string[] = [];
        two.backplane.presenceChanges$.subscribe(({ attempt }) => shown.push(attempt?.process[0] ?? ''));
        await fleet.sleep(300);
        for (const [index, node] of [three, three, one].entries()) {
          node.open('lamp', `a${index + 4}`);
          await fleet.sleep(200);
          await expectAgreement(all, ['lamp'], two);
        }
        expect(shown).not.toContain('a');
        expect(two.held('lamp')?.attempt?.number).toBe(2);
        expect(reportsOf(two)).toContain(
          'clone_suspected: rejected the address of a: another machine with this device id is connected',
        );
        // The connected machine may reconnect, and the other one once the first is offline.
        three.open('lamp', 'b3');
        await expectAgreement(all, ['lamp'], three);
        three.leave('lamp');
        await fleet.sleep(200);
        one.open('lamp', 'a7');
        await expectAgreement(all, ['lamp'], one);
      },
    );

    /** Waits until this node holds each device by that attempt, and all nodes agree. */
    async function waitUntilHeldBy(
      all: readonly BareNode[],
      holder: BareNode,
      attempt?: string,
    ): Promise<void> {
      await expectAgreement(all, IDS, holder);
      for (const id of IDS) {
        const { process = '', number = '' } = holder.held(id)?.attempt ?? {};
        expect(`${process.slice(0, 1)}${number}`).toBe(attempt ?? '');
        expect((await all[0]!.backplane.presenceOf(id))?.attempt).toEqual(holder.held(id)?.attempt);
      }
    }
  },
);

function reportsOf(...nodes: readonly BareNode[]): string[] {
  return nodes.flatMap(({ reports }) => reports);
}

/** Waits until one node holds each device, and all nodes agree. */
async function expectAgreement(
  nodes: readonly BareNode[],
  ids: readonly string[],
  holder: BareNode,
): Promise<void> {
  const wrong = async (): Promise<string[]> => {
    const found = await Promise.all(
      ids.flatMap((id) =>
        nodes.map(async (node) => {
          const entry = await node.backplane.presenceOf(id);
          const holders = nodes.filter((each) => each.held(id));
          const isRight =
            holders.length === 1 &&
            holders[0] === holder &&
            entry?.state === 'online' &&
            entry.since === holder.held(id)?.since &&
            entry.attempt?.number === holder.held(id)?.attempt?.number;
          return isRight
            ? []
            : [
                `${id}: held by ${holders.map((each) => nodes.indexOf(each)).join()}, ${JSON.stringify(entry)}`,
              ];
        }),
      ),
    );
    return found.flat();
  };
  await eventually(wrong, (found) => found.length === 0, 20_000);
}

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

/** Attempts that the network delivers in another order than they were made in, and machines with one device id. */
describe.each(BARE_FLEETS.map((kind) => [kind.name, kind] as const))(
  'Devices that name their attempts to several nodes %s',
  (_, kind: BareFleetKind) => {
    /** A case, in as many histories as are worth their time, each with delays of its own. */
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

    /** Each attempt at a node, one after another, as `one a1`; all that follows from each is done. */
    async function takeTurns(
      fleet: BareFleet,
      turns: readonly (readonly [BareNode, string])[],
    ): Promise<void> {
      for (const [node, attempt] of turns) {
        node.open('lamp', attempt);
        await fleet.sleep(200);
      }
    }

    history('keep the newer connection when an older attempt arrives late at another node', async (fleet) => {
      const all = await nodes(fleet);
      const [one, two] = all;
      for (const id of IDS) one.open(id, 'a2');
      await isHeldBy(all, one, 'a2');
      for (const id of IDS) two.open(id, 'a1');
      await isHeldBy(all, one, 'a2');
      expect(one.ended).toEqual([]);
      // Nothing is left to replace: it may come in.
      for (const id of IDS) one.leave(id);
      await fleet.sleep(200);
      for (const id of IDS) two.open(id, 'a1');
      await isHeldBy(all, two, 'a1');
    });

    history(
      'keep the newest of three attempts, whatever their order and that of the writes',
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
        await isHeldBy([one, two, three], three, 'a3');
      },
      { lateWrites: 0.3, bothAccepted: 0.5 },
    );

    history(
      'replace a connection by that of another process, or of a device that names none',
      async (fleet) => {
        const all = await nodes(fleet);
        const [one, two, three] = all;
        for (const id of IDS) one.open(id, 'a9');
        await isHeldBy(all, one, 'a9');
        for (const id of IDS) two.open(id, 'b1');
        await isHeldBy(all, two, 'b1');
        for (const id of IDS) three.open(id);
        await isHeldBy(all, three);
        for (const id of IDS) two.open(id, 'a1');
        await isHeldBy(all, two, 'a1');
      },
    );

    history('are reported as two machines in one round, wherever each of them connects', async (fleet) => {
      const [one, two, three] = await nodes(fleet);
      await takeTurns(fleet, [
        [one, 'a1'],
        [two, 'b1'],
        [three, 'a2'],
      ]);
      expect(reportsOf(one, two, three)).toEqual([]);
      await takeTurns(fleet, [[one, 'b2']]);
      expect(reportsOf(one, two, three)).toEqual([
        'clone_suspected: two machines use this device id, at the address of a and the address of b: ' +
          'give each an id and a login of its own',
      ]);
      // Where nobody refuses, the newer one stays.
      expect(one.held('lamp')?.attempt?.number).toBe(2);
    });

    history(
      'are not suspected when a device is started anew, or a late request opens a connection',
      async (fleet) => {
        const [one, two, three] = await nodes(fleet);
        await takeTurns(fleet, [
          [one, 'a1'],
          [two, 'b1'],
          [three, 'c1'],
          [one, 'c2'],
          [two, 'd1'],
        ]);
        for (const number of [2, 3, 4]) {
          three.open('lamp', `c${number}`, false);
          await fleet.sleep(200);
          await takeTurns(fleet, [[number % 2 ? one : two, `d${number}`]]);
        }
        expect(reportsOf(one, two, three)).toEqual([]);
      },
    );

    history(
      "with clones: 'refuse', stay with the machine that is connected, wherever the other comes",
      async (fleet) => {
        const all = await nodes(fleet, { clones: 'refuse' });
        const [one, two, three] = all;
        await takeTurns(fleet, [
          [one, 'a1'],
          [two, 'b1'],
          [one, 'a2'],
          [two, 'b2'],
        ]);
        one.open('lamp', 'a3');
        await agree(all, ['lamp'], two);
        // From now on presence shows nothing of those that are refused, also at a node that has never seen the device.
        const shown: string[] = [];
        two.backplane.presenceChanges$.subscribe(({ attempt }) => shown.push(attempt?.process[0] ?? ''));
        await fleet.sleep(300);
        for (const [index, node] of [three, three, one].entries()) {
          node.open('lamp', `a${index + 4}`);
          await fleet.sleep(200);
          await agree(all, ['lamp'], two);
        }
        expect(shown).not.toContain('a');
        expect(two.held('lamp')?.attempt?.number).toBe(2);
        expect(reportsOf(two)).toContain(
          'clone_suspected: refused at the address of a: another machine with this device id is connected',
        );
        // The one that is connected may come again, and the other when it is gone.
        three.open('lamp', 'b3');
        await agree(all, ['lamp'], three);
        three.leave('lamp');
        await fleet.sleep(200);
        one.open('lamp', 'a7');
        await agree(all, ['lamp'], one);
      },
    );

    /** That this node holds each device, by that attempt, and all nodes say so. */
    async function isHeldBy(all: readonly BareNode[], holder: BareNode, attempt?: string): Promise<void> {
      await agree(all, IDS, holder);
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

/** That one node holds each device, and that all nodes say so. */
async function agree(nodes: readonly BareNode[], ids: readonly string[], holder: BareNode): Promise<void> {
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

import { type BareNode, type BareToken } from './support/bare-node.js';
import { eventually } from './support/eventually.js';
import { type BareFleet, BARE_FLEETS, type BareFleetKind } from './support/bare-fleets.js';

/** Revocations, pushes and health of several nodes under failures, for each backplane. */
describe.each(BARE_FLEETS.map((kind) => [kind.name, kind] as const))(
  'Several nodes %s',
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

    /** Causes a fault, and resolves when all of the nodes have reported that they are degraded. */
    async function expectDegraded(happen: () => void | Promise<void>, ...nodes: BareNode[]): Promise<void> {
      const told = nodes.map(({ health }) => health.length);
      await happen();
      for (const [index, { health }] of nodes.entries())
        await eventually(
          () => health.slice(told[index]),
          (changes) => changes.some(({ status }) => status === 'degraded'),
          30_000,
        );
    }

    /** Waits until all nodes reject a revoked token, and none holds a connection that presented it. */
    async function waitUntilRevoked(id: string, token: BareToken, ...nodes: BareNode[]): Promise<void> {
      for (const node of nodes) {
        await eventually(
          () => node.present(id, token),
          (renewed) => renewed === false,
        );
      }
      for (const node of nodes) {
        await eventually(
          () => node.held(id),
          (device) => device === undefined,
        );
        expect(await node.present(id, token)).toBe(false);
      }
    }

    async function login(node: BareNode, id: string): Promise<BareToken> {
      const token = await node.login(id);
      expect(token).not.toBe(false);
      return token as BareToken;
    }

    history(
      'closes a connection that presented a revoked token before the node learned of the revocation',
      async (fleet) => {
        const [one, two, three] = [await fleet.node(), await fleet.node(), await fleet.node()];
        const first = await login(one, 'lamp');
        one.leave('lamp');
        const revoked = one.revoke('lamp');
        await fleet.sleep(fleet.random() * 6);
        const renewed = [await two.present('lamp', first), await three.present('lamp', first)];
        await revoked;
        for (const token of [first, ...renewed])
          if (token) await waitUntilRevoked('lamp', token, one, two, three);
        // A new login is accepted.
        const again = await login(two, 'lamp');
        two.leave('lamp');
        expect(await one.present('lamp', again)).not.toBe(false);
      },
    );

    history(
      'closes a revoked connection behind a stalled network as soon as the network resumes',
      async (fleet) => {
        const [one, two] = [await fleet.node(), await fleet.node()];
        const first = await login(one, 'lamp');
        one.leave('lamp');
        fleet.hold(two, 'down');
        await one.revoke('lamp');
        const renewed = await two.present('lamp', first);
        expect(renewed).not.toBe(false);
        fleet.release(two, 'down');
        await waitUntilRevoked('lamp', renewed as BareToken, one, two);
        expect(two.ended).toContainEqual({ id: 'lamp', cause: 'revoked' });
      },
    );

    history(
      'revokes the tokens of a device that a disconnected node holds, once that node reconnects',
      async (fleet) => {
        const [one, two] = [await fleet.node(), await fleet.node()];
        const token = await login(two, 'lamp');
        await expectDegraded(() => fleet.cut(two), two);
        await one.revoke('lamp');
        two.leave('lamp');
        const renewed = await two.present('lamp', token);
        expect(renewed).not.toBe(false);
        fleet.restore(two);
        await waitUntilUp(two);
        await waitUntilRevoked('lamp', token, one, two);
        await waitUntilRevoked('lamp', renewed as BareToken, one, two);
      },
    );

    history('learns of a revocation that was made while the node was disconnected', async (fleet) => {
      const [one, two] = [await fleet.node(), await fleet.node()];
      const token = await login(one, 'lamp');
      await expectDegraded(() => fleet.cut(one), one);
      await expect(one.revoke('lamp')).rejects.toMatchObject({ code: 'unavailable' });
      fleet.restore(one);
      await waitUntilUp(one);
      await eventually(
        () => two.backplane.revocations!.revokedAt('lamp'),
        (at) => at !== undefined,
      );
      await waitUntilRevoked('lamp', token, one, two);
    });

    history('writes revocations back when the store has lost its files', async (fleet) => {
      const [one, two] = [await fleet.node(), await fleet.node()];
      const token = await login(one, 'lamp');
      await one.revoke('lamp');
      await expectDegraded(() => fleet.loseFiles(), one, two);
      await waitUntilUp(one, two);
      const three = await fleet.node();
      await waitUntilUp(three);
      await waitUntilRevoked('lamp', token, one, two, three);
    });

    history('recreates deleted buckets at once, with their revocations', async (fleet) => {
      const [one, two] = [await fleet.node(), await fleet.node()];
      const token = await login(one, 'lamp');
      const other = await login(two, 'bulb');
      await one.revoke('lamp');
      await expectDegraded(() => fleet.deleteBuckets(), one, two);
      await waitUntilUp(one, two);
      const three = await fleet.node();
      await waitUntilUp(three);
      await waitUntilRevoked('lamp', token, one, two, three);
      await three.revoke('bulb');
      await waitUntilRevoked('bulb', other, one, two, three);
    });

    history('learns of a revocation after the store has ended all watches', async (fleet) => {
      const [one, two] = [await fleet.node(), await fleet.node()];
      const changed: string[] = [];
      two.backplane.presenceChanges$.subscribe(({ id }) => changed.push(id));
      // Until the watch has begun, nothing is missed.
      await fleet.sleep(300);
      const token = await login(two, 'lamp');
      await fleet.endWatches();
      await one.revoke('lamp');
      one.open('bulb');
      await waitUntilRevoked('lamp', token, one, two);
      await eventually(
        () => changed,
        (ids) => ids.includes('bulb'),
      );
      await waitUntilUp(one, two);
    });

    history('reports presence changes after the store has ended all watches', async (fleet) => {
      const [one, two] = [await fleet.node(), await fleet.node()];
      const changed: string[] = [];
      two.backplane.presenceChanges$.subscribe(({ id }) => changed.push(id));
      // Until the watch has begun, nothing is missed.
      await fleet.sleep(300);
      await fleet.endWatches();
      one.open('bulb');
      await eventually(
        () => changed,
        (ids) => ids.includes('bulb'),
      );
      await waitUntilUp(one, two);
    });

    history('recovers from all of these faults, and closes no connection', async (fleet) => {
      const [one, two] = [await fleet.node(), await fleet.node()];
      const ids = Array.from({ length: 10 }, (_each, index) => `device-${index}`);
      for (const id of ids) (fleet.random() < 0.5 ? one : two).open(id);
      await expectDegraded(() => fleet.deleteBuckets(), one, two);
      await waitUntilUp(one, two);
      await expectDegraded(() => fleet.loseFiles(), one, two);
      await waitUntilUp(one, two);
      expect([...one.all(), ...two.all()].map(({ id }) => id).sort()).toEqual(ids);
      expect([...one.ended, ...two.ended]).toEqual([]);
    });

    history('executes no request that expired while the node was paused', async (fleet) => {
      const [one, two] = [await fleet.node({ heartbeatMs: 5_000 }), await fleet.node({ heartbeatMs: 5_000 })];
      await login(two, 'valve');
      await eventually(
        () => one.push('valve', 'hello'),
        (result) => result === 'sent',
      );
      fleet.pause(two);
      expect(await Promise.all(['open 1', 'open 2'].map((text) => one.push('valve', text)))).toEqual([
        'timeout',
        'timeout',
      ]);
      await fleet.sleep(1_000);
      fleet.resume(two);
      expect(await one.push('valve', 'close')).toBe('sent');
      expect(two.written).toEqual(['hello', 'close']);
    });

    history(
      'do a push once that is put again, since another holder of the device was paused',
      async (fleet) => {
        const options = { duplicates: 'allow', heartbeatMs: 5_000 } as const;
        const [one, two, three] = [
          await fleet.node(options),
          await fleet.node(options),
          await fleet.node(options),
        ];
        await login(two, 'valve');
        await login(three, 'valve');
        // What a node remembers of pushes it moves to the side once a second, whenever that is.
        await fleet.sleep(200 + fleet.random() * 1_000);
        fleet.pause(two);
        await fleet.sleep(400);
        fleet.hold(three, 'up');
        const result = one.push('valve', 'open');
        await fleet.sleep(200);
        fleet.resume(two);
        // The paused one says that it has done nothing, and the question has come again when the other answers.
        await fleet.sleep(100);
        fleet.release(three, 'up');
        expect(await result).toBe('sent');
        expect(three.written).toEqual(['open']);
      },
    );

    history('executes each of many pushes once, although the holder pauses repeatedly', async (fleet) => {
      const [one, two] = [await fleet.node({ heartbeatMs: 5_000 }), await fleet.node({ heartbeatMs: 5_000 })];
      await login(two, 'valve');
      await eventually(
        () => one.push('valve', 'hello'),
        (result) => result === 'sent',
      );
      const results = new Map<string, Promise<string>>();
      for (let round = 0; round < 3; round++) {
        for (const each of [1, 2, 3]) results.set(`${round}-${each}`, one.push('valve', `${round}-${each}`));
        fleet.pause(two);
        results.set(`${round}-paused`, one.push('valve', `${round}-paused`));
        // Some pushes may still be executed in time.
        await fleet.sleep(100 + fleet.random() * 1_500);
        fleet.resume(two);
        await fleet.sleep(fleet.random() * 300);
      }
      const ended = await Promise.all(
        [...results].map(async ([text, result]) => [text, await result] as const),
      );
      for (const [text, result] of ended) {
        const times = two.written.filter((each) => each === text).length;
        if (result === 'sent') expect([text, times]).toEqual([text, 1]);
        else expect(times).toBeLessThanOrEqual(1);
      }
    });
  },
);

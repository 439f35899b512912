import { type FedecksOptions } from '@fedecks/nest';
import { firstValueFrom, take, timeout, toArray } from 'rxjs';
import { natsBackplane, type NatsBackplaneOptions } from '@fedecks/nest/nats';
import { type FakeDevice } from '@fedecks/nest/testing';
import { startApp, type StartedApp } from './support/app.js';
import { eventually } from './support/eventually.js';
import { Fleet, type FleetNode } from './support/fleet.js';
import { NatsServer } from './support/nats-server.js';

let nats: NatsServer;
let fleet: Fleet;
let namespaces = 0;
let natsOptions: NatsBackplaneOptions;

beforeAll(async () => {
  [nats, fleet] = await Promise.all([NatsServer.start(), Fleet.compile()]);
});
afterAll(async () => {
  fleet.stopAll();
  await nats.close();
});

/** Nodes of a new fleet, which shares no state with other tests. */
async function nodes(
  count: number,
  options: Partial<FedecksOptions> = {},
  more: Partial<NatsBackplaneOptions> = {},
): Promise<[FleetNode, FleetNode, FleetNode]> {
  natsOptions = { servers: nats.url, namespace: `cluster${++namespaces}`, ...more };
  const started = Array.from({ length: count }, () => fleet.node(natsOptions, { drainMs: 0, ...options }));
  return (await Promise.all(started)) as [FleetNode, FleetNode, FleetNode];
}

/** Nodes of a new fleet in this process, for tests that kill none. */
async function apps(count: number, options: Partial<FedecksOptions>): Promise<StartedApp[]> {
  const backplane = natsBackplane({ servers: nats.url, namespace: `cluster${++namespaces}` });
  return Promise.all(
    Array.from({ length: count }, () => startApp({ options: { drainMs: 0, ...options, backplane } })),
  );
}

/** Resolves when this node sees the device online. */
async function waitUntilOnline(node: FleetNode, id: string): Promise<void> {
  await eventually(
    () => node.presence(id),
    (entry) => entry?.state === 'online',
  );
}

/** The messages a device has received, up to the marker. */
async function messagesUntil(device: FakeDevice, marker: unknown): Promise<unknown[]> {
  const messages: unknown[] = [];
  for (;;) {
    const message = await device.next();
    if (message === marker) return messages;
    messages.push(message);
  }
}

describe('Three nodes of one fleet', () => {
  let [one, two, three] = [] as unknown as [FleetNode, FleetNode, FleetNode];
  beforeAll(async () => {
    [one, two, three] = await nodes(3, { drainMs: 500 });
  }, 60_000);
  afterAll(() => fleet.stopAll());

  it("push to a device from any node, and return 'offline' at once when no node holds it", async () => {
    const device = await one.device('lamp');
    await waitUntilOnline(two, 'lamp');
    for (const [index, node] of [one, two, three].entries()) {
      expect(await node.push('lamp', ['hi', index])).toBe('sent');
      expect(await device.next()).toEqual(['hi', index]);
    }
    expect(await two.push('nobody', 'anybody?')).toBe('offline');
    await expect(two.push('lamp', 'x'.repeat(1_100_000))).rejects.toMatchObject({
      name: 'BackplaneError',
      code: 'too-large',
    });
    await device.disconnect();
    await eventually(
      () => three.push('lamp', 'still there?'),
      (result) => result === 'offline',
    );
  });

  it('deliver 10,000 pushes between nodes exactly once, in order per device', async () => {
    const lamps = await Promise.all(Array.from({ length: 10 }, (_, index) => one.device(`busy-${index}`)));
    await Promise.all(lamps.map(({ id }) => waitUntilOnline(two, id)));
    for (let round = 0; round < 1_000; round += 50) {
      const results = await Promise.all(
        lamps.flatMap(({ id }, lamp) =>
          Array.from({ length: 50 }, (_, index) => (lamp % 2 ? two : three).push(id, round + index)),
        ),
      );
      expect(new Set(results)).toEqual(new Set(['sent']));
    }
    const expected = Array.from({ length: 1_000 }, (_, index) => index);
    for (const lamp of lamps) {
      await two.push(lamp.id, 'marker');
      expect(await messagesUntil(lamp, 'marker')).toEqual(expected);
    }
  });

  it('close only the older connection of a device with 4152, whichever node holds it', async () => {
    let older = await one.device('mover');
    for (const [round, node] of [two, three, one, three].entries()) {
      const newer = await node.device('mover');
      expect(await older.closed).toMatchObject({ code: 4152 });
      await eventually(
        () => Promise.all([one, two, three].map((each) => each.devices())),
        (held) => held.flat().filter((id) => id === 'mover').length === 1,
      );
      // The late disconnect of the older connection does not affect the newer one.
      await waitUntilOnline(two, 'mover');
      expect(await one.push('mover', round)).toBe('sent');
      expect(await newer.next()).toBe(round);
      older = newer;
    }
    const entries = (await two.everybody()).filter(({ id }) => id === 'mover');
    expect(entries).toMatchObject([{ state: 'online' }]);
  });

  it('disconnect a device from any node', async () => {
    const device = await one.device('sent away');
    await waitUntilOnline(two, 'sent away');
    expect(await two.disconnect('sent away')).toBe(true);
    expect(await device.closed).toMatchObject({ code: 1000 });
    await eventually(
      () => two.presence('sent away'),
      (entry) => entry?.cause === 'disconnected',
    );
    expect(await two.disconnect('sent away')).toBe(false);
  });

  it('deliver broadcasts, and group messages to members on all nodes', async () => {
    const [a, b, c] = await Promise.all([one.device('a'), two.device('b'), three.device('c')]);
    for (const id of ['a', 'b', 'c']) await waitUntilOnline(one, id);
    expect(await one.joinGroup('a', 'north')).toBe(true);
    expect(await two.joinGroup('b', 'north')).toBe(true);
    expect(await three.joinGroup('b', 'north')).toBe(false);
    // A node subscribes to a group at its first member. Messages sent before the server knows that are missed.
    await two.push('a', 'listening');
    expect(await a.next()).toBe('listening');
    await three.pushToGroup('north', 'for the north');
    expect([await a.next(), await b.next()]).toEqual(['for the north', 'for the north']);
    await two.broadcast('for all');
    expect([await a.next(), await b.next(), await c.next()]).toEqual(['for all', 'for all', 'for all']);
  });

  it("shut down in turn: devices reconnect elsewhere; a push meanwhile is 'sent' or 'offline'", async () => {
    const ids = Array.from({ length: 30 }, (_, index) => `deployed-${index}`);
    const got = new Map<string, unknown[]>(ids.map((id) => [id, []]));
    const live = async (id: string, node: FleetNode): Promise<void> => {
      const device = await node.device(id);
      void (async () => {
        for (;;) got.get(id)?.push(await device.next(60_000));
      })().catch(() => undefined);
      void device.closed.then(({ code }) => (code === 4000 ? live(id, three) : undefined));
    };
    await Promise.all(ids.map((id) => live(id, one)));
    for (const id of ids) await waitUntilOnline(two, id);

    const sent = new Map<string, number[]>(ids.map((id) => [id, []]));
    const enough = new AbortController();
    const outcomes = new Set<string>();
    const pusher = (async () => {
      for (let round = 0; !enough.signal.aborted; round++) {
        await Promise.all(
          ids.map(async (id) => {
            const outcome = await two.push(id, round);
            outcomes.add(outcome);
            if (outcome === 'sent') sent.get(id)?.push(round);
          }),
        );
      }
    })();
    await one.stop();
    for (const id of ids) await waitUntilOnline(two, id);
    enough.abort();
    await pusher;
    expect([...outcomes].filter((outcome) => outcome !== 'sent' && outcome !== 'offline')).toEqual([]);
    // A message written just before a connection closed may not have been read: 'sent' is not a receipt. But an
    // 'offline' push has not arrived, and nothing arrives twice.
    for (const id of ids) {
      const arrived = got.get(id) as number[];
      expect(new Set(arrived).size).toBe(arrived.length);
      await eventually(
        () => arrived.filter((round) => !sent.get(id)?.includes(round)),
        (falselyOffline) => falselyOffline.length === 0,
      );
    }
    const entries = (await two.everybody()).filter(({ id }) => ids.includes(id));
    expect(new Set(entries.map(({ state }) => state))).toEqual(new Set(['online']));
    expect(entries).toHaveLength(ids.length);
  });

  it('revoke from any node, and remember it after all nodes were killed and restarted', async () => {
    const device = await three.device('revoked');
    const other = await three.device('other');
    await two.revoke('revoked');
    expect(await device.closed).toMatchObject({ code: 4150 });
    await expect(three.device('revoked', device.token)).rejects.toThrow('403');
    await expect(two.device('revoked', device.token)).rejects.toThrow('403');
    // It logs in again, and its new token stays valid.
    const again = await three.device('revoked');

    fleet.stopAll();
    const started = await fleet.node(natsOptions);
    await expect(started.device('revoked', device.token)).rejects.toThrow('403');
    await expect(started.device('revoked', again.token)).resolves.toBeDefined();
    await expect(started.device('other', other.token)).resolves.toBeDefined();
  });
});

describe('Nodes that get two connections of one device id', () => {
  let [one, two, three] = [] as unknown as [StartedApp, StartedApp, StartedApp];
  afterEach(() => Promise.all([one, two, three].map((app) => app.close())));

  async function start(options: Partial<FedecksOptions>): Promise<void> {
    [one, two, three] = (await apps(3, options)) as [StartedApp, StartedApp, StartedApp];
  }

  it("reject with 503, with duplicates: 'oldest', a device that any node holds", async () => {
    await start({ duplicates: 'oldest' });
    const device = await one.device('lamp');
    await expect(two.device('lamp')).rejects.toThrow('503');
    await expect(three.device('lamp')).rejects.toThrow('503');
    await device.disconnect();
    await eventually(
      () => two.device('lamp'),
      () => true,
    );

    const rush = [one, two, three, one, two, three].map((node) => node.device('rushed'));
    const accepted = (await Promise.allSettled(rush)).filter(({ status }) => status === 'fulfilled');
    expect(accepted).toHaveLength(1);
  });

  it("with 'allow', push to all connections of a device, which is online until the last one ends", async () => {
    await start({ duplicates: 'allow' });
    const older = await one.device('lamp');
    const olderAt = await eventually(
      () => two.fedecks.presence.get('lamp'),
      (entry) => entry?.state === 'online',
    );
    const newer = await two.device('lamp');
    await eventually(
      () => three.fedecks.presence.get('lamp'),
      (entry) => entry?.state === 'online' && entry.node !== olderAt?.node,
    );
    for (const node of [one, two, three]) {
      expect(await node.fedecks.push('lamp', 'for both')).toBe('sent');
      expect([await older.next(), await newer.next()]).toEqual(['for both', 'for both']);
    }
    await newer.disconnect();
    await eventually(
      () => three.fedecks.presence.get('lamp'),
      (entry) => entry?.state === 'online' && entry.node === olderAt?.node,
    );
    expect(await three.fedecks.push('lamp', 'for the other')).toBe('sent');
    expect(await older.next()).toBe('for the other');
    await older.disconnect();
    await eventually(
      () => three.fedecks.presence.get('lamp'),
      (entry) => entry?.state === 'offline',
    );
  });
});

describe('A killed node', () => {
  it('has its devices offline within 20 s, without a query, at the default heartbeat', async () => {
    const [observer] = (await apps(1, {})) as [StartedApp];
    const { presence } = observer.fedecks;
    try {
      const victim = await fleet.node({ servers: nats.url, namespace: `cluster${namespaces}` });
      await Promise.all([victim.device('a'), victim.device('b'), observer.device('c')]);
      for (const id of ['a', 'b', 'c']) {
        await eventually(
          () => presence.get(id),
          (entry) => entry?.state === 'online',
        );
      }
      const lost = firstValueFrom(presence.changes$.pipe(take(2), toArray(), timeout(20_000)));
      const killed = Date.now();
      victim.kill();
      const entries = await lost;
      expect(entries.map(({ id }) => id).sort()).toEqual(['a', 'b']);
      for (const { at, cause } of entries) {
        expect(cause).toBe('node_lost');
        // Its last heartbeat was at most one interval before it was killed.
        expect(Math.abs(at - killed)).toBeLessThan(6_000);
      }
      expect(await presence.get('c')).toMatchObject({ state: 'online' });
      await observer.device('a');
      await eventually(
        () => presence.get('a'),
        (entry) => entry?.state === 'online',
      );
    } finally {
      await observer.close();
    }
  }, 60_000);

  it('leaves every push with one correct result', async () => {
    const [one, two, three] = await nodes(3, {}, { requestTimeoutMs: 1_000, heartbeatMs: 200 });
    const device = await one.device('lamp');
    const got: unknown[] = [];
    void (async () => {
      for (;;) got.push(await device.next(60_000));
    })().catch(() => undefined);
    await waitUntilOnline(two, 'lamp');
    const outcomes: string[] = [];
    const push = async (from: FleetNode, count: number): Promise<void> => {
      for (let index = 0; index < count; index++) {
        const message = outcomes.length;
        outcomes.push('pending');
        outcomes[message] = await from
          .push('lamp', message)
          .catch((error: unknown) => (error as { code: string }).code);
      }
    };
    const pushing = [push(two, 400), push(three, 400), push(two, 400)];
    await eventually(
      () => got.length,
      (count) => count > 200,
    );
    one.kill();
    await device.closed;
    await Promise.all(pushing);
    expect(new Set(got).size).toBe(got.length);
    const kinds = new Set(outcomes);
    kinds.delete('timeout');
    expect([...kinds].sort()).toEqual(['offline', 'sent']);
    const falselyOffline = (got as number[]).filter((message) => outcomes[message] === 'offline');
    expect(falselyOffline).toEqual([]);
    const missing = outcomes.filter((outcome, message) => outcome === 'sent' && !got.includes(message));
    // The kernel still sends what a killed process has written to the socket.
    expect(missing).toEqual([]);
    fleet.stopAll();
  }, 60_000);
});

describe('A frozen node, as behind a network partition', () => {
  it('loses its devices, and closes those that have moved when it resumes', async () => {
    const [one, two, three] = await nodes(3, {}, { requestTimeoutMs: 1_000, heartbeatMs: 200 });
    const moves = await one.device('moves');
    const stays = await one.device('stays');
    for (const id of ['moves', 'stays']) await waitUntilOnline(three, id);
    one.freeze();
    await eventually(
      async () => (await three.everybody()).map(({ state }) => state),
      (states) => states.every((state) => state === 'offline'),
    );
    const moved = await two.device('moves');
    await waitUntilOnline(three, 'moves');
    expect(await three.push('moves', 'to the new place')).toBe('sent');
    expect(await moved.next()).toBe('to the new place');
    await expect(three.push('stays', 'are you there?')).rejects.toMatchObject({ code: 'timeout' });

    one.thaw();
    expect(await moves.closed).toMatchObject({ code: 4152 });
    await waitUntilOnline(three, 'stays');
    await eventually(
      () => three.push('stays', 'again'),
      (result) => result === 'sent',
    );
    // The node does not execute requests that timed out while it was frozen.
    expect(await messagesUntil(stays, 'again')).toEqual([]);
    expect(await three.presence('moves')).toMatchObject({ state: 'online' });
    fleet.stopAll();
  }, 60_000);
});

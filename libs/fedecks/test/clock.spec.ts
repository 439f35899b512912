import { type FakeDevice } from '@fedecks/nest/testing';
import { eventually } from './support/eventually.js';
import { Fleet, type FleetNode } from './support/fleet.js';
import { NatsServer } from './support/nats-server.js';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** The offset of a clock that shows 1970. */
const TO_1970_MS = -Date.now();

let nats: NatsServer;
let fleet: Fleet;
let names = 0;
let cloud: FleetNode;
const newId = (): string => `lamp-${++names}`;

beforeAll(async () => {
  [nats, fleet] = await Promise.all([NatsServer.start(), Fleet.compile()]);
  cloud = await fleet.node();
}, 60_000);
beforeEach(() => cloud.setClock(0));
afterAll(async () => {
  fleet.stopAll();
  await nats.close();
});

async function reconnect(node: FleetNode, { id, token }: FakeDevice): Promise<string> {
  return node.device(id, token).then(
    () => 'let in',
    (error: unknown) => String(error),
  );
}

describe('A token', () => {
  it("expires no earlier than the one it replaces, although the cloud's clock was behind", async () => {
    const first = await cloud.device(newId());
    await cloud.setClock(-40 * DAY_MS);
    const second = await cloud.device(first.id, first.token);
    const third = await cloud.device(first.id, second.token);
    await cloud.setClock(0);
    expect(await reconnect(cloud, third)).toBe('let in');
  });

  it.each([
    ['an hour ahead', HOUR_MS],
    ['40 days ahead', 40 * DAY_MS],
    ['an hour behind', -HOUR_MS],
    ['in 1970', TO_1970_MS],
  ])('can be revoked when the clock was %s at its issue', async (_, offMs) => {
    const id = newId();
    // The second round tests a device that was revoked and has logged in again.
    for (let round = 0; round < 2; round++) {
      await cloud.setClock(offMs);
      const device = await cloud.device(id);
      await cloud.setClock(0);
      await cloud.revoke(id);
      expect((await device.closed).code).toBe(4150);
      expect(await reconnect(cloud, device)).toMatch('403');
      await cloud.setClock(offMs);
      expect(await reconnect(cloud, device)).toMatch('403');
    }
  });
});

describe('Two nodes with wrong clocks', () => {
  let one: FleetNode;
  let two: FleetNode;
  beforeEach(async () => {
    const options = { servers: nats.url, namespace: `clock${++names}`, heartbeatMs: 300 };
    [one, two] = await Promise.all([
      fleet.node(options, { duplicates: 'allow' }),
      fleet.node(options, { duplicates: 'allow' }),
    ]);
  }, 60_000);
  afterEach(() => {
    one.kill();
    two.kill();
  });

  it('revoke tokens whatever their clocks show, and both accept a new login afterwards', async () => {
    await one.setClock(HOUR_MS);
    await two.setClock(-HOUR_MS);
    const id = newId();
    for (const [holds, revokes] of [
      [one, two],
      [two, one],
      [one, two],
    ] as const) {
      const device = await holds.device(id);
      await revokes.revoke(id);
      expect((await device.closed).code).toBe(4150);
      for (const node of [one, two]) expect(await reconnect(node, device)).toMatch('403');
      const again = await holds.device(id);
      for (const node of [one, two]) expect(await reconnect(node, again)).toBe('let in');
    }
  });

  it.each([
    ['back', -HOUR_MS],
    ['forward', HOUR_MS],
  ])('remove only the killed node when a clock is set %s by an hour', async (_, stepMs) => {
    const id = newId();
    await two.device(id);
    await eventually(
      () => one.presence(id),
      (entry) => entry?.state === 'online',
    );
    await one.setClock(stepMs);
    expect(await one.presence(id)).toMatchObject({ state: 'online' });
    two.kill();
    const entry = await eventually(
      () => one.presence(id),
      (seen) => seen?.state === 'offline',
    );
    expect(entry).toMatchObject({ cause: 'node_lost' });
  });
});

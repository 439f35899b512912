import { type FakeDevice } from '@fedecks/nest/testing';
import { eventually } from './support/eventually.js';
import { Fleet, type FleetNode } from './support/fleet.js';

const HOUR_MS = 3_600_000;
/** The offset of a clock that shows 1970. */
const TO_1970_MS = -Date.now();
const IDLE_TIMEOUT_MS = 1_500;

let fleet: Fleet;
let cloud: FleetNode;
const talking: NodeJS.Timeout[] = [];

beforeAll(async () => {
  fleet = await Fleet.compile();
}, 60_000);
afterEach(() => {
  for (const timer of talking.splice(0)) clearInterval(timer);
  fleet.stopAll();
});

/** A device that sends more often than the idle timeout requires. */
async function talker(id: string): Promise<FakeDevice> {
  const device = await cloud.device(id);
  const timer = setInterval(() => device.sendRaw(Uint8Array.of(0)), 100);
  talking.push(timer);
  void device.closed.then(() => clearInterval(timer));
  return device;
}

/** Sends a message, and resolves with its answer. */
async function expectAnswer(device: FakeDevice): Promise<void> {
  device.send('still there');
  expect(await device.next()).toBe('still there');
}

const STEPS: [string, number, number][] = [
  ['forward by an hour', 0, HOUR_MS],
  ['back by an hour', 0, -HOUR_MS],
  ['right after a start in 1970', TO_1970_MS, 0],
];

describe('A cloud whose clock is set', () => {
  it.each(STEPS)('closes the silent device and no other: %s', async (_, first, second) => {
    cloud = await fleet.node(undefined, { idleTimeoutMs: IDLE_TIMEOUT_MS }, first);
    const talks = await talker('talks');
    const silent = await cloud.device('silent');
    await cloud.setClock(second);
    expect((await silent.closed).code).toBe(1000);
    expect(await cloud.devices()).toEqual(['talks']);
    await expectAnswer(talks);
  });

  it.each(STEPS)('still enforces its rate limits: %s', async (_, first, second) => {
    cloud = await fleet.node(undefined, { upgradesPerSecond: 3, messagesPerSecond: 4 }, first);
    const device = await cloud.device('counted');
    await cloud.setClock(second);
    // More upgrades than the limit per second: some are rejected, and a later one is accepted.
    const outcomes = await Promise.all(
      Array.from({ length: 6 }, (_each, index) =>
        cloud.device(`crowd ${index}`).then(() => 'let in', String),
      ),
    );
    expect(outcomes.filter((outcome) => outcome.includes('503')).length).toBeGreaterThan(0);
    await eventually(
      () => cloud.device('late').then(() => true),
      (isIn) => isIn,
    );
    // Three per second, for longer than the window.
    for (let sent = 0; sent < 5; sent++) {
      await expectAnswer(device);
      await new Promise((resolve) => setTimeout(resolve, 350));
    }
    for (let sent = 0; sent < 9; sent++) device.send('too many');
    expect((await device.closed).code).toBe(4003);
  });

  it("renews a device's token after a start in 1970", async () => {
    cloud = await fleet.node(undefined, {}, TO_1970_MS);
    const device = await cloud.device('lamp');
    const { token } = device;
    await cloud.setClock(0);
    await eventually(
      () => device.token,
      (renewed) => renewed !== token,
    );
    await cloud.device('lamp', device.token);
  });
});

describe('A cloud that was suspended for longer than idleTimeoutMs', () => {
  it('keeps devices that have sent something meanwhile', async () => {
    cloud = await fleet.node(undefined, { idleTimeoutMs: IDLE_TIMEOUT_MS });
    const devices = await Promise.all(['a', 'b', 'c'].map((id) => talker(id)));
    cloud.freeze();
    // Measured by this process, as the cloud is frozen.
    await new Promise((resolve) => setTimeout(resolve, 2 * IDLE_TIMEOUT_MS));
    cloud.thaw();
    for (const device of devices) await expectAnswer(device);
    expect((await cloud.devices()).sort()).toEqual(['a', 'b', 'c']);
  });
});

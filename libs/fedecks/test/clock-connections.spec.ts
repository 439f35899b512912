import { type FakeDevice } from '@fedecks/nest/testing';
import { eventually } from './support/eventually.js';
import { Fleet, type FleetNode } from './support/fleet.js';

const HOUR_MS = 3_600_000;
/** By which a clock is off that says it is 1970. */
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
afterAll(() => fleet.close());

/** A device that is never silent for as long as the cloud allows. */
async function talker(id: string): Promise<FakeDevice> {
  const device = await cloud.device(id);
  const timer = setInterval(() => device.sendRaw(Uint8Array.of(0)), 100);
  talking.push(timer);
  void device.closed.then(() => clearInterval(timer));
  return device;
}

/** Sends a message, and resolves when its answer is there. */
async function expectAnswer(device: FakeDevice): Promise<void> {
  device.send('still there');
  expect(await device.next()).toBe('still there');
}

const STEPS: [string, number, number][] = [
  ['set forward by an hour', 0, HOUR_MS],
  ['set back by an hour', 0, -HOUR_MS],
  ['set right after a start in 1970', TO_1970_MS, 0],
];

describe('A cloud whose clock is', () => {
  it.each(STEPS)('%s closes the silent device and no other', async (_, first, second) => {
    cloud = await fleet.node(undefined, { idleTimeoutMs: IDLE_TIMEOUT_MS }, first);
    const talks = await talker('talks');
    const silent = await cloud.device('silent');
    await cloud.setClock(second);
    expect((await silent.closed).code).toBe(1000);
    expect(await cloud.devices()).toEqual(['talks']);
    await expectAnswer(talks);
  });

  it.each(STEPS)('%s goes on to count upgrades and messages', async (_, first, second) => {
    cloud = await fleet.node(undefined, { upgradesPerSecond: 3, messagesPerSecond: 4 }, first);
    const device = await cloud.device('counted');
    await cloud.setClock(second);
    // One more than may come in any second is let in after a while, and refused before.
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
    // Three a second, for longer than the window.
    for (let sent = 0; sent < 9; sent++) {
      await expectAnswer(device);
      await new Promise((resolve) => setTimeout(resolve, 350));
    }
    for (let sent = 0; sent < 9; sent++) device.send('too many');
    expect((await device.closed).code).toBe(4003);
  });

  it('set right after a start in 1970 gives a device that stayed a token to come back with', async () => {
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

describe('A cloud that was suspended for longer than the idle timeout', () => {
  it('keeps the devices that have sent something meanwhile', async () => {
    cloud = await fleet.node(undefined, { idleTimeoutMs: IDLE_TIMEOUT_MS });
    const devices = await Promise.all(['a', 'b', 'c'].map((id) => talker(id)));
    cloud.freeze();
    // By the clock of this process, the only one that runs.
    await new Promise((resolve) => setTimeout(resolve, 2 * IDLE_TIMEOUT_MS));
    cloud.thaw();
    for (const device of devices) await expectAnswer(device);
    expect((await cloud.devices()).sort()).toEqual(['a', 'b', 'c']);
  });
});

import { type FakeDevice } from '@fedecks/nest/testing';
import { eventually } from './support/eventually.js';
import { Fleet, type FleetNode } from './support/fleet.js';
import { NatsServer } from './support/nats-server.js';
import { seeded } from './support/seeded.js';

const HEARTBEAT_MS = 300;
const REQUESTS = 400;
/** `REQUESTS_SEED=...` repeats the steps of a run, but not the timing of its processes. */
const SEED = Number(process.env['REQUESTS_SEED'] ?? Math.floor(Math.random() * 2 ** 31));

const outcomeOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.catch((error: unknown) => (error as { code?: unknown }).code ?? error);

let nats: NatsServer;
let fleet: Fleet;
let namespaces = 0;
beforeAll(async () => {
  [nats, fleet] = await Promise.all([NatsServer.start(), Fleet.compile()]);
});
afterAll(() => nats.close());
afterEach(() => fleet.stopAll());

function starter(): () => Promise<FleetNode> {
  const options = { servers: nats.url, namespace: `requests${++namespaces}`, requestTimeoutMs: 1_000 };
  return () =>
    fleet.node(
      { ...options, heartbeatMs: HEARTBEAT_MS },
      { drainMs: 0, upgradesPerSecond: 0, maxFrameBytes: 4 * 1024 * 1024 },
    );
}

async function waitUntilHeld(from: FleetNode, device: FakeDevice): Promise<void> {
  await eventually(
    () => from.push(device.id, 'hello'),
    (result) => result === 'sent',
  );
  expect(await device.next()).toBe('hello');
}

describe('A request to a device of another process', () => {
  let [one, two] = [] as unknown as [FleetNode, FleetNode];
  let device: FakeDevice;
  beforeEach(async () => {
    const start = starter();
    [one, two] = await Promise.all([start(), start()]);
    device = await two.device('lamp');
    await waitUntilHeld(one, device);
  }, 60_000);

  /**
   * Resolves when the node that asks has heard that what it has asked so far was sent. The device may have a request before
   * that; if it is lost then, nobody knows whether it was sent.
   */
  async function waitUntilHeard(): Promise<void> {
    const later = one.request('lamp', 'later', null);
    (await device.nextRequest()).reply(null);
    await later;
  }

  it('is answered, with a value or a stream of them', async () => {
    const value = one.request('lamp', 'read', { sensor: 3 });
    const request = await device.nextRequest();
    expect([request.event, request.payload]).toEqual(['read', { sensor: 3 }]);
    request.reply({ celsius: 21.5 });
    expect(await value).toEqual({ celsius: 21.5 });

    const values = one.stream('lamp', 'log', null, 3);
    const stream = await device.nextRequest();
    for (const line of ['a', 'b', 'c']) stream.next(line);
    expect(await values).toEqual(['a', 'b', 'c']);
    await stream.cancelled;
  });

  it('is not sent when it is too large for NATS', async () => {
    const large = 'x'.repeat(1_100_000);
    expect(await outcomeOf(one.request('lamp', 'write', large))).toBe('too-large');
    const value = one.request('lamp', 'read', null);
    const request = await device.nextRequest();
    expect(request.event).toBe('read');
    request.reply('small');
    expect(await value).toBe('small');
  });

  it('fails with a text when an answer is too large for NATS', async () => {
    const text = 'x'.repeat(1_100_000);
    const value = one.request('lamp', 'read', null);
    (await device.nextRequest()).reply(text);
    await expect(value).rejects.toThrow(/failed.*max_payload/);

    const values = one.stream('lamp', 'log', null, 3);
    const stream = await device.nextRequest();
    stream.next(text);
    await expect(values).rejects.toMatchObject({ code: 'failed' });
    await stream.cancelled;
  });

  it('is lost when the process that holds the device is killed', async () => {
    const killed = [
      outcomeOf(one.request('lamp', 'read', null)),
      outcomeOf(one.stream('lamp', 'log', null, 1)),
    ];
    await device.nextRequest();
    await device.nextRequest();
    await waitUntilHeard();
    two.kill();
    expect(await Promise.all(killed)).toEqual(['connection_lost', 'connection_lost']);
  });

  it('is lost when the process that holds the device hangs', async () => {
    const hung = outcomeOf(one.request('lamp', 'read', null));
    const request = await device.nextRequest();
    await waitUntilHeard();
    two.freeze();
    expect(await hung).toBe('connection_lost');
    two.thaw();
    await request.cancelled;
  });

  it('is cancelled on the device when the process that asked was killed', async () => {
    void outcomeOf(one.stream('lamp', 'log', null, 1_000));
    const request = await device.nextRequest();
    one.kill();
    await request.cancelled;
  });

  it('is lost when NATS is restarted, and cancelled on the device', async () => {
    const open = outcomeOf(one.request('lamp', 'read', null, 60_000));
    const request = await device.nextRequest();
    await waitUntilHeard();
    await nats.kill();
    expect(await open).toBe('connection_lost');
    await request.cancelled;
    await nats.restart();
    await eventually(
      () => outcomeOf(one.push('lamp', 'back')),
      (result) => result === 'sent',
      30_000,
    );
  }, 60_000);
});

it(`ends each of ${REQUESTS} requests once, while nodes are killed and frozen, and devices move`, async () => {
  const start = starter();
  const random = seeded(SEED);
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)]!;
  const asker = await start();
  const nodes = await Promise.all([start(), start(), start()]);
  const ids = ['a', 'b', 'c', 'd', 'e'];
  const sent = new Map<number, number>();
  const devices = new Map<string, FakeDevice>();
  let frozen: FleetNode | undefined;

  async function serve(device: FakeDevice): Promise<void> {
    for (;;) {
      const request = await device.nextRequest(60_000);
      const [number, afterMs] = request.payload as [number, number];
      sent.set(number, (sent.get(number) ?? 0) + 1);
      // A third is never answered.
      if (afterMs > 1_000) continue;
      setTimeout(() => request.reply(number), afterMs);
    }
  }

  async function come(id: string, node: FleetNode): Promise<void> {
    // A node that was killed or frozen takes no device.
    const connecting = node.device(id).catch(() => undefined);
    const device = await Promise.race([connecting, sleep(1_000)]);
    if (!device) {
      // Nobody would answer what it is asked, or end its streams.
      void connecting.then((late) => late?.disconnect());
      return;
    }
    devices.set(id, device);
    void serve(device).catch(() => undefined);
  }

  const awake = (): FleetNode[] => nodes.filter((node) => node !== frozen);
  try {
    for (const id of ids) await come(id, pick(nodes));
    for (const device of devices.values())
      await eventually(
        () => asker.presence(device.id),
        (entry) => entry?.state === 'online',
      );
    const outcomes = new Map<number, unknown[]>();
    const asked: Promise<void>[] = [];
    for (let number = 0; number < REQUESTS; number++) {
      const ended: unknown[] = [];
      outcomes.set(number, ended);
      const payload = [number, random() * 1_500];
      const value =
        random() < 0.8
          ? asker.request(pick(ids), 'read', payload, 300 + Math.floor(random() * 2_000))
          : asker.stream(pick(ids), 'log', payload, 2).then(([only]) => only);
      asked.push(outcomeOf(value).then((outcome) => void ended.push(outcome)));
      // By chance alone some runs have no kill.
      if (number % 100 === 50) {
        const victim = pick(awake());
        victim.kill();
        nodes.splice(nodes.indexOf(victim), 1, await start());
      } else if (number % 100 === 10) (frozen = pick(nodes)).freeze();
      else if (number % 100 === 40 && frozen) {
        frozen.thaw();
        frozen = undefined;
      } else if (random() < 0.1) await come(pick(ids), pick(awake()));
      await sleep(random() * 40);
    }
    frozen?.thaw();
    await sleep(1_500);
    // What devices never answer ends with their connections.
    for (const device of devices.values()) await device.disconnect();
    await Promise.all(asked);
    const known = ['timeout', 'connection_lost', 'offline', 'busy'];
    const counts: Record<string, number> = {};
    for (const [number, ended] of outcomes) {
      expect(ended).toHaveLength(1);
      const [outcome] = ended;
      expect(sent.get(number) ?? 0).toBeLessThanOrEqual(1);
      if (typeof outcome === 'number') expect([outcome, sent.get(number)]).toEqual([number, 1]);
      else expect(known).toContain(outcome);
      if (outcome === 'offline' || outcome === 'busy') expect(sent.has(number)).toBe(false);
      const kind = typeof outcome === 'number' ? 'value' : String(outcome);
      counts[kind] = (counts[kind] ?? 0) + 1;
    }
    expect(counts['value']).toBeGreaterThan(50);
    expect(counts['connection_lost']).toBeGreaterThan(0);
  } catch (error) {
    throw new Error(`REQUESTS_SEED=${SEED}: ${(error as Error).message}`, { cause: error });
  }
}, 120_000);

async function sleep(ms: number): Promise<undefined> {
  await new Promise((resolve) => setTimeout(resolve, ms));
  return undefined;
}

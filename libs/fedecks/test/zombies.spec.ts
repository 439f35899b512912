import { FedecksClient, type FedecksClientOptions, MemoryTokenStore } from '@fedecks/nest/client';
import { type ChildApp, Program } from './support/child-app.js';
import { ClientLog } from './support/client-log.js';
import { type Cloud, PASSWORD, startCloud } from './support/cloud.js';
import { SwallowingProxy } from './support/swallowing-proxy.js';

const HEARTBEAT = { pingIntervalMs: 100, pongTimeoutMs: 200 };
/** The delay that a busy machine may add to the detection. */
const SLACK_MS = 1_000;
const TICK_MS = 10;

let client: FedecksClient;
let log: ClientLog;
/** Counts the time in which this process runs: a stall delays the detection, too, and is one tick. */
let ticks = 0;
const ticking = setInterval(() => ticks++, TICK_MS);

afterAll(() => clearInterval(ticking));

/** Starts a client that has logged in. */
async function connected(url: string, options: Partial<FedecksClientOptions> = {}): Promise<void> {
  client = new FedecksClient({
    url,
    deviceId: 'nerves-242a',
    tokenStore: new MemoryTokenStore(),
    retryMinMs: 1,
    retryMaxMs: 20,
    closeTimeoutMs: 30,
    ...HEARTBEAT,
    ...options,
  });
  log = new ClientLog(client);
  await client.login({ password: PASSWORD });
  await log.until('connected');
}

/** @param since the number of ticks at the fault. */
async function expectFoundInTime(since: number): Promise<void> {
  expect(await log.until('connection_lost')).toEqual({ type: 'connection_lost', cause: 'heartbeat_missed' });
  const { pingIntervalMs, pongTimeoutMs } = HEARTBEAT;
  expect((ticks - since) * TICK_MS).toBeLessThan(pingIntervalMs + pongTimeoutMs + SLACK_MS);
}

describe('a cloud whose process is frozen (§3.3)', () => {
  let program: Program;
  let app: ChildApp;

  beforeAll(async () => {
    program = await Program.compile('draining-app.ts');
    app = program.start();
  });

  afterAll(async () => {
    await client.stop();
    app.dispose();
  });

  it('is detected within interval and timeout; the device reconnects when it resumes', async () => {
    const port = Number((await app.line()).split(' ')[1]);
    await connected(`ws://127.0.0.1:${port}/fedecks/websocket`, { phaseTimeoutMs: 300 });
    app.kill('SIGSTOP');
    await expectFoundInTime(ticks);
    // Its kernel still accepts connections.
    expect((await log.until('upgrade_failed')).reason).toContain('no answer to the upgrade within 300 ms');
    app.kill('SIGCONT');
    await log.until('connected');
    await client.send('hello');
  });
});

describe('a network between device and cloud', () => {
  let cloud: Cloud;
  let link: SwallowingProxy;

  async function start(idleTimeoutMs = 60_000, options: Partial<FedecksClientOptions> = {}): Promise<void> {
    cloud = await startCloud({ idleTimeoutMs });
    link = await SwallowingProxy.to(cloud.port);
    await connected(link.url, options);
  }

  afterEach(async () => {
    await client.stop();
    await link.close();
    await cloud.close();
  });

  it.each(['from device', 'to device', 'both'] as const)(
    'is detected every time when it drops data (%s), at any moment of the heartbeat (§3.3)',
    async (direction) => {
      await start();
      for (let round = 0; round < 4; round++) {
        // At the start of a ping interval, then later and later in it.
        await new Promise((resolve) => setTimeout(resolve, (round * HEARTBEAT.pingIntervalMs) / 4));
        // It may have lost its connection in a stall of this process.
        await log.rest();
        if (client.status !== 'connected') await log.until('connected');
        const since = ticks;
        link.swallow(direction);
        await expectFoundInTime(since);
        link.pass();
        await log.until('connected');
      }
      await client.send('hello');
      expect(await cloud.messages.next()).toBe('hello');
    },
  );

  it("is detected by the cloud when it drops the device's frames, although the cloud still sends (§2.10)", async () => {
    // The cloud is in this process: the device must not take a stall of it for a dead link.
    await start(500, { pongTimeoutMs: 10_000 });
    const talking = setInterval(() => void cloud.fedecks.push('nerves-242a', 'still here'), 20);
    try {
      link.swallow('from device');
      // The device gets frames, but the cloud gets none and closes the connection.
      expect(await log.until('connection_lost')).toEqual({
        type: 'connection_lost',
        cause: 'closed',
        code: 1000,
      });
      link.pass();
      await log.until('connected');
    } finally {
      clearInterval(talking);
    }
  });

  it("is detected when it resets the device's side only", async () => {
    await start();
    link.reset('device');
    expect(await log.until('connection_lost')).toEqual({ type: 'connection_lost', cause: 'ended' });
    await log.until('connected');
  });

  it('is detected at once when it closes one half of the connection', async () => {
    await start();
    link.halfClose();
    expect(await log.until('connection_lost')).toEqual({ type: 'connection_lost', cause: 'ended' });
    await log.until('connected');
  });

  it('is tolerated when it is slow, but faster than the timeout', async () => {
    // A stall of this process delays the answers further.
    await start(60_000, { pongTimeoutMs: 1_500 });
    link.delay(200);
    // Each answer is delayed in both directions; five take longer than the timeout.
    const answers: unknown[] = [];
    const five = new Promise<void>((resolve) => {
      client.messages$.subscribe((answer) => {
        if (answers.push(answer) === 5) resolve();
        else void client.send('echo', answers.length);
      });
    });
    await client.send('echo', 0);
    await five;
    expect(answers).toEqual([0, 1, 2, 3, 4]);
    expect(client.status).toBe('connected');
    expect(link.open).toBe(1);
  });
});

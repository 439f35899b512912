import { type FedecksOptions, FedecksModule } from '@fedecks/nest';
import { natsBackplane, type NatsBackplaneOptions } from '@fedecks/nest/nats';
import { startApp, type StartedApp } from './support/app.js';
import { eventually } from './support/eventually.js';
import { freePort } from './support/free-port.js';
import { NatsCluster, NatsServer } from './support/nats-server.js';

const QUICK = { requestTimeoutMs: 1_000, heartbeatMs: 300 };

let namespaces = 0;
const open: StartedApp[] = [];
afterEach(() => Promise.all(open.splice(0).map((app) => app.close())));

async function start(nats: NatsBackplaneOptions, options: Partial<FedecksOptions> = {}): Promise<StartedApp> {
  const app = await startApp({
    options: { drainMs: 0, ...options, backplane: natsBackplane({ ...QUICK, ...nats }) },
  });
  open.push(app);
  return app;
}

async function waitUntilUp(...apps: StartedApp[]): Promise<void> {
  for (const { fedecks } of apps) {
    await eventually(
      () => fedecks.health(),
      ({ status }) => status === 'up',
      20_000,
    );
  }
}

async function waitUntilDegraded(...apps: StartedApp[]): Promise<void> {
  for (const { fedecks } of apps) {
    await eventually(
      () => fedecks.health(),
      ({ status }) => status === 'degraded',
    );
  }
}

async function waitForState(app: StartedApp, id: string, state: string): Promise<void> {
  await eventually(
    () => app.fedecks.presence.get(id),
    (entry) => entry?.state === state,
    20_000,
  );
}

describe('While NATS is unreachable', () => {
  let nats: NatsServer;
  beforeAll(async () => (nats = await NatsServer.start()));
  afterEach(() => nats.thaw());
  afterAll(() => nats.close());

  it('keeps devices and local pushes, rejects remote calls in time, and repairs presence afterwards', async () => {
    const shared = { servers: nats.url, namespace: `outage${++namespaces}` };
    const [one, two] = [await start(shared), await start(shared)];
    const stays = await one.device('stays');
    const goes = await one.device('goes');
    const moves = await one.device('moves');
    for (const id of ['stays', 'goes', 'moves']) await waitForState(two, id, 'online');

    await nats.kill();
    await waitUntilDegraded(one, two);
    expect(two.healthIndicator.isHealthy()).toMatchObject({
      fedecks: { status: 'down', reasons: { '/fedecks': expect.stringContaining('127.0.0.1') as string } },
    });
    expect(await one.fedecks.push('stays', 'still here')).toBe('sent');
    expect(await stays.next()).toBe('still here');
    const asked = performance.now();
    for (const refused of [
      two.fedecks.push('stays', 'from afar'),
      two.fedecks.disconnect('stays'),
      two.fedecks.presence.get('stays'),
      two.fedecks.presence.list(),
      two.fedecks.broadcast('for all'),
      two.fedecks.revoke('nobody'),
    ]) {
      await expect(refused).rejects.toMatchObject({ name: 'BackplaneError', code: 'unavailable' });
    }
    expect(performance.now() - asked).toBeLessThan(2 * QUICK.requestTimeoutMs);
    // Devices may connect and disconnect meanwhile; a token is checked against the revocations known before.
    await goes.disconnect();
    const moved = await two.device('moves', moves.token);
    const came = await two.device('came');
    expect(await two.fedecks.push('came', 'welcome')).toBe('sent');
    expect(await came.next()).toBe('welcome');

    await nats.restart();
    await waitUntilUp(one, two);
    expect(await moves.closed).toMatchObject({ code: 4152 });
    await waitForState(one, 'goes', 'offline');
    for (const id of ['stays', 'moves', 'came']) await waitForState(one, id, 'online');
    for (const app of [one, two]) {
      await eventually(
        () => app.fedecks.push('moves', 'where you are'),
        (result) => result === 'sent',
      );
    }
    expect(await moved.next()).toBe('where you are');
    expect(await two.fedecks.push('stays', 'from afar')).toBe('sent');
    expect(await stays.next()).toBe('from afar');
    // revoke() was rejected, so this device may log in.
    await eventually(
      () => one.device('nobody').then((device) => device.disconnect()),
      () => true,
    );
  });

  it('rejects a pending push when NATS freezes, and does not retry it', async () => {
    const shared = { servers: nats.url, namespace: `outage${++namespaces}`, heartbeatMs: 5_000 };
    const [one, two] = [await start(shared), await start(shared)];
    const device = await one.device('lamp');
    await waitForState(two, 'lamp', 'online');
    await nats.freeze();
    const push = two.fedecks.push('lamp', 'once');
    await expect(push).rejects.toMatchObject({ name: 'BackplaneError', code: 'timeout' });
    nats.thaw();
    await waitUntilUp(one, two);
    await eventually(
      () => two.fedecks.push('lamp', 'marker').catch(() => 'not yet'),
      (result) => result === 'sent',
    );
    // The timed-out push may have been delivered when the server resumed, but at most once.
    const messages = [await device.next()];
    if (messages[0] === 'once') messages.push(await device.next());
    expect(messages[messages.length - 1]).toBe('marker');
  });

  it('limits pending pushes to maxPending', async () => {
    const shared = { servers: nats.url, namespace: `outage${++namespaces}`, heartbeatMs: 5_000 };
    const one = await start(shared);
    const two = await start({ ...shared, maxPending: 3 });
    await one.device('lamp');
    await waitForState(two, 'lamp', 'online');
    await nats.freeze();
    const pushes = Array.from({ length: 5 }, () => two.fedecks.push('lamp', 1));
    const codes = (await Promise.allSettled(pushes)).map(
      (each) => (each as { reason?: { code: string } }).reason?.code,
    );
    nats.thaw();
    expect(codes.slice(3)).toEqual(['overloaded', 'overloaded']);
    expect(new Set(codes.slice(0, 3))).toEqual(new Set(['timeout']));
    await waitUntilUp(two);
  });
});

describe('An app that starts without NATS', () => {
  it('serves its devices, answers tokens with 503, and recovers when NATS starts', async () => {
    const port = await freePort();
    const nats = NatsServer.on(port);
    try {
      const app = await start({ servers: nats.url, namespace: `outage${++namespaces}` });
      expect(app.fedecks.health()).toMatchObject({ status: 'degraded' });
      const device = await app.device('lamp');
      expect(await app.fedecks.push('lamp', 'hi')).toBe('sent');
      // The node cannot know whether it was revoked.
      await expect(app.device('lamp', device.token)).rejects.toThrow('503');
      await nats.restart();
      await waitUntilUp(app);
      await waitForState(app, 'lamp', 'online');
      await expect(app.device('lamp', device.token)).resolves.toBeDefined();
    } finally {
      await Promise.all(open.splice(0).map((app) => app.close()));
      await nats.close();
    }
  });

  it('closes without waiting for NATS, and leaves nothing open', async () => {
    const app = await start({ servers: `nats://127.0.0.1:${await freePort()}` });
    await app.device();
    const began = performance.now();
    await app.close();
    open.length = 0;
    expect(performance.now() - began).toBeLessThan(3_000);
  });
});

describe('A cluster of three NATS servers', () => {
  it('keeps pushes, presence and revocations when one server is killed', async () => {
    const cluster = await NatsCluster.start();
    try {
      const shared = {
        servers: cluster.urls,
        namespace: 'clustered',
        replicas: 3 as const,
        requestTimeoutMs: 2_000,
      };
      const [one, two] = [await start(shared), await start(shared)];
      await waitUntilUp(one, two);
      const device = await one.device('lamp');
      await waitForState(two, 'lamp', 'online');
      const revoked = await one.device('revoked');
      await two.fedecks.revoke('revoked');
      expect(await revoked.closed).toMatchObject({ code: 4150 });

      // The nodes may be connected to this server, and it may lead the streams.
      const [server] = cluster.servers as [NatsServer];
      await server.kill();
      // A push during the failover may fail with an error; one that resolves with 'sent' has arrived, once.
      await eventually(
        () => two.fedecks.push('lamp', 'after').catch(() => 'not yet'),
        (result) => result === 'sent',
        20_000,
      );
      await waitUntilUp(one, two);
      expect(await two.fedecks.push('lamp', 'marker')).toBe('sent');
      const messages = [await device.next(), await device.next()];
      expect(messages).toEqual(['after', 'marker']);
      await waitForState(one, (await two.device('came')).id, 'online');
      await expect(two.device('revoked', revoked.token)).rejects.toThrow('403');
      await server.restart();
      await waitForState(two, (await one.device('came later')).id, 'online');
    } finally {
      await Promise.all(open.splice(0).map((app) => app.close()));
      await cluster.close();
    }
  }, 90_000);
});

describe('The options of natsBackplane', () => {
  it('rejects invalid options, all in one error', () => {
    const wrong = {
      servers: [],
      namespace: 'a.b',
      heartbeatMs: 0,
      replicas: 2,
      user: 'u',
      token: 't',
      serverz: 1,
    };
    expect(() => natsBackplane(wrong as unknown as NatsBackplaneOptions)).toThrow(
      /^natsBackplane: .*'serverz' does not exist: did you mean 'servers'.*'servers' must.*only one.*together.*'namespace'.*'replicas'.*'heartbeatMs'/,
    );
  });

  it('rejects `revocations` together with `backplane`', async () => {
    const options = { backplane: natsBackplane({ servers: 'nats://127.0.0.1:1' }) };
    const revocations = { revoke: () => undefined, revokedAt: () => undefined };
    await expect(startApp({ options: { ...options, revocations } })).rejects.toThrow(/Remove 'revocations'/);
    await expect(
      startApp({ imports: [FedecksModule.forRoot({ backplane: 'nats' } as never)] }),
    ).rejects.toThrow(/'backplane' must be the result of natsBackplane/);
  });
});

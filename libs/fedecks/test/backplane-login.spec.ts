import { FedecksGateway } from '@fedecks/nest';
import { natsBackplane, type NatsBackplaneOptions } from '@fedecks/nest/nats';
import { startApp, type StartedApp } from './support/app.js';
import { Certificates } from './support/certificates.js';
import { blocksIn } from './support/documents.js';
import { deviceQueue } from './support/device-queue.js';
import { eventually } from './support/eventually.js';
import { NatsOperator } from './support/nats-operator.js';
import { NatsServer } from './support/nats-server.js';

type Login = Omit<NatsBackplaneOptions, 'servers'>;

const SECRET = 'do-not-tell';
const open: StartedApp[] = [];
const servers: NatsServer[] = [];
const certificates = new Certificates();
const lines: string[] = [];

afterEach(async () => {
  await Promise.all(open.splice(0).map((app) => app.close()));
  await Promise.all(servers.splice(0).map((server) => server.close()));
  lines.length = 0;
});
afterAll(() => certificates.remove());

async function server(config: string): Promise<NatsServer> {
  const nats = await NatsServer.configured(config);
  servers.push(nats);
  return nats;
}

async function start({ url }: NatsServer, login: Login): Promise<StartedApp> {
  const record = (line: unknown): void => void lines.push(String(line));
  const app = await startApp({
    options: { drainMs: 0, backplane: natsBackplane({ servers: url, requestTimeoutMs: 2_000, ...login }) },
    setUp: (nest) => nest.useLogger({ log: record, warn: record, error: record }),
  });
  open.push(app);
  return app;
}

/** Checks that two nodes with that login can use everything a fleet needs. */
async function expectNodesWork(nats: NatsServer, login: Login): Promise<void> {
  const [one, two] = [await start(nats, login), await start(nats, login)];
  for (const { fedecks } of [one, two]) expect(fedecks.health()).toEqual({ status: 'up' });
  const changed: string[] = [];
  two.fedecks.presence.changes$.subscribe(({ id }) => changed.push(id));
  const device = await one.device();
  await eventually(
    () => two.fedecks.presence.get(device.id),
    (entry) => entry?.state === 'online',
  );
  expect(await two.fedecks.push(device.id, 'hi')).toBe('sent');
  expect(await device.next()).toBe('hi');
  expect((await two.fedecks.presence.list()).entries).toHaveLength(1);
  const store = two.nest.get(FedecksGateway).backplane.deliveries!;
  expect(await store.claim('/fedecks', device.id)).toMatchObject({ handled: [] });
  await store.writeMessage('/fedecks', device.id, 'm', Buffer.of(7));
  expect(await store.readMessage('/fedecks', device.id, 'm')).toEqual(Buffer.of(7));
  await store.removeMessages('/fedecks', device.id, ['m']);
  const queue = deviceQueue({ revision: 1, dueAt: 1 });
  expect(await store.writeQueue('/fedecks', device.id, queue, undefined)).toBe(true);
  expect(await store.dueQueues('/fedecks', 1, 10)).toEqual([device.id]);
  expect(await store.writeQueue('/fedecks', device.id, undefined, 1)).toBe(true);
  expect(await store.readQueue('/fedecks', device.id)).toBeUndefined();
  await two.fedecks.revoke(device.id);
  expect(await device.closed).toMatchObject({ code: 4150 });
  await eventually(
    () => changed,
    (ids) => ids.includes(device.id),
  );
  // NATS has rejected nothing: that would only be logged.
  expect(lines.filter((line) => line.includes('failed'))).toEqual([]);
}

/** The error message of an app that fails at start-up. */
async function refusal(nats: NatsServer, login: Login): Promise<string> {
  const error: unknown = await start(nats, login).catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ name: 'BackplaneError', code: 'unavailable' });
  return (error as Error).message;
}

describe('A NATS server with a user and a password', () => {
  it('accepts nodes with the right password; an app with another one fails at start-up', async () => {
    const nats = await server(`authorization { user: fleet, password: "${SECRET}" }`);
    await expectNodesWork(nats, { user: 'fleet', pass: SECRET });
    expect(await refusal(nats, { user: 'fleet', pass: `${SECRET}-2` })).toMatch(/rejects 'user' and 'pass'/);
    expect(await refusal(nats, {})).toMatch(
      /requires authentication: set 'user' and 'pass', 'token' or 'creds'/,
    );
    expect(lines.join('\n')).not.toContain(SECRET);
  });

  it('needs only the permissions of docs/how-to/many-nodes.md; the node logs a permissions violation', async () => {
    const config = blocksIn('libs/fedecks/docs/how-to/many-nodes.md').find(
      ({ language }) => language === 'conf',
    )!.text;
    await expectNodesWork(await server(config), { user: 'fleet', pass: SECRET });

    await start(await server(config.replace('subscribe: ["fedecks.>", ', 'subscribe: [')), {
      user: 'fleet',
      pass: SECRET,
    });
    await eventually(
      () => lines,
      (all) => all.some((line) => /failed to use NATS: Permissions Violation for Subscription/.test(line)),
    );
  });

  it('degrades nodes while their password is wrong, and keeps their devices', async () => {
    const config = (password: string): string => `authorization { user: fleet, password: "${password}" }`;
    const nats = await server(config(SECRET));
    const app = await start(nats, { user: 'fleet', pass: SECRET });
    const device = await app.device();
    await nats.kill();
    nats.configure(config('another'));
    await nats.restart();
    await eventually(
      () => app.fedecks.health(),
      (health) => JSON.stringify(health).includes("rejects 'user' and 'pass'"),
    );
    expect(await app.fedecks.push(device.id, 'still here')).toBe('sent');
    await nats.kill();
    nats.configure(config(SECRET));
    await nats.restart();
    await eventually(
      () => app.fedecks.health(),
      ({ status }) => status === 'up',
      20_000,
    );
    expect(lines.join('\n')).not.toContain(SECRET);
  });
});

it('A NATS server with a token accepts nodes that present it; an app with another token fails at start-up', async () => {
  const nats = await server(`authorization { token: "${SECRET}" }`);
  await expectNodesWork(nats, { token: SECRET });
  expect(await refusal(nats, { token: `${SECRET}-2` })).toMatch(/rejects 'token'/);
  expect(lines.join('\n')).not.toContain(SECRET);
});

it('A NATS server with an operator accepts nodes with its credentials; an app with others fails at start-up', async () => {
  const operator = new NatsOperator();
  const nats = await server(operator.config);
  await expectNodesWork(nats, { creds: operator.creds() });
  expect(await refusal(nats, { creds: new NatsOperator().creds() })).toMatch(/rejects 'creds'/);
  expect(lines.join('\n')).not.toMatch(/SEED|eyJ/);
});

describe('A NATS server with TLS', () => {
  const ca = certificates.make({ name: 'Fleet CA', isCa: true });
  const other = certificates.make({ name: 'Another CA', isCa: true });
  const cloud = certificates.make({ name: 'nats', alt: 'DNS:localhost,IP:127.0.0.1', issuer: ca });
  const node = certificates.make({ name: 'node', issuer: ca });
  const stranger = certificates.make({ name: 'node', issuer: other });
  const tls = `cert_file: "${cloud.certFile}", key_file: "${cloud.keyFile}"`;

  it('connects when the CA is configured, fails at start-up otherwise', async () => {
    const nats = await server(`tls { ${tls} }`);
    await expectNodesWork(nats, { tls: { ca: ca.cert } });
    expect(await refusal(nats, { tls: { ca: other.cert } })).toMatch(
      /does not trust .* \(UNABLE_.*\): check 'tls.ca'/,
    );
    for (const login of [{}, { tls: {} }])
      expect(await refusal(nats, login)).toMatch(/set 'tls.ca' to the CA/);
  });

  it('accepts nodes with a certificate of its CA; other apps fail at start-up', async () => {
    const nats = await server(`tls { ${tls}, ca_file: "${ca.certFile}", verify: true }`);
    await expectNodesWork(nats, { tls: { ca: ca.cert, cert: node.cert, key: node.key } });
    expect(await refusal(nats, { tls: { ca: ca.cert } })).toMatch(/set 'tls.cert' and 'tls.key'/);
    const { cert, key } = stranger;
    expect(await refusal(nats, { tls: { ca: ca.cert, cert, key } })).toMatch(/may have rejected 'tls.cert'/);
  });

  it('fails at start-up when TLS is configured and the server has none', async () => {
    expect(await refusal(await server(''), { tls: { ca: ca.cert } })).toMatch(
      /does not offer TLS: remove 'tls'/,
    );
  });

  it('rejects TLS options that are not PEM, or incomplete', () => {
    const message = (login: Login): string => {
      try {
        natsBackplane({ servers: 'nats://127.0.0.1', ...login });
      } catch (error) {
        return (error as Error).message;
      }
      return 'nothing';
    };
    expect(message({ tls: { ca: ca.certFile } })).toMatch(
      /'tls' is invalid: 'ca' must be a PEM text, not a path/,
    );
    expect(message({ tls: { cert: node.cert } })).toMatch(/'cert' and 'key' go together/);
    expect(message({ tls: { cert: node.cert, key: cloud.key } })).toMatch(
      /a certificate and its private key/,
    );
    expect(message({ tls: null as never })).toMatch(/\{ ca, cert, key \}/);
    expect(message({ creds: '/etc/nats.creds' })).toMatch(/'creds' must be the text/);
    expect(message({ token: '' })).toMatch(/'token' must be a non-empty string/);
    expect(message({ servers: `nats://fleet:${SECRET}@127.0.0.1` } as Login)).toMatch(
      /^(?!.*do-not).*must not contain a user/,
    );
  });
});

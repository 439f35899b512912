import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Logger, type Type } from '@nestjs/common';
import { type NestExpressApplication } from '@nestjs/platform-express';
import { Fedecks } from '@fedecks/nest';
import { FedecksClient, MemoryTokenStore } from '@fedecks/nest/client';
import { FakeDevice } from '@fedecks/nest/testing';
import { argon2id, hash } from 'argon2';
import { WebSocket } from 'ws';
import { eventually } from '../../../../libs/fedecks/test/support/eventually.js';
import { Inbox } from '../../../../libs/fedecks/test/support/inbox.js';
import { RawPeer, upgradeRequest } from '../../../../libs/fedecks/test/support/raw-peer.js';
import { str, strMap, term } from '../../../../libs/fedecks/test/support/term-bytes.js';
import { Tokens } from '../../../../libs/fedecks/src/server/token.js';
import { ActorCache } from '../../src/access/actor-cache.js';
import { createApp } from '../../src/app.js';
import { type Config } from '../../src/config.js';
import { Database } from '../../src/database/database.js';
import { DatabaseLink } from '../../src/database/database-link.js';
import { type Login } from '../../src/devices/logins-file.js';
import { CloudMetrics } from '../../src/operations/cloud-metrics.js';
import { type OperationsConfig } from '../../src/operations/operations-config.js';
import { BatchWriter } from '../../src/recording/batch-writer.js';
import { deleteRows, TestDatabase } from './test-database.js';

export const API_KEY = 'key-of-the-operators';
export const CREDENTIALS = { username: 'gardener', password: 'open sesame' };
const SECRET = 'x'.repeat(32);
const QUICK_HASH = quickHash(CREDENTIALS.password);

/** An item that an operator at `/live` has received. */
export interface Shown {
  readonly event: string;
  readonly data: unknown;
}

/** An operator at `/live`, and how its upgrade was rejected or its connection ended. */
export interface Operator {
  readonly socket: WebSocket;
  readonly shown: Inbox<Shown>;
  readonly refused: Inbox<number | undefined>;
  readonly closed: Inbox<{ code: number; reason: string }>;
}

export interface RawLogin {
  readonly password?: string;
  /** Instead of user name and password. */
  readonly credentials?: Readonly<Record<string, string>>;
  readonly localAddress?: string;
  readonly forwardedFor?: string;
}

/** As without any variable. */
const OPERATIONS: OperationsConfig = {
  metricsPort: undefined,
  drainDelayMs: 0,
  requestsPerMinute: 10_000,
  logFormat: 'text',
  offlineGraceMs: 60_000,
  webhook: undefined,
};

/** What differs from a start without any variable. */
export interface TestConfig extends Partial<Omit<Config, 'operations'>> {
  readonly operations?: Partial<OperationsConfig>;
}

/** The composed app on a free port of this machine, with the devices and operators a test opens. */
export class CloudApi {
  private readonly clients: FedecksClient[] = [];
  private readonly operators: WebSocket[] = [];
  private ending: Promise<void> | undefined;

  private constructor(
    private readonly app: NestExpressApplication,
    private readonly directory: string,
    /** Undefined: the test has given one. */
    private readonly database: TestDatabase | undefined,
    readonly port: number,
  ) {}

  /** @param log gets the lines of the app's log. */
  static async start({ operations, ...given }: TestConfig = {}, log?: string[]): Promise<CloudApi> {
    // Off, because many tests cause errors that the app logs.
    if (log) recordLogIn(log);
    else Logger.overrideLogger(false);
    const directory = await mkdtemp(join(tmpdir(), 'cloud-api-test-'));
    const loginsFile = join(directory, 'logins.json');
    await writeFile(loginsFile, '{}');
    const database = given.database === undefined ? await TestDatabase.create() : undefined;
    const config = {
      database: given.database ?? database!.config,
      host: '127.0.0.1',
      port: 0,
      secrets: [SECRET],
      apiKey: API_KEY,
      loginsFile,
      natsServers: [],
      trustedProxies: [],
      operations: { ...OPERATIONS, ...operations },
      ...given,
    };
    const app = await createApp(config);
    await app.listen(config.port, config.host);
    // The app does not wait for longer than 5 s. On a busy machine an embedded database takes longer, and is sure to come.
    if (config.database.url === undefined) {
      const link = app.get(DatabaseLink);
      await eventually(
        () => link.isReady,
        (isReady) => isReady,
        60_000,
      );
    }
    const { port } = app.getHttpServer().address() as AddressInfo;
    const cloud = new CloudApi(app, directory, database, port);
    await cloud.writeLogins({ devices: ['greenhouse-1', 'greenhouse-2', 'a/b c'] });
    return cloud;
  }

  /** Records the app's log until the test ends. */
  recordLog(): readonly string[] {
    const lines: string[] = [];
    recordLogIn(lines);
    return lines;
  }

  /** Writes the logins file, with one login: that of `CREDENTIALS`, unless `given` says otherwise. */
  async writeLogins(given: Partial<Login>): Promise<void> {
    const login = { password: await QUICK_HASH, devices: ['*'], ...given };
    await writeFile(join(this.directory, 'logins.json'), JSON.stringify({ [CREDENTIALS.username]: login }));
  }

  /** Creates a device without connecting it. */
  device(deviceId: string): FedecksClient {
    const url = `ws://127.0.0.1:${this.port}/fedecks/websocket`;
    const client = new FedecksClient({ url, deviceId, tokenStore: new MemoryTokenStore() });
    this.clients.push(client);
    return client;
  }

  /** Connects a device, and records its messages. */
  async connect(deviceId: string): Promise<{ device: FedecksClient; received: Inbox<unknown> }> {
    const device = this.device(deviceId);
    const received = new Inbox<unknown>(`message for ${deviceId}`);
    device.messages$.subscribe((message) => received.put(message));
    await device.login(CREDENTIALS);
    return { device, received };
  }

  /** Connects a device that asks, answers and delivers as the test says. */
  fakeDevice(deviceId: string): Promise<FakeDevice> {
    return FakeDevice.connect(this.app, { id: deviceId, credentials: CREDENTIALS });
  }

  /** Connects one that has a token already: no password is checked, which takes long. */
  fakeDeviceWithToken(deviceId: string): Promise<FakeDevice> {
    const token = new Tokens([SECRET], 3_600_000).issue(deviceId, undefined, { generation: 0, expiresAt: 0 });
    return FakeDevice.connect(this.app, { id: deviceId, token });
  }

  /** Connects a device that speaks protocol 1, as Elixir devices do. */
  async connectProtocol1(deviceId: string): Promise<RawPeer> {
    const peer = await RawPeer.connect(this.port);
    const auth = authOf(deviceId, CREDENTIALS);
    peer.write(upgradeRequest({ headers: { 'x-fedecks-auth': auth } }));
    const { statusLine } = await peer.response(15_000);
    expect(statusLine).toBe('HTTP/1.1 101 Switching Protocols');
    return peer;
  }

  /** The status for a device that logs in from this local address, with an X-Forwarded-For header. */
  async statusOfLogin(
    deviceId: string,
    { password, credentials, localAddress = '127.0.0.1', forwardedFor }: RawLogin = {},
  ): Promise<number> {
    const peer = await RawPeer.connect(this.port, { localAddress });
    const auth = authOf(
      deviceId,
      credentials ?? { ...CREDENTIALS, ...(password !== undefined && { password }) },
    );
    const headers = { 'x-fedecks-auth': auth, 'x-forwarded-for': forwardedFor };
    peer.write(upgradeRequest({ headers }));
    try {
      const { statusLine } = await peer.response(15_000);
      return Number(statusLine.split(' ')[1]);
    } finally {
      peer.destroy();
    }
  }

  /** An operator at `/live`, with these headers in its upgrade request, and this query in its URL. */
  watch(headers: Readonly<Record<string, string>> = { 'x-api-key': API_KEY }, view = ''): Operator {
    const socket = new WebSocket(`ws://127.0.0.1:${this.port}/live${view}`, { headers });
    this.operators.push(socket);
    const shown = new Inbox<Shown>('live event');
    const closed = new Inbox<{ code: number; reason: string }>('close of the live stream');
    const refused = new Inbox<number | undefined>('refusal of the live stream');
    socket.on('unexpected-response', (request, { statusCode }) => {
      refused.put(statusCode);
      request.destroy();
    });
    socket.on('error', () => undefined);
    socket.on('message', (text: Buffer) => shown.put(JSON.parse(text.toString()) as Shown));
    socket.on('close', (code, reason) => closed.put({ code, reason: reason.toString() }));
    return { socket, shown, refused, closed };
  }

  /** Something that the app provides. */
  get<Provided>(type: Type<Provided>): Provided {
    return this.app.get(type);
  }

  /** The application's service, for tests beyond the operators' API. */
  get fedecks(): Fedecks {
    return this.app.get(Fedecks);
  }

  /** The value of a metric with these labels, or with any that agree. */
  async metric(name: string, labels: Readonly<Record<string, string>> = {}): Promise<number | undefined> {
    const found = await this.get(CloudMetrics).registry.getSingleMetric(name)?.get();
    const wanted = Object.entries(labels);
    return found?.values.find((each) => wanted.every(([label, value]) => each.labels[label] === value))
      ?.value;
  }

  async http(
    method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE',
    path: string,
    { headers = { 'x-api-key': API_KEY }, body }: { headers?: Record<string, string>; body?: string } = {},
  ): Promise<{ status: number; body: unknown; location?: string | undefined }> {
    const response = await fetch(`http://127.0.0.1:${this.port}${path}`, {
      method,
      headers: { ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
      ...(body !== undefined && { body }),
    });
    const location = response.headers.get('location') ?? undefined;
    const text = await response.text();
    return { status: response.status, body: text === '' ? undefined : JSON.parse(text), location };
  }

  /** Ends what a test has opened, before the next one with the same app. Resolves when no device is connected. */
  async disconnectAll(): Promise<void> {
    for (const operator of this.operators.splice(0)) operator.terminate();
    await Promise.all(this.clients.splice(0).map((client) => client.stop()));
    for (const { id } of this.fedecks.devices()) await this.fedecks.disconnect(id);
    await eventually(
      () => this.fedecks.devices().length,
      (count) => count === 0,
    );
  }

  /**
   * Leaves nothing to the next test with the same app: neither connections nor rows. What the app remembers stays: failed
   * logins, revocations, what it counts and shows live.
   */
  async empty(): Promise<void> {
    await this.disconnectAll();
    await this.written();
    await deleteRows(this.get(Database));
    this.get(ActorCache).clear();
  }

  /** Resolves when the database has what devices did. */
  async written(): Promise<void> {
    const writer = this.get(BatchWriter);
    await eventually(
      () => writer.waiting,
      (rows) => rows === 0,
    );
  }

  /** Ends the app while its devices are connected. */
  end(): Promise<void> {
    return (this.ending ??= this.app.close());
  }

  /** May be called twice. */
  async close(): Promise<void> {
    for (const operator of this.operators) operator.terminate();
    await Promise.all(this.clients.map((client) => client.stop()));
    await this.end();
    await this.database?.close();
    await rm(this.directory, { recursive: true, force: true });
  }
}

/** A hash that is checked in a millisecond: one by `hashPassword` takes 80 on purpose. */
export function quickHash(password: string): Promise<string> {
  return hash(password, { type: argon2id, memoryCost: 1_024, timeCost: 2 });
}

function recordLogIn(lines: string[]): void {
  const record = (line: unknown): void => void lines.push(String(line));
  Logger.overrideLogger({ log: record, warn: record, error: record });
}

/** The auth header of a login. */
function authOf(deviceId: string, credentials: Readonly<Record<string, string>>): string {
  const fields = Object.entries({ 'fedecks-device-id': deviceId, ...credentials });
  return term(strMap(Object.fromEntries(fields.map(([name, text]) => [name, str(text)])))).toString('base64');
}

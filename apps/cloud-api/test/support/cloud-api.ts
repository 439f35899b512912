import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Logger, type Type } from '@nestjs/common';
import { type NestExpressApplication } from '@nestjs/platform-express';
import { Fedecks } from '@fedecks/nest';
import { FedecksClient, MemoryTokenStore } from '@fedecks/nest/client';
import { FakeDevice } from '@fedecks/nest/testing';
import { WebSocket } from 'ws';
import { Inbox } from '../../../../libs/fedecks/test/support/inbox.js';
import { RawPeer, upgradeRequest } from '../../../../libs/fedecks/test/support/raw-peer.js';
import { str, strMap, term } from '../../../../libs/fedecks/test/support/term-bytes.js';
import { createApp } from '../../src/app.js';
import { type Config } from '../../src/config.js';
import { type Login } from '../../src/devices/logins-file.js';
import { type OperationsConfig } from '../../src/operations/operations-config.js';
import { hashPassword } from '../../src/devices/password.js';

export const API_KEY = 'key-of-the-operators';
export const CREDENTIALS = { username: 'gardener', password: 'open sesame' };
/** Created once, as hashing is slow on purpose. */
const PASSWORD_HASH = hashPassword(CREDENTIALS.password);

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

interface TestConfig extends Partial<Omit<Config, 'operations'>> {
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
    readonly port: number,
  ) {}

  static async start({ operations, ...given }: TestConfig = {}): Promise<CloudApi> {
    // Off, because many tests cause errors that the app logs.
    Logger.overrideLogger(false);
    const directory = await mkdtemp(join(tmpdir(), 'cloud-api-test-'));
    const loginsFile = join(directory, 'logins.json');
    await writeFile(loginsFile, '{}');
    const config = {
      host: '127.0.0.1',
      port: 0,
      secrets: ['x'.repeat(32)],
      apiKey: API_KEY,
      loginsFile,
      natsServers: [],
      trustedProxies: [],
      operations: { ...OPERATIONS, ...operations },
      ...given,
    };
    const app = await createApp(config);
    await app.listen(config.port, config.host);
    const { port } = app.getHttpServer().address() as AddressInfo;
    const cloud = new CloudApi(app, directory, port);
    await cloud.writeLogins({ devices: ['greenhouse-1', 'greenhouse-2', 'a/b c'] });
    return cloud;
  }

  /** Records the app's log until the test ends. */
  recordLog(): readonly string[] {
    const lines: string[] = [];
    const record = (line: unknown): void => void lines.push(String(line));
    Logger.overrideLogger({ log: record, warn: record, error: record });
    return lines;
  }

  /** Writes the logins file, with one login: that of `CREDENTIALS`, unless `given` says otherwise. */
  async writeLogins(given: Partial<Login>): Promise<void> {
    const login = { password: await PASSWORD_HASH, devices: ['*'], ...given };
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

  /** Connects a device that speaks protocol 1, as Elixir devices do. */
  async connectProtocol1(deviceId: string): Promise<RawPeer> {
    const peer = await RawPeer.connect(this.port);
    const auth = loginOf(deviceId, CREDENTIALS.password);
    peer.write(upgradeRequest({ headers: { 'x-fedecks-auth': auth } }));
    const { statusLine } = await peer.response(15_000);
    expect(statusLine).toBe('HTTP/1.1 101 Switching Protocols');
    return peer;
  }

  /** The status for a device that logs in from this local address, with an X-Forwarded-For header. */
  async statusOfLogin(
    deviceId: string,
    { password = CREDENTIALS.password, localAddress = '127.0.0.1', forwardedFor }: RawLogin = {},
  ): Promise<number> {
    const peer = await RawPeer.connect(this.port, { localAddress });
    const headers = { 'x-fedecks-auth': loginOf(deviceId, password), 'x-forwarded-for': forwardedFor };
    peer.write(upgradeRequest({ headers }));
    try {
      const { statusLine } = await peer.response(15_000);
      return Number(statusLine.split(' ')[1]);
    } finally {
      peer.destroy();
    }
  }

  /** An operator with these headers in the upgrade request of `/live`. */
  watch(headers: Readonly<Record<string, string>> = { 'x-api-key': API_KEY }): Operator {
    const socket = new WebSocket(`ws://127.0.0.1:${this.port}/live`, { headers });
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

  async http(
    method: 'GET' | 'POST' | 'DELETE',
    path: string,
    { headers = { 'x-api-key': API_KEY }, body }: { headers?: Record<string, string>; body?: string } = {},
  ): Promise<{ status: number; body: unknown; location?: string | undefined }> {
    const response = await fetch(`http://127.0.0.1:${this.port}${path}`, {
      method,
      headers: { ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
      ...(body !== undefined && { body }),
    });
    const location = response.headers.get('location') ?? undefined;
    return { status: response.status, body: await response.json(), location };
  }

  /** Ends the app while its devices are connected. */
  end(): Promise<void> {
    return (this.ending ??= this.app.close());
  }

  async close(): Promise<void> {
    for (const operator of this.operators) operator.terminate();
    await Promise.all(this.clients.map((client) => client.stop()));
    await this.end();
    await rm(this.directory, { recursive: true });
  }
}

/** The auth header of a login. */
function loginOf(deviceId: string, password: string): string {
  const fields = {
    'fedecks-device-id': str(deviceId),
    username: str(CREDENTIALS.username),
    password: str(password),
  };
  return term(strMap(fields)).toString('base64');
}

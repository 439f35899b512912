/**
 * A cloud as a user of the package composes it, for black-box tests.
 *
 *     const cloud = await startCloud({ idleTimeoutMs: 400 });
 *     const device = await cloud.open({ deviceId: 'nerves-242a' });      // a raw peer, upgraded
 *     await cloud.messages.next();                                       // a message that @OnMessage() got
 *     await cloud.errors.next();                                         // an error that @OnSocketError() got
 *     await cloud.close();
 *
 * What a device may say to it: `{"echo", Term}` is answered with the term; `{"stop", _}`, `{"boom", _}`, `{"nan", _}`
 * and `{"fake token", _}` do what they say; any other message is answered with `"heard"`, a raw one with `"raw"`.
 */
import { type Server } from 'node:http';
import { type INestApplication, Injectable, type Type } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import {
  type Credentials,
  type DeviceAuthenticator,
  DeviceId,
  Fedecks,
  FedecksModule,
  OnDisconnected,
  OnMessage,
  OnRawMessage,
  OnSocketError,
  Payload,
  type SocketError,
  stop,
} from '@fedecks/nest';
import { type Term, tuple } from '@fedecks/nest/wire';
import { Inbox } from './inbox.js';
import { RawPeer, type Response, upgradeRequest } from './raw-peer.js';
import { str, strMap, term } from './term-bytes.js';

export const PASSWORD = 'open sesame';

/** The header's text: standard Base64 of a map with binary keys. */
export function authHeader(fields: Readonly<Record<string, Uint8Array>>): string {
  return term(strMap(fields)).toString('base64');
}

/** The header of a device that logs in with the password. */
export function loginHeader(deviceId: string, password = PASSWORD): string {
  return authHeader({ 'fedecks-device-id': str(deviceId), password: str(password) });
}

/** The header of a device with a token. */
export function tokenHeader(deviceId: string, token: string): string {
  return authHeader({ 'fedecks-device-id': str(deviceId), 'fedecks-token': str(token) });
}

@Injectable()
class PasswordLogin implements DeviceAuthenticator {
  /** The device ids whose credentials were checked, in order. */
  readonly asked: string[] = [];

  async authenticate(credentials: Credentials, device: { id: string }): Promise<boolean> {
    this.asked.push(device.id);
    // A real one queries a database: bytes that arrive meanwhile must be kept.
    await new Promise((resolve) => setImmediate(resolve));
    if (credentials['password'] === 'boom') throw new Error('the database is gone');
    return credentials['password'] === PASSWORD;
  }
}

@Injectable()
class Application {
  readonly messages = new Inbox<Term>('message for the application');
  readonly rawMessages = new Inbox<Buffer>('raw message for the application');
  readonly errors = new Inbox<SocketError>('socket error');
  readonly disconnected = new Inbox<string>('disconnect');

  @OnMessage('echo')
  echo(@Payload() payload: Term) {
    return payload;
  }

  @OnMessage('stop')
  stop() {
    return stop();
  }

  @OnMessage('boom')
  boom() {
    throw new Error('the greenhouse is on fire');
  }

  @OnMessage('nan')
  nan() {
    return NaN;
  }

  @OnMessage('fake token')
  fakeToken() {
    return tuple([...Buffer.from('token')], 'stolen');
  }

  @OnMessage()
  any(@Payload() message: Term) {
    this.messages.put(message);
    return 'heard';
  }

  @OnRawMessage()
  raw(@Payload() bytes: Uint8Array) {
    // A copy, because a handler may get a view of a buffer that is reused.
    this.rawMessages.put(Buffer.from(bytes));
    return 'raw';
  }

  @OnDisconnected()
  gone(@DeviceId() id: string) {
    this.disconnected.put(id);
  }

  @OnSocketError()
  error(@Payload() error: SocketError) {
    this.errors.put(error);
  }
}

type Options = Parameters<typeof FedecksModule.forRoot>[0];

/** A device's authentication: a complete header, or an id to log in with the password. */
export interface Presented {
  readonly deviceId?: string;
  readonly auth?: string | readonly string[] | undefined;
  readonly target?: string;
  readonly headers?: Readonly<Record<string, string | readonly string[] | undefined>>;
}

export class Cloud {
  private readonly peers: RawPeer[] = [];
  private readonly application: Application;

  constructor(
    private readonly app: INestApplication,
    readonly port: number,
  ) {
    this.application = app.get(Application);
  }

  get fedecks(): Fedecks {
    return this.app.get(Fedecks);
  }

  /** One of the additional handlers. */
  get<T>(type: Type<T>): T {
    return this.app.get(type);
  }

  get messages(): Inbox<Term> {
    return this.application.messages;
  }

  get rawMessages(): Inbox<Buffer> {
    return this.application.rawMessages;
  }

  get errors(): Inbox<SocketError> {
    return this.application.errors;
  }

  get disconnected(): Inbox<string> {
    return this.application.disconnected;
  }

  /** The device ids whose credentials the authenticator has checked. */
  get asked(): readonly string[] {
    return this.app.get(PasswordLogin).asked;
  }

  /** Clears all recorded messages and errors, so that a test sees only its own. */
  forget(): void {
    for (const inbox of [this.messages, this.rawMessages, this.errors, this.disconnected]) inbox.clear();
  }

  /** A peer with an open TCP connection, destroyed when the cloud is closed. */
  async connect(): Promise<RawPeer> {
    const peer = await RawPeer.connect(this.port);
    this.peers.push(peer);
    return peer;
  }

  /** Requests an upgrade, and returns any response. */
  async ask(presented: Presented = {}): Promise<{ peer: RawPeer; response: Response }> {
    const peer = await this.connect();
    peer.write(request(presented));
    return { peer, response: await peer.response() };
  }

  /** An accepted device. */
  async open(presented: Presented = {}): Promise<RawPeer> {
    const { peer, response } = await this.ask(presented);
    expect(response.statusLine).toBe('HTTP/1.1 101 Switching Protocols');
    return peer;
  }

  /** Shuts the application down while devices are connected, as SIGTERM does. */
  async shutDown(): Promise<void> {
    await this.app.close();
  }

  async close(): Promise<void> {
    for (const peer of this.peers) peer.destroy();
    await this.app.close();
  }
}

/** The bytes of the upgrade request of such a device. */
export function request({ deviceId = 'nerves-242a', target, headers, ...given }: Presented = {}): Buffer {
  const auth = 'auth' in given ? given.auth : loginHeader(deviceId);
  return upgradeRequest({ ...(target && { target }), headers: { 'x-fedecks-auth': auth, ...headers } });
}

/** Starts a cloud on a free port of this machine. `providers` are additional handlers. */
export async function startCloud(options: Partial<Options> = {}, providers: Type[] = []): Promise<Cloud> {
  const module = await Test.createTestingModule({
    imports: [
      FedecksModule.forRoot({
        path: '/fedecks',
        secrets: ['x'.repeat(32)],
        authenticator: PasswordLogin,
        ...options,
      }),
    ],
    providers: [Application, PasswordLogin, ...providers],
  }).compile();
  const app = module.createNestApplication();
  // Off, because many tests cause errors that the application logs.
  app.useLogger(false);
  await app.listen(0, '127.0.0.1');
  const { port } = (app.getHttpServer() as Server).address() as { port: number };
  return new Cloud(app, port);
}

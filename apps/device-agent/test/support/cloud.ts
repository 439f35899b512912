import { type Server } from 'node:http';
import { type AddressInfo } from 'node:net';
import { uptime } from 'node:os';
import { type INestApplication, Injectable, type NestApplicationOptions } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import {
  type Credentials,
  Delivery,
  type DeliveryInfo,
  type DeviceAuthenticator,
  Fedecks,
  FedecksModule,
  OnConnected,
  OnDisconnected,
  OnMessage,
  Payload,
} from '@fedecks/nest';
import { eventOf, type Term } from '@fedecks/nest/wire';
import { type Observable } from 'rxjs';
import { Inbox } from '../../../../libs/fedecks/test/support/inbox.js';

export const CREDENTIALS = { username: 'gardener', password: 'open sesame' };

type Telemetry = Readonly<Record<string, Term>>;

export interface ReceivedTelemetry {
  readonly reading: Telemetry;
  /** Undefined if it was only sent. */
  readonly delivery: DeliveryInfo | undefined;
  /** Of the machine, when it came. */
  readonly uptimeS: number;
  /** Of the machine, when the agent connected. */
  readonly connectedS: number;
}

@Injectable()
class Application implements DeviceAuthenticator {
  readonly messages = new Inbox<Term>('message of the agent');
  readonly telemetry = new Inbox<ReceivedTelemetry>('telemetry of the agent');
  readonly changes = new Inbox<'connected' | 'disconnected'>('connect or disconnect of the agent');
  logins = 0;
  hellos = 0;
  private connectedS = 0;

  authenticate({ username, password }: Credentials): boolean {
    this.logins++;
    return username === CREDENTIALS.username && password === CREDENTIALS.password;
  }

  @OnConnected()
  connected(): void {
    this.connectedS = uptime();
    this.changes.put('connected');
  }

  @OnMessage()
  message(@Payload() message: Term, @Delivery() delivery: DeliveryInfo | undefined): void {
    this.messages.put(message);
    const event = eventOf(message);
    if (event?.name === 'hello') this.hellos++;
    if (event?.name === 'telemetry')
      this.telemetry.put({
        reading: event.payload as Telemetry,
        delivery,
        uptimeS: uptime(),
        connectedS: this.connectedS,
      });
  }

  @OnDisconnected()
  disconnected(): void {
    this.changes.put('disconnected');
  }
}

/** A cloud for one agent: records its events, and sends the test's messages. */
export class Cloud {
  private readonly application: Application;

  private constructor(
    private readonly app: INestApplication,
    /** The URL for the agent. */
    readonly url: string,
  ) {
    this.application = app.get(Application);
  }

  /**
   * @param port 0 selects a free port.
   * @param httpsOptions for TLS.
   * @param options of the module; override its defaults.
   */
  static async start(
    port = 0,
    httpsOptions?: NestApplicationOptions['httpsOptions'],
    options: Partial<Parameters<typeof FedecksModule.forRoot>[0]> = {},
  ): Promise<Cloud> {
    const module = await Test.createTestingModule({
      imports: [FedecksModule.forRoot({ secrets: ['x'.repeat(32)], authenticator: Application, ...options })],
      providers: [Application],
    }).compile();
    const app = module.createNestApplication(httpsOptions ? { httpsOptions } : {});
    app.useLogger(false);
    await app.listen(port, '127.0.0.1');
    const address = (app.getHttpServer() as Server).address() as AddressInfo;
    return new Cloud(app, `${httpsOptions ? 'wss' : 'ws'}://127.0.0.1:${address.port}/fedecks/websocket`);
  }

  get changes(): Inbox<'connected' | 'disconnected'> {
    return this.application.changes;
  }

  /** Every telemetry event, also those that `event` takes. */
  get telemetry(): Inbox<ReceivedTelemetry> {
    return this.application.telemetry;
  }

  /** The number of credential checks. */
  get logins(): number {
    return this.application.logins;
  }

  /** The number of greetings. */
  get hellos(): number {
    return this.application.hellos;
  }

  /** Revokes all tokens of the device. */
  async revoke(deviceId: string): Promise<void> {
    await this.app.get(Fedecks).revoke(deviceId);
  }

  async push(deviceId: string, message: Term): Promise<void> {
    expect(await this.app.get(Fedecks).push(deviceId, message)).toBe('sent');
  }

  /** The answer of the device to a request. */
  async request(deviceId: string, event: string, payload: Term): Promise<Term> {
    return this.app.get(Fedecks).request(deviceId, event, payload);
  }

  /** The values that the device streams. Unsubscribing cancels the stream. */
  stream(deviceId: string, event: string, payload: Term): Observable<Term> {
    return this.app.get(Fedecks).stream(deviceId, event, payload);
  }

  /** Keeps a message for the device until it has handled it. */
  async deliver(deviceId: string, event: string, payload: Term, options: { readonly key?: string } = {}) {
    return this.app.get(Fedecks).deliver(deviceId, event, payload, options);
  }

  /** The payload of the next event of that name; skips other messages. */
  async event(name: string): Promise<Term> {
    for (;;) {
      const event = eventOf(await this.application.messages.next());
      if (event?.name === name) return event.payload;
    }
  }

  /** The name of the next event; skips what the agent sends by itself. */
  async nextAnswer(): Promise<string | undefined> {
    for (;;) {
      const name = eventOf(await this.application.messages.next())?.name;
      if (name !== 'telemetry' && name !== 'hello') return name;
    }
  }

  async close(): Promise<void> {
    await this.app.close();
  }
}

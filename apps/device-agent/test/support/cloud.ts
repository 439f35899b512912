import { type Server } from 'node:http';
import { type AddressInfo } from 'node:net';
import { type INestApplication, Injectable, type NestApplicationOptions } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import {
  type Credentials,
  type DeviceAuthenticator,
  Fedecks,
  FedecksModule,
  OnConnected,
  OnDisconnected,
  OnMessage,
  Payload,
} from '@fedecks/nest';
import { eventOf, type Term } from '@fedecks/nest/wire';
import { Inbox } from '../../../../libs/fedecks/test/support/inbox.js';

export const CREDENTIALS = { username: 'gardener', password: 'open sesame' };

@Injectable()
class Application implements DeviceAuthenticator {
  readonly messages = new Inbox<Term>('message of the agent');
  readonly changes = new Inbox<'connected' | 'disconnected'>('connect or disconnect of the agent');
  logins = 0;

  authenticate({ username, password }: Credentials): boolean {
    this.logins++;
    return username === CREDENTIALS.username && password === CREDENTIALS.password;
  }

  @OnConnected()
  connected(): void {
    this.changes.put('connected');
  }

  @OnMessage()
  message(@Payload() message: Term): void {
    this.messages.put(message);
  }

  @OnDisconnected()
  disconnected(): void {
    this.changes.put('disconnected');
  }
}

/** A cloud for one agent: tells what it does, and sends it what a test wants it to have. */
export class Cloud {
  private readonly application: Application;

  private constructor(
    private readonly app: INestApplication,
    /** Where the agent finds it. */
    readonly url: string,
  ) {
    this.application = app.get(Application);
  }

  /**
   * @param port 0 takes a free one.
   * @param httpsOptions make it one that is reached by TLS.
   * @param options of the module, in place of its defaults.
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

  /** How often credentials have been looked at. */
  get logins(): number {
    return this.application.logins;
  }

  /** Ends all tokens the device has. */
  async revoke(deviceId: string): Promise<void> {
    await this.app.get(Fedecks).revoke(deviceId);
  }

  async push(deviceId: string, message: Term): Promise<void> {
    expect(await this.app.get(Fedecks).push(deviceId, message)).toBe('sent');
  }

  /** The payload of the next event of that name; other messages are passed over. */
  async event(name: string): Promise<Term> {
    for (;;) {
      const event = eventOf(await this.application.messages.next());
      if (event?.name === name) return event.payload;
    }
  }

  /** The name of the next message that is an event, telemetry left aside. */
  async nextAnswer(): Promise<string | undefined> {
    for (;;) {
      const name = eventOf(await this.application.messages.next())?.name;
      if (name !== 'telemetry') return name;
    }
  }

  async close(): Promise<void> {
    await this.app.close();
  }
}

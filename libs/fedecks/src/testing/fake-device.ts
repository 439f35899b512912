/**
 * A device for tests: a real websocket to an app in the same process, so that what is tested is what a device sees.
 *
 *     const module = await Test.createTestingModule({ imports: [AppModule] }).compile();
 *     const app = module.createNestApplication();
 *     const device = await FakeDevice.connect(app, { id: 'nerves-242a', credentials: { password: 'open sesame' } });
 *
 *     device.send('temperature', { celsius: 21.5 });          // an event
 *     device.send(['hello', 'matey']);                        // any other term
 *     device.sendRaw(bytes);                                  // for @OnRawMessage
 *     expect(await device.next()).toEqual(['hi', 'there']);   // the oldest message nobody has taken
 *     expect((await device.closed).code).toBe(4152);          // why the cloud has closed it
 *     await device.disconnect();
 *     await app.close();
 *
 * The app listens on a free port of loopback if it does not listen yet. Where the cloud refuses the device,
 * `connect` rejects with a {@link FakeDeviceRefused} that holds the HTTP status. To show that the cloud sends
 * nothing, make it send something else, and see that arrive next.
 */
import { type AddressInfo, type Server } from 'node:net';
import { type INestApplication } from '@nestjs/common';
import { WebSocket } from 'ws';
import {
  AUTH_HEADER,
  type Contract,
  type CredentialsToSend,
  decodeTerm,
  DEFAULT_PATH,
  DEVICE_ID_KEY,
  encodeAuthHeader,
  encodeTerm,
  type EventName,
  type EventsOf,
  FedecksError,
  type MessageToSend,
  type PayloadToSend,
  type Term,
  TOKEN_KEY,
  TOKEN_PLEASE,
  tokenIn,
  tuple,
  WEBSOCKET_SUFFIX,
} from '../wire/internal.js';

/** The identity and credentials of a fake device. */
export interface FakeDeviceOptions<Fields extends object = Readonly<Record<string, Term>>> {
  /** Its device id. */
  readonly id: string;
  /** What it logs in with. Not looked at beside a token. @default none */
  readonly credentials?: CredentialsToSend<Fields>;
  /** A token it was given before: {@link FakeDevice.token}. @default none */
  readonly token?: string;
  /** The `path` of the endpoint. @default '/fedecks' */
  readonly path?: string;
}

/** How a connection has ended: the close code and reason of the cloud, or 1006 where it sent none. */
export interface FakeDeviceClose {
  /** The close code (PROTOCOL.md §5). */
  readonly code: number;
  /** Empty where the cloud gave none. */
  readonly reason: string;
}

/** The cloud rejected the device (PROTOCOL.md §1). */
export class FakeDeviceRefused extends FedecksError {
  override readonly name = 'FakeDeviceRefused';

  /** @param status of HTTP: 403 where the device may not come in, 503 where it may come again. */
  constructor(
    readonly status: number,
    id: string,
  ) {
    super(
      'refused',
      `The cloud rejected device '${id}' with HTTP status ${status}: @OnSocketError receives the reason.`,
    );
  }
}

interface Waiting {
  readonly arrived: (message: Term) => void;
  readonly never: (why: string) => void;
}

/**
 * A connected device. It requests a token like every device, and excludes it from its messages. With a
 * {@link Contract}, `FakeDevice.connect<Greenhouse>(...)`, the compiler lets only its events be sent: to send what a
 * device must not send, connect one without.
 */
export class FakeDevice<C extends Contract = Contract> {
  /** Resolves when the connection has ended, whoever ended it. */
  readonly closed: Promise<FakeDeviceClose>;
  private readonly messages: Term[] = [];
  private readonly waiting: Waiting[] = [];
  private latestToken: string | undefined;
  private end: FakeDeviceClose | undefined;

  private constructor(
    readonly id: string,
    private readonly ws: WebSocket,
    private readonly ready: () => void,
  ) {
    ws.on('message', (data: Buffer) => this.received(decodeTerm(data)));
    // An error is followed by the close it causes.
    ws.on('error', () => undefined);
    ws.once('open', () => ws.send(TOKEN_PLEASE));
    this.closed = new Promise((resolve) => {
      ws.once('close', (code, reason) => {
        this.end = { code, reason: reason.toString() };
        for (const { never } of this.waiting.splice(0)) never(this.ended());
        this.ready();
        resolve(this.end);
      });
    });
  }

  /**
   * Connects a device; resolves when it holds its token.
   * @throws {FakeDeviceRefused} where the cloud does not let it in.
   * @throws {TermEncodeError} where credentials hold something that is no term, or too much.
   */
  static async connect<C extends Contract = Contract, Fields extends object = object>(
    app: Pick<INestApplication, 'getHttpServer' | 'listen'>,
    { id, credentials, token, path = DEFAULT_PATH }: FakeDeviceOptions<Fields>,
  ): Promise<FakeDevice<C>> {
    const auth = encodeAuthHeader(
      { [DEVICE_ID_KEY]: id, ...(token !== undefined && { [TOKEN_KEY]: token }) },
      credentials,
    );
    const server = app.getHttpServer() as Server;
    if (!server.listening) await app.listen(0, '127.0.0.1');
    const { port, family, address } = server.address() as AddressInfo;
    const host = family === 'IPv6' ? '[::1]' : address === '0.0.0.0' ? '127.0.0.1' : address;
    const ws = new WebSocket(`ws://${host}:${port}${path}${WEBSOCKET_SUFFIX}`, {
      headers: { [AUTH_HEADER]: auth },
      perMessageDeflate: false,
    });
    return new Promise((resolve, reject) => {
      const device: FakeDevice<C> = new FakeDevice(id, ws, () => resolve(device));
      ws.once('unexpected-response', (request, response) => {
        reject(new FakeDeviceRefused(response.statusCode ?? 0, id));
        request.destroy();
      });
      ws.once('error', reject);
    });
  }

  /** The token it was given last: connect with it to see what a device sees that comes back. */
  get token(): string {
    if (this.latestToken === undefined) throw new Error(`Device '${this.id}' has no token. ${this.ended()}`);
    return this.latestToken;
  }

  /** Sends a message: a term, or the name of an event and its payload. */
  send<Event extends EventName<EventsOf<C, 'up'>>, Payload>(
    event: Event,
    payload: PayloadToSend<EventsOf<C, 'up'>, Event, Payload>,
  ): void;
  send<Message>(message: MessageToSend<EventsOf<C, 'up'>, Message>): void;
  send(...message: [unknown] | [string, unknown]): void {
    this.sendRaw(encodeTerm(message.length === 2 ? tuple(...message) : message[0]));
  }

  /** Sends bytes as they are: what is no term reaches `@OnRawMessage`. */
  sendRaw(bytes: Uint8Array): void {
    if (this.end) throw new Error(`Device '${this.id}' cannot send. ${this.ended()}`);
    this.ws.send(bytes, { binary: true });
  }

  /**
   * The oldest message of the cloud that nobody has taken; tokens are not among them.
   * @param deadlineMs after which it rejects, in milliseconds; 5,000 by default. Where the connection has ended it
   *   rejects at once, and says how.
   */
  async next(deadlineMs = 5_000): Promise<Term> {
    if (this.messages.length > 0) return this.messages.shift() as Term;
    const nothing = `No message from the cloud for device '${this.id}'`;
    if (this.end) throw new Error(`${nothing}. ${this.ended()}`);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.waiting.splice(this.waiting.indexOf(waiting), 1);
        reject(
          new Error(
            `${nothing} within ${deadlineMs} ms: check that a handler accepted the sent message and returned a value.`,
          ),
        );
      }, deadlineMs);
      const waiting: Waiting = {
        arrived: (message) => {
          clearTimeout(timer);
          resolve(message);
        },
        never: (why) => {
          clearTimeout(timer);
          reject(new Error(`${nothing}. ${why}`));
        },
      };
      this.waiting.push(waiting);
    });
  }

  /** Closes the connection with 1000, as a device that stops does, and resolves when it is closed. */
  async disconnect(): Promise<void> {
    this.ws.close(1000);
    await this.closed;
  }

  private received(message: Term): void {
    const token = tokenIn(message);
    if (token !== undefined) {
      this.latestToken = token;
      this.ready();
      return;
    }
    const waiting = this.waiting.shift();
    if (waiting) waiting.arrived(message);
    else this.messages.push(message);
  }

  private ended(): string {
    if (!this.end) return 'The device is connected.';
    const { code, reason } = this.end;
    return `Its connection was closed with ${code}${reason && ` (${reason})`}.`;
  }
}

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
 * It asks and answers, as a device does:
 *
 *     expect(await device.request('config', { version: 7 })).toEqual({ mode: 'night' });
 *     const reading = fedecks.request('nerves-242a', 'read', { sensor: 3 });
 *     (await device.nextRequest()).reply(21.5);
 *     expect(await reading).toBe(21.5);
 *
 * It delivers, and takes deliveries:
 *
 *     expect(await device.deliver('reading', { celsius: 21.5 })).toEqual({ outcome: 'handled' });
 *     const update = await fedecks.deliver('nerves-242a', 'update', { version: 7 });
 *     (await device.nextDelivery()).handled('installed');
 *     expect(await update.final).toMatchObject({ state: 'done', result: 'installed' });
 *
 * The app listens on a free port of loopback if it does not listen yet. Where the cloud refuses the device,
 * `connect` rejects with a {@link FakeDeviceRefused} that holds the HTTP status. To show that the cloud sends
 * nothing, make it send something else, and see that arrive next.
 */
import { type AddressInfo, type Server } from 'node:net';
import { type INestApplication } from '@nestjs/common';
import { type Observable } from 'rxjs';
import { WebSocket } from 'ws';
import {
  type Ask,
  Conversation,
  NotSupportedError,
  request,
  type RequestOptions,
  stream,
} from '../requests/index.js';
import {
  AUTH_HEADER,
  CLOSE,
  type Contract,
  controlTypeOf,
  type CredentialsToSend,
  decodeTerm,
  DEFAULT_PATH,
  DEVICE_ID_KEY,
  encodeAuthHeader,
  encodeControlAfter,
  encodeTerm,
  type EventName,
  eventOf,
  type EventsOf,
  FedecksError,
  isOfDeliveries,
  type MessageToSend,
  type PayloadToSend,
  PROTOCOL_2,
  PROTOCOL_HEADER,
  readControlHead,
  speaksProtocol2,
  type Term,
  TOKEN_KEY,
  TOKEN_PLEASE,
  tokenIn,
  tuple,
  WEBSOCKET_SUFFIX,
} from '../wire/internal.js';
import { Arrivals } from './arrivals.js';
import { FakeDeliveries } from './fake-deliveries.js';
import { type FakeDelivery, type FakeDeliveryOf } from './fake-delivery.js';
import { FakeRequest, type FakeRequestOf } from './fake-request.js';
import { type FakeDeliverOptions, type FakeDeliveryOutcome } from './fake-sender.js';

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
  /** The newest protocol it speaks: 1 as Elixir devices do. @default 2 */
  readonly protocol?: 1 | 2;
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

/**
 * A connected device. It requests a token like every device, and excludes it from its messages. With a
 * {@link Contract}, `FakeDevice.connect<Greenhouse>(...)`, the compiler lets only its events be sent: to send what a
 * device must not send, connect one without.
 */
export class FakeDevice<C extends Contract = Contract> {
  /** Resolves when the connection has ended, whoever ended it. */
  readonly closed: Promise<FakeDeviceClose>;
  private readonly messages: Arrivals<Term>;
  private readonly requests: Arrivals<FakeRequest>;
  private readonly arrivedDeliveries: Arrivals<FakeDelivery>;
  /** The requests in both directions; undefined where one side speaks protocol 1. */
  private conversation: Conversation | undefined;
  private readonly deliveries: FakeDeliveries;
  private latestToken: string | undefined;
  private end: FakeDeviceClose | undefined;

  private constructor(
    readonly id: string,
    private readonly ws: WebSocket,
    private readonly ready: () => void,
  ) {
    this.messages = new Arrivals(
      `No message from the cloud for device '${id}'`,
      'check that a handler accepted the sent message and returned a value.',
    );
    this.requests = new Arrivals(
      `No request from the cloud for device '${id}'`,
      'check that the app calls request() or stream() with this device id.',
    );
    this.arrivedDeliveries = new Arrivals(
      `No delivery from the cloud for device '${id}'`,
      'check that the app calls deliver() with this device id, and that the test has answered the one before in its lane.',
    );
    this.deliveries = new FakeDeliveries(
      {
        send: (control) => ws.send(control),
        breach: () => ws.close(CLOSE.protocolError),
      },
      (delivery) => this.arrivedDeliveries.put(delivery),
    );
    ws.once('upgrade', ({ headers }) => {
      if (!speaksProtocol2(headers[PROTOCOL_HEADER])) return;
      this.conversation = new Conversation((control) => {
        if (!this.end) ws.send(encodeControlAfter(0, control));
      }, undefined);
    });
    ws.on('message', (data: Buffer) => this.onFrame(data));
    // An error is followed by the close it causes.
    ws.on('error', () => undefined);
    ws.once('open', () => ws.send(TOKEN_PLEASE));
    this.closed = new Promise((resolve) => {
      ws.once('close', (code, reason) => {
        this.end = { code, reason: reason.toString() };
        this.conversation?.end();
        this.messages.end(this.ended());
        this.requests.end(this.ended());
        this.deliveries.end(this.ended());
        this.arrivedDeliveries.end(this.ended());
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
    { id, credentials, token, path = DEFAULT_PATH, protocol = 2 }: FakeDeviceOptions<Fields>,
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
      headers: { [AUTH_HEADER]: auth, ...(protocol === 2 && { [PROTOCOL_HEADER]: PROTOCOL_2 }) },
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
   * The oldest message of the cloud that nobody has taken; tokens, requests and deliveries are not among them.
   * @param deadlineMs after which it rejects, in milliseconds; 5,000 by default. Where the connection has ended it
   *   rejects at once, and says how.
   */
  next(deadlineMs = 5_000): Promise<Term> {
    return this.messages.next(deadlineMs);
  }

  /**
   * Asks the cloud, as a device does: resolves with what the handler of the event returns, and `null` where it returns
   * nothing.
   * @throws {NotSupportedError} (rejects) when the device speaks protocol 1: nothing was sent.
   * @throws {RequestFailedError} (rejects) when the cloud answers that there is no result; `code` says why.
   * @throws {RequestTimeoutError} (rejects) when no answer came in time.
   * @throws {ConnectionLostError} (rejects) when the connection ended before the answer.
   */
  async request<Event extends EventName<EventsOf<C, 'up'>>, Payload>(
    event: Event,
    payload: PayloadToSend<EventsOf<C, 'up'>, Event, Payload>,
    options?: RequestOptions,
  ): Promise<Term> {
    return request(this.asking(event, payload), options);
  }

  /** Asks the cloud for a stream of values. It is sent when it is subscribed to; unsubscribing cancels it. */
  stream<Event extends EventName<EventsOf<C, 'up'>>, Payload>(
    event: Event,
    payload: PayloadToSend<EventsOf<C, 'up'>, Event, Payload>,
  ): Observable<Term> {
    return stream(this.asking(event, payload));
  }

  /**
   * The oldest request of the cloud that nobody has taken. It waits until the test answers it.
   * @param deadlineMs as with {@link next}.
   */
  nextRequest(deadlineMs = 5_000): Promise<FakeRequestOf<C>> {
    return this.requests.next(deadlineMs) as Promise<FakeRequestOf<C>>;
  }

  /**
   * Delivers a message, as a device does, and resolves with its outcome when the cloud acknowledges or refuses it. Unlike a
   * real device it keeps nothing, and delivers once: when the handler of the cloud fails, the outcome says so at once.
   * @throws {RangeError} (rejects) for a ninth lane, or an option that does not exist.
   * @throws {TermEncodeError} (rejects) when the payload holds something that is no term.
   * @throws {Error} (rejects) when one side speaks protocol 1, and when the connection ends before the outcome.
   */
  async deliver<Event extends EventName<EventsOf<C, 'up'>>, Payload>(
    event: Event,
    payload: PayloadToSend<EventsOf<C, 'up'>, Event, Payload>,
    options: FakeDeliverOptions = {},
  ): Promise<FakeDeliveryOutcome> {
    if (this.end) throw new Error(`Device '${this.id}' cannot deliver. ${this.ended()}`);
    if (!this.conversation)
      throw new Error(
        `Device '${this.id}' cannot deliver: one side speaks protocol 1. Connect it without 'protocol: 1'.`,
      );
    return this.deliveries.deliver(encodeTerm(tuple<[unknown, unknown]>(event, payload) as Term), options);
  }

  /**
   * The oldest delivery of the cloud that nobody has taken. It waits until the test answers it, and those behind it in its
   * lane wait. The device remembers nothing: connected anew, it gets those again that are not `done`.
   * @param deadlineMs as with {@link next}.
   */
  nextDelivery(deadlineMs = 5_000): Promise<FakeDeliveryOf<C>> {
    return this.arrivedDeliveries.next(deadlineMs) as Promise<FakeDeliveryOf<C>>;
  }

  /** Closes the connection with 1000, as a device that stops does, and resolves when it is closed. */
  async disconnect(): Promise<void> {
    this.ws.close(1000);
    await this.closed;
  }

  private asking(event: string, payload: unknown): Ask {
    const message: Term = tuple<[unknown, unknown]>(event, payload);
    return (timeoutMs, answered) => {
      if (this.end) throw new Error(`Device '${this.id}' cannot ask. ${this.ended()}`);
      if (!this.conversation) throw new NotSupportedError(`Device '${this.id}'`);
      return this.conversation.asked.ask(message, timeoutMs, answered);
    };
  }

  private onFrame(data: Buffer): void {
    const { conversation } = this;
    const type = controlTypeOf(data);
    if (!conversation || type === undefined) return this.received(decodeTerm(data));
    if (isOfDeliveries(type)) return this.deliveries.onControl(type, data);
    const todo = conversation.onControl(data, performance.now());
    if (todo === 'handle') this.onRequest(data, conversation);
    else if (todo === 'close') this.ws.close(CLOSE.protocolError);
  }

  private onRequest(data: Buffer, conversation: Conversation): void {
    const head = readControlHead(data, 'request');
    const begun = conversation.begin(data, performance.now());
    const event = begun && eventOf(begun.message);
    if (!head || !event) return;
    this.requests.put(new FakeRequest(begun.request, event.name, event.payload, head.remainingMs));
  }

  private received(message: Term): void {
    const token = tokenIn(message);
    if (token === undefined) return this.messages.put(message);
    this.latestToken = token;
    this.ready();
  }

  private ended(): string {
    if (!this.end) return 'The device is connected.';
    const { code, reason } = this.end;
    return `Its connection was closed with ${code}${reason && ` (${reason})`}.`;
  }
}

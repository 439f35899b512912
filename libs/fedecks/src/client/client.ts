import { randomBytes } from 'node:crypto';
import { inspect } from 'node:util';
import { firstValueFrom, from, ReplaySubject, Subject, takeUntil, throwIfEmpty, type Observable } from 'rxjs';
import { GuardedObservable, nameOf } from '../faults/index.js';
import { type Ask, NotSupportedError, request, type RequestOptions, stream } from '../requests/index.js';
import {
  encodeAttempt,
  encodeTerm,
  eventOf,
  controlTypeOf,
  looksLikeControl,
  ReservedMessageError,
  TOKEN_PLEASE,
  tuple,
  type Contract,
  type CredentialsToSend,
  type EventName,
  type EventsOf,
  type MessageToSend,
  type PayloadReceived,
  type PayloadToSend,
  type Term,
} from '../wire/internal.js';
import { type AttemptLimits } from './attempt-clock.js';
import { loginHeader, tokenHeader } from './auth.js';
import { delayOf } from './backoff.js';
import { type ClientEvent } from './client-event.js';
import {
  MAX_TIMER_MS,
  resolveOptions,
  type FedecksClientOptions,
  type ResolvedClientOptions,
} from './client-options.js';
import { Deliveries } from './deliveries.js';
import { type Delivery, type DeliverOptions, type OutboxDetails } from './delivery.js';
import {
  type DeliveryContext,
  type DeliveryHandler,
  DeliveryHandlers,
  type IncomingDelivery,
} from './delivery-handlers.js';
import { DeliveryLink } from './delivery-link.js';
import { ClientStoppedError, LoginFailedError, NotConnectedError } from './errors.js';
import { explain, isFailure } from './explain-event.js';
import { Heartbeat } from './heartbeat.js';
import { readFrame } from './inbound.js';
import { IncomingDeliveries } from './incoming-deliveries.js';
import { OutboxStoreError } from './outbox/errors.js';
import { PastMoment } from './past-moment.js';
import { PositionsFile } from './positions-file.js';
import {
  type IncomingRequest,
  type RequestContext,
  type RequestHandler,
  RequestHandlers,
} from './request-handlers.js';
import { DeviceSocket } from './socket.js';
import {
  INITIAL_STATE,
  next,
  type AttemptEvent,
  type ClientStatus,
  type Effect,
  type StateEvent,
} from './state.js';
import { expiryOf } from './token-claims.js';
import { FileTokenStore } from './token-store.js';
import { TokenWriter } from './token-writer.js';
import { Trace } from './trace.js';

/** A snapshot of a client, for a status page or a log line. */
export interface ClientDetails {
  /** The same as `status` of the client. */
  readonly state: ClientStatus;
  /** When it came into this state, by the system's clock as that is set now. */
  readonly since: Date;
  /** Its device id. */
  readonly deviceId: string;
  /** Whether it can connect without a login. */
  readonly tokenHeld: boolean;
  /** When the token that is held expires; undefined if it does not tell: only a JWT does. */
  readonly tokenExpiresAt: Date | undefined;
  /** When the next attempt begins, in the state `connection_scheduled`. */
  readonly nextAttemptAt: Date | undefined;
  /** When it was last suspected that another machine uses this device id (event `clone_suspected`). */
  readonly cloneSuspectedAt: Date | undefined;
  /** What `explain` says of the last event that was a failure. It stays when the client has recovered. */
  readonly lastError: string | undefined;
}

interface PendingLogin {
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/**
 * A device's connection to its cloud: kept up for ever once a token is held, and logged in by `login` when none is
 * (PROTOCOL.md §3). What it does when is decided in `next`; this class carries it out.
 *
 * It never logs, and throws only from its methods: `events$` emits everything else.
 *
 * With a {@link Contract}, `new FedecksClient<Greenhouse>(...)`, the compiler lets only its events be sent.
 */
export class FedecksClient<C extends Contract = Contract> {
  /**
   * What happens to the client, from the moment of subscribing; completes when it has stopped. Subscribe before `start`.
   * What an observer throws or rejects with is the event `observer_failed`, and the observer goes on. A stream it is
   * merged into (`merge`, `concat`) must see to its own.
   */
  readonly events$: Observable<ClientEvent>;
  /**
   * The messages the cloud sends, in order; completes when the client has stopped. Observers may fail, as with
   * `events$`.
   */
  readonly messages$: Observable<Term>;

  private readonly options: ResolvedClientOptions;
  private readonly events = new Subject<ClientEvent>();
  private lastEvent: ClientEvent['type'] | undefined;
  private readonly messages = new Subject<Term>();
  private readonly heartbeat: Heartbeat;
  private readonly trace: Trace;

  /** What the cloud knows the attempts of this client by (PROTOCOL.md §1.7). */
  private readonly process = randomBytes(16).toString('base64url');
  private attempts = 0;
  private state = INITIAL_STATE;
  private since = new PastMoment();
  /** In `performance.now()` time, as the next field. */
  private retryDueAt = 0;
  private cloneSuspectedAt: number | undefined;
  private lastError: string | undefined;

  private readonly queue: StateEvent[] = [];
  private dispatching = false;

  private socket: DeviceSocket | undefined;
  /** The current socket, and dropped ones whose TCP connection is not gone yet. */
  private readonly sockets = new Set<DeviceSocket>();
  private retryTimer: NodeJS.Timeout | undefined;
  private stableTimer: NodeJS.Timeout | undefined;
  private tokenTimer: NodeJS.Timeout | undefined;

  /** The functions of `onRequest`. @internal */
  readonly requestHandlers = new RequestHandlers((error) => this.observerFailed(error));
  /** Takes the requests of the cloud: these functions, unless others have taken its place. @internal */
  requestListener = (incoming: IncomingRequest): void => this.requestHandlers.answer(incoming);

  /** The functions of `onDelivery`. @internal */
  readonly deliveryHandlers = new DeliveryHandlers((event) => this.report(event));
  /** Takes the deliveries of the cloud in place of these functions. @internal */
  deliveryListener: ((incoming: IncomingDelivery) => void) | undefined;

  private readonly handleDelivery = (incoming: IncomingDelivery): void =>
    this.deliveryHandlers.handle(incoming);
  private readonly deliveries: Deliveries | undefined;
  private readonly incoming: IncomingDeliveries;
  /** The deliveries of the open connection. */
  private link: DeliveryLink | undefined;
  private readonly logins = new Map<number, PendingLogin>();
  private loginCount = 0;
  private readonly tokens: TokenWriter;
  private starting: Promise<void> | undefined;
  private stopping: Promise<void> | undefined;
  private readonly ended = new ReplaySubject<void>(1);

  /** @throws {InvalidOptionsError} naming everything that is wrong with the options. */
  constructor(options: FedecksClientOptions) {
    this.options = resolveOptions(options);
    this.trace = new Trace(this.options.deviceId);
    this.events$ = new GuardedObservable(this.events, (error) => {
      // Not for this event: an observer that fails on it would loop for ever.
      if (this.lastEvent !== 'observer_failed') this.observerFailed(error);
    });
    this.messages$ = new GuardedObservable(this.messages, (error) => this.observerFailed(error));
    this.tokens = new TokenWriter(this.options.tokenStore, (event) => this.report(event));
    const { outbox, tokenStore, deviceId } = this.options;
    this.deliveries = outbox && new Deliveries(outbox, (event) => this.report(event), this.trace);
    this.incoming = new IncomingDeliveries(
      this.options,
      tokenStore instanceof FileTokenStore ? new PositionsFile(tokenStore.directory, deviceId) : undefined,
      {
        isThere: () => this.deliveryListener !== undefined || this.deliveryHandlers.size > 0,
        handle: (incoming) => (this.deliveryListener ?? this.handleDelivery)(incoming),
      },
      (event) => this.report(event),
    );
    this.heartbeat = new Heartbeat(this.options, {
      ping: () => this.socket?.ping(),
      bytesRead: () => this.socket?.bytesRead ?? 0,
      unconfirmedBytes: () => this.socket?.unconfirmedBytes ?? 0,
      missed: () =>
        this.dispatch({
          type: 'lost',
          attempt: this.state.attempt,
          loss: { cause: 'heartbeat_missed', ...this.socket?.unconfirmedMessages },
        }),
    });
  }

  /** The state it is in. */
  get status(): ClientStatus {
    return this.state.status;
  }

  /** The current details. */
  get details(): ClientDetails {
    return {
      state: this.state.status,
      since: this.since.date,
      deviceId: this.options.deviceId,
      tokenHeld: this.state.header !== undefined,
      tokenExpiresAt: this.state.expiresAtMs === undefined ? undefined : new Date(this.state.expiresAtMs),
      nextAttemptAt: this.state.status === 'connection_scheduled' ? dateOf(this.retryDueAt) : undefined,
      cloneSuspectedAt: this.cloneSuspectedAt === undefined ? undefined : dateOf(this.cloneSuspectedAt),
      lastError: this.lastError,
    };
  }

  /** What waits in the outbox, and whether it flows. */
  get outbox(): OutboxDetails {
    return this.deliveries?.details ?? NO_OUTBOX;
  }

  /** What a log makes of a client by itself: inside there are a token, a key, perhaps a password. @internal */
  toJSON(): ClientDetails {
    return this.details;
  }

  /** As {@link toJSON}, for `console.log`. @internal */
  [inspect.custom](): string {
    return `FedecksClient ${inspect(this.details)}`;
  }

  /**
   * Loads the stored token and, if there is one, begins to connect: it resolves before a connection is there. Without
   * a token the client is `unregistered`. Calling it again does nothing.
   * @throws {ClientStoppedError} (rejects) after `stop`.
   */
  async start(): Promise<void> {
    this.throwIfStopped();
    this.starting ??= this.load();
    await this.rejectWhenStopped(this.starting);
    this.throwIfStopped();
  }

  /**
   * Connects with credentials, and gets a token to connect with from then on. Resolves when connected and the token
   * is stored, or is held in memory because storing it failed (event `token_store_failed`). An open connection is
   * dropped for it. Until the new token is there the one held before is kept, and used again if the login fails.
   * A login is tried once. Starts the client if `start` has not been called.
   * @throws {LoginFailedError} (rejects) with the reason; also when `login` is called again meanwhile.
   * @throws {TermEncodeError} (rejects) if the credentials cannot be encoded or do not fit into the header.
   * @throws {ClientStoppedError} (rejects) after `stop`.
   */
  async login<Fields extends object>(credentials: CredentialsToSend<Fields>): Promise<void> {
    this.throwIfStopped();
    const header = loginHeader(this.options.deviceId, credentials);
    await this.start();
    const login = ++this.loginCount;
    return new Promise((resolve, reject) => {
      this.logins.set(login, { resolve, reject });
      this.dispatch({ type: 'login', login, header });
    });
  }

  /**
   * Forgets the token, ends a login that is under way, and closes with 1000: the client is `unregistered` until the
   * next `login`. Resolves when the socket is gone and no token is stored. Starts the client if `start` has not been
   * called.
   * @throws {Error} (rejects) with the store's own error if the token could not be removed from it. This client has
   *   forgotten it then; the next one with this store would use it again.
   * @throws {ClientStoppedError} (rejects) after `stop`.
   */
  async logout(): Promise<void> {
    await this.start();
    this.dispatch({ type: 'logout' });
    const [{ error }] = await this.rejectWhenStopped(
      Promise.all([this.tokens.written(), this.waitForSockets()]),
    );
    if (error !== undefined) throw error as Error;
  }

  /**
   * Sends a message: an event with its payload, or any term. Resolves when it has been written to the socket, which
   * does not say that the cloud has it: `unconfirmed` of the event `connection_lost` counts those it may not have read.
   * It is written no sooner than the cloud allows, where the cloud tells that (PROTOCOL.md §1.9).
   * Nothing is kept for later: what cannot be written now is the caller's to send again, or to drop.
   * @throws {NotConnectedError} (rejects) when not connected, or the connection ended before it was written.
   * @throws {SendBufferFullError} (rejects) when more than `maxBufferedBytes` would wait for a stalled link.
   * @throws {TermEncodeError} (rejects) if it holds something that is not a term.
   * @throws {TypeError} (rejects) if it is neither `send(event, payload)` nor `send(message)`.
   * @throws {ClientStoppedError} (rejects) after `stop`.
   */
  async send<Event extends EventName<EventsOf<C, 'up'>>, Payload>(
    event: Event,
    payload: PayloadToSend<EventsOf<C, 'up'>, Event, Payload>,
  ): Promise<void>;
  async send<Message>(message: MessageToSend<EventsOf<C, 'up'>, Message>): Promise<void>;
  async send(...message: [unknown] | [string, unknown]): Promise<void> {
    checkMessage(message);
    const term = (message.length === 1 ? message[0] : tuple(...message)) as Term;
    this.refuseControl(looksLikeControl(term));
    await this.write(encodeTerm(term), term);
  }

  /**
   * Sends bytes as they are. The cloud hands them to its handlers of raw messages, unless they happen to be an encoded
   * term (which starts with 131): then they are a message like any other. Resolves and rejects as `send` does.
   */
  async sendRaw(bytes: Uint8Array): Promise<void> {
    this.refuseControl(
      controlTypeOf(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)) !== undefined,
    );
    await this.write(bytes);
  }

  /** The cloud would take it for a control message, if it speaks protocol 2. */
  private refuseControl(isControl: boolean): void {
    if (isControl && this.socket?.protocol === 2) throw new ReservedMessageError();
  }

  /**
   * Keeps a message in the outbox until the cloud has handled it, also over outages and restarts: at least once, and in
   * order within a lane. Resolves when it is kept, connected or not, and before a login too. `done` resolves when the
   * cloud's handler has finished, or with why it never will.
   * @throws {OutboxFullError} (rejects) when there is no room for it, with `full: 'reject'`; or ever.
   * @throws {OutboxStoreError} (rejects) when it cannot be kept, or the client has no outbox.
   * @throws {TermEncodeError} (rejects) if the payload holds something that is not a term.
   * @throws {RangeError} (rejects) for a wrong option, or a ninth lane.
   * @throws {ClientStoppedError} (rejects) after `stop`.
   */
  async deliver<Event extends EventName<EventsOf<C, 'up'>>, Payload>(
    event: Event,
    payload: PayloadToSend<EventsOf<C, 'up'>, Event, Payload>,
    options?: DeliverOptions,
  ): Promise<Delivery> {
    this.throwIfStopped();
    if (typeof event !== 'string')
      throw new TypeError('client.deliver(event, payload): the name of the event must be a string.');
    if (!this.deliveries) {
      const remedy = "Give new FedecksClient the option 'outbox', a directory, or send() the message.";
      throw new OutboxStoreError('no-outbox', `Not kept: this client has no outbox. ${remedy}`);
    }
    return this.deliveries.deliver(encodeTerm(tuple<[unknown, unknown]>(event, payload) as Term), options);
  }

  /**
   * Asks the cloud: its handler of the event returns the answer, `null` where it returns nothing. Each request has
   * exactly one outcome (PROTOCOL.md §6.3).
   * @throws {NotConnectedError} (rejects) when not connected: nothing was sent.
   * @throws {NotSupportedError} (rejects) when the cloud speaks protocol 1: nothing was sent.
   * @throws {RequestFailedError} (rejects) when the cloud answers that there is no result; `code` says why.
   * @throws {RequestTimeoutError} (rejects) when no answer came in time: whether it was handled is not known.
   * @throws {ConnectionLostError} (rejects) when the connection ended before: whether it was handled is not known.
   * @throws {SendBufferFullError} (rejects) when more than `maxBufferedBytes` would wait for a stalled link.
   * @throws {TermEncodeError} (rejects) when the payload holds something that is no term.
   * @throws {ClientStoppedError} (rejects) after `stop`.
   * @throws the reason of `signal` (rejects) when that aborts. The cloud is told to stop.
   */
  async request<Event extends EventName<EventsOf<C, 'up'>>, Payload>(
    event: Event,
    payload: PayloadToSend<EventsOf<C, 'up'>, Event, Payload>,
    options?: RequestOptions,
  ): Promise<Term> {
    return request(this.asking('request', event, payload), options);
  }

  /**
   * Asks the cloud for a stream of values: its handler returns an Observable, an async iterable or a generator. The
   * request is sent when the stream is subscribed to; unsubscribing tells the cloud to stop. It has no deadline, ends
   * with the connection, and fails with the errors of {@link request}.
   */
  stream<Event extends EventName<EventsOf<C, 'up'>>, Payload>(
    event: Event,
    payload: PayloadToSend<EventsOf<C, 'up'>, Event, Payload>,
  ): Observable<Term> {
    const values = stream(this.asking('stream', event, payload));
    return new GuardedObservable(values, (error) => this.observerFailed(error));
  }

  /**
   * Answers the requests of the cloud for this event. What the handler returns is the answer: a value, a promise, or an
   * Observable, async iterable or generator of values. What it throws is answered as `failed`, without its text, and is
   * the event `observer_failed`. Requests are not among `messages$`.
   * @returns a function that ends it.
   * @throws {TypeError} where `event` is no string or `handler` no function, or the event has a handler.
   */
  onRequest<Event extends EventName<EventsOf<C, 'down'>>>(
    event: Event,
    handler: (payload: PayloadReceived<EventsOf<C, 'down'>, Event, Term>, context: RequestContext) => unknown,
  ): () => void {
    if (typeof event !== 'string')
      throw new TypeError('client.onRequest(event, handler): the name of the event must be a string.');
    if (typeof handler !== 'function') {
      throw new TypeError(
        `client.onRequest('${event}', handler): handler must be a function, and is ${typeof handler}.`,
      );
    }
    return this.requestHandlers.add(event, handler as RequestHandler);
  }

  /**
   * Handles the deliveries of the cloud for this event: messages that it keeps until this device has handled them, also
   * while the device is offline. A delivery is acknowledged when the handler has finished: its promise has resolved, its
   * stream has ended. What it returns, a value or a promise of one, is sent as the result, if that has at most 16,384
   * bytes as a term; otherwise none is sent (event `delivery_result_dropped`). What it throws is the event
   * `delivery_failed`, and the cloud delivers the message again. Deliveries are not among `messages$`.
   *
   * Add handlers before `start`: a client without any takes no deliveries, and they wait in the cloud; with an outbox, until
   * it connects the next time.
   *
   * What was handled is kept beside the token, if option `tokenStore` is a directory or a `FileTokenStore`, before it is
   * acknowledged. So a message is handled twice only if the process dies between the end of its handler and that write:
   * then its `attempt` is above 1. With another token store what was handled is kept in memory: then a restart may repeat
   * each message of which the cloud has not got the acknowledgement.
   * @returns a function that ends it.
   * @throws {TypeError} where `handler` is no function, or the event has a handler.
   */
  onDelivery<Event extends EventName<EventsOf<C, 'down'>>>(
    event: Event,
    handler: (
      payload: PayloadReceived<EventsOf<C, 'down'>, Event, Term>,
      context: DeliveryContext,
    ) => unknown,
  ): () => void {
    if (typeof handler !== 'function') {
      throw new TypeError(
        `client.onDelivery('${event}', handler): handler must be a function, and is ${typeof handler}.`,
      );
    }
    const remove = this.deliveryHandlers.add(event, handler as DeliveryHandler);
    this.link?.onHandler();
    return remove;
  }

  /**
   * Calls a handler with the payload of each message that is this event: a pair whose first element is its name, as a
   * string or an atom, or a map with `event` and `data`. Messages go on to `messages$` all the same. What the handler
   * returns is not sent; what it throws or rejects with is the event `observer_failed`, and it goes on.
   *
   * The payload is of the type that the contract says, and is not checked.
   * @returns a function that ends it.
   * @throws {TypeError} where `handler` is no function.
   */
  on<Event extends EventName<EventsOf<C, 'down'>>>(
    event: Event,
    handler: (payload: PayloadReceived<EventsOf<C, 'down'>, Event, Term>) => unknown,
  ): () => void {
    if (typeof handler !== 'function') {
      throw new TypeError(
        `client.on('${event}', handler): handler must be a function, not ${typeof handler}.`,
      );
    }
    const subscription = this.messages$.subscribe((message) => {
      const found = eventOf(message);
      if (found?.name !== event) return undefined;
      return handler(found.payload as PayloadReceived<EventsOf<C, 'down'>, Event, Term>);
    });
    return () => subscription.unsubscribe();
  }

  /**
   * Closes with 1000 and cancels everything under way. Resolves when the socket is gone (`closeTimeoutMs` at the
   * latest) and a token that was being stored is stored. Handlers of `onDelivery` that run are told so by their signal, and
   * what they have handled within 1 s is kept. A store that has not answered 3 s after the call is not
   * waited for any longer, and that is told with the event `token_store_failed`. From the call on, all other methods
   * reject with `ClientStoppedError`.
   */
  stop(): Promise<void> {
    // Deferred, so that a stop() within a subscriber does not interrupt the event it handles.
    return (this.stopping ??= Promise.resolve().then(() => this.finish()));
  }

  private async write(bytes: Uint8Array, message?: Term): Promise<void> {
    await this.connectedSocket().send(bytes);
    this.trace.onSent(bytes.length, message);
  }

  /** @throws {NotConnectedError} @throws {ClientStoppedError} */
  private connectedSocket(): DeviceSocket {
    this.throwIfStopped();
    if (this.state.status === 'connected' && this.socket) return this.socket;
    throw new NotConnectedError('not-connected', this.standing);
  }

  private asking(method: string, event: string, payload: unknown): Ask {
    if (typeof event !== 'string')
      throw new TypeError(`client.${method}(event, payload): the name of the event must be a string.`);
    const message: Term = tuple<[unknown, unknown]>(event, payload);
    return (timeoutMs, answered) => {
      const socket = this.connectedSocket();
      if (socket.protocol === 1) throw new NotSupportedError('The cloud');
      return socket.requests.asked.ask(message, timeoutMs, answered);
    };
  }

  /** Why there is no connection: whoever sends may never have subscribed to `events$`. */
  private get standing(): string {
    const { lastError } = this;
    return lastError === undefined ? this.status : `${this.status}. ${lastError}`;
  }

  private throwIfStopped(): void {
    if (this.stopping) throw new ClientStoppedError();
  }

  /** A store may never answer, so its result is dropped once the client has stopped. */
  private rejectWhenStopped<T>(work: Promise<T>): Promise<T> {
    const cut = throwIfEmpty<T>(() => new ClientStoppedError());
    return firstValueFrom(from(work).pipe(takeUntil(this.ended), cut));
  }

  private async waitForSockets(): Promise<void> {
    await Promise.all([...this.sockets].map(({ gone }) => gone));
  }

  private async load(): Promise<void> {
    // It reports a failure, and keeps nobody from connecting.
    this.deliveries?.open().catch(() => undefined);
    const failed = (reason: string): void => this.report({ type: 'token_load_failed', reason });
    let token: string | undefined;
    try {
      token = await this.options.tokenStore.load(failed);
    } catch (error) {
      failed(`${String(error)}: the client starts without a token.`);
    }
    // An untyped store may return null.
    const header = typeof token === 'string' ? tokenHeader(this.options.deviceId, token) : undefined;
    if (typeof token === 'string' && header === undefined) {
      failed('The stored token is too long for the auth header: the client starts without a token.');
    }
    const expiresAtMs = typeof token === 'string' && header !== undefined ? expiryOf(token) : undefined;
    this.dispatch({ type: 'started', header, expiresAtMs });
  }

  private async finish(): Promise<void> {
    this.dispatch({ type: 'stop' });
    for (const login of this.logins.values()) login.reject(new ClientStoppedError());
    this.logins.clear();
    await Promise.all([
      this.waitForSockets(),
      this.tokens.finish(),
      this.deliveries?.finish(),
      this.incoming.finish(),
    ]);
    this.ended.next();
    this.events.complete();
    this.messages.complete();
  }

  /** Handles one event at a time: events caused by a subscriber are queued until the effects are done. */
  private dispatch(event: StateEvent): void {
    this.queue.push(event);
    if (this.dispatching) return;
    this.dispatching = true;
    try {
      for (let each = this.queue.shift(); each; each = this.queue.shift()) {
        const { state, effects } = next(this.state, each, performance.now());
        if (state.status !== this.state.status) this.since = new PastMoment();
        this.state = state;
        for (const effect of effects) this.perform(effect);
      }
    } finally {
      this.dispatching = false;
    }
  }

  private perform(effect: Effect): void {
    switch (effect.do) {
      case 'open':
        return this.open(effect);
      case 'drop':
        return this.socket?.drop();
      case 'close':
        return this.socket?.close();
      case 'schedule':
        return this.schedule(effect);
      case 'cancel_retry':
        return clearTimeout(this.retryTimer);
      case 'ask_for_token':
        // A failed write means that the connection is lost, which is reported.
        this.socket?.send(TOKEN_PLEASE, false).catch(() => undefined);
        return;
      case 'watch':
        this.openLink(effect.attempt);
        return this.watch(effect.attempt, effect.awaitToken);
      case 'unwatch':
        this.link?.lost();
        this.link = undefined;
        this.deliveries?.onLost();
        return this.unwatch();
      case 'store_token':
        return this.store(effect.token, effect.login);
      case 'forget_token':
        return this.tokens.write(undefined);
      case 'fail_login':
        return this.settle(effect.login)?.reject(
          new LoginFailedError(effect.code, `Login failed: ${effect.detail}`, effect.status),
        );
      case 'report':
        return this.report(effect.event);
    }
  }

  private open(effect: Extract<Effect, { do: 'open' }>): void {
    const { attempt, header, urlIndex, timeoutFactor } = effect;
    const { urls } = this.options;
    const url = urls[urlIndex % urls.length] ?? '';
    this.report({ type: 'connecting', url, with: effect.with });
    const name = encodeAttempt({ process: this.process, number: ++this.attempts });
    const socket = new DeviceSocket(
      {
        ...this.options,
        url,
        header,
        attempt: name,
        firstAddress: Math.floor(urlIndex / urls.length),
        limits: limitsOf(this.options, timeoutFactor),
        ordinaryLimits: this.options,
      },
      {
        alive: () => this.heartbeat.alive(),
        frame: (bytes, isBinary) => this.receive(attempt, bytes, isBinary),
        request: (incoming) => this.requestListener(incoming),
        delivery: (control, bytes) => {
          if (attempt === this.state.attempt) this.link?.onControl(control, bytes);
        },
        event: (event: AttemptEvent) => this.dispatch({ ...event, attempt }),
      },
    );
    this.socket = socket;
    this.sockets.add(socket);
    void socket.gone.then(() => this.sockets.delete(socket));
  }

  private openLink(attempt: number): void {
    if (!this.socket) return;
    this.link = new DeliveryLink(this.socket, this.incoming, this.deliveries);
    this.deliveries?.onConnected(attempt, this.link);
  }

  private schedule({ pace, failures, notBeforeMs, cause }: Extract<Effect, { do: 'schedule' }>): void {
    // Added, not the maximum: a fleet with the same Retry-After must not reconnect at the same time.
    const delayMs = Math.min(notBeforeMs + delayOf(pace, failures, this.options), MAX_TIMER_MS);
    this.retryDueAt = performance.now() + delayMs;
    this.retryTimer = setTimeout(() => this.dispatch({ type: 'retry_due' }), delayMs);
    this.report({ type: 'connection_scheduled', delayMs, cause });
  }

  private watch(attempt: number, awaitToken: boolean): void {
    const { stableAfterMs, phaseTimeoutMs, upgradeTimeoutMs } = this.options;
    this.heartbeat.start();
    this.stableTimer = setTimeout(() => this.dispatch({ type: 'stable', attempt }), stableAfterMs);
    if (!awaitToken) return;
    const timeoutMs = Math.min(phaseTimeoutMs, upgradeTimeoutMs);
    this.tokenTimer = setTimeout(() => this.dispatch({ type: 'token_overdue', attempt }), timeoutMs);
  }

  private unwatch(): void {
    this.heartbeat.stop();
    clearTimeout(this.stableTimer);
    clearTimeout(this.tokenTimer);
  }

  private receive(attempt: number, bytes: Buffer, isBinary: boolean): void {
    if (attempt !== this.state.attempt || this.state.status !== 'connected') return;
    const inbound = readFrame(bytes, isBinary, this.options);
    switch (inbound.kind) {
      case 'message':
        this.trace.onReceived(bytes.length, inbound.message);
        return this.messages.next(inbound.message);
      case 'token':
        return this.dispatch({
          type: 'token',
          attempt,
          token: inbound.token,
          header: inbound.header,
          expiresAtMs: expiryOf(inbound.token),
        });
      default:
        return this.report({ type: 'ignored_frame', kind: inbound.kind, bytes: bytes.length });
    }
  }

  /** A login has succeeded when its token is stored, or a newer one. */
  private store(token: string, login: number | undefined): void {
    this.tokens.write(token);
    if (login !== undefined) void this.tokens.written().then(() => this.settle(login)?.resolve());
  }

  private settle(login: number): PendingLogin | undefined {
    const pending = this.logins.get(login);
    this.logins.delete(login);
    return pending;
  }

  private report(event: ClientEvent): void {
    if (isFailure(event)) this.lastError = explain(event);
    this.lastEvent = event.type;
    this.trace.onEvent(event);
    if (event.type === 'clone_suspected') this.cloneSuspectedAt = performance.now();
    this.events.next(event);
  }

  private observerFailed(error: unknown): void {
    this.report({ type: 'observer_failed', reason: nameOf(error), error });
  }
}

const NO_OUTBOX: OutboxDetails = Object.freeze({
  size: 0,
  bytes: 0,
  state: 'none',
  losses: Object.freeze({ full: 0, expired: 0, rejected: 0, replaced: 0, failed: 0, damaged: 0 }),
});

/** The maximum of increased timeouts, in ms, unless the configured one is greater. */
const MAX_DOUBLED_TIMEOUT_MS = 120_000;

function limitsOf({ phaseTimeoutMs, upgradeTimeoutMs }: AttemptLimits, timeoutFactor: number): AttemptLimits {
  const grown = (ms: number): number => Math.max(ms, Math.min(ms * timeoutFactor, MAX_DOUBLED_TIMEOUT_MS));
  return { phaseTimeoutMs: grown(phaseTimeoutMs), upgradeTimeoutMs: grown(upgradeTimeoutMs) };
}

/** Without types, `send('a', 'b', 'c')` would lose an argument, or send what no handler expects. */
function checkMessage(given: readonly unknown[]): void {
  const usage = 'call send(event, payload) with the name of an event, or send(message) with one message';
  if (given.length !== 1 && given.length !== 2)
    throw new TypeError(`send() takes 1 or 2 arguments, not ${given.length}: ${usage}.`);
  const [event] = given;
  if (given.length === 1 || typeof event === 'string') return;
  const type = event === null ? 'null' : typeof event;
  throw new TypeError(`send(event, payload): the event name must be a string, not ${type}: ${usage}.`);
}

/** The wall-clock time of a `performance.now()` value. */
function dateOf(at: number): Date {
  return new Date(Date.now() + at - performance.now());
}

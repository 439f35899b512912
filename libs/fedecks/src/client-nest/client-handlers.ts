import {
  type BeforeApplicationShutdown,
  Injectable,
  Logger,
  type OnApplicationBootstrap,
} from '@nestjs/common';
import { type ClientEvent, FedecksClient } from '../client/index.js';
import { messageOf, printable, stackOf } from '../faults/index.js';
import {
  type DeviceContext,
  failureOf,
  type Handler,
  HandlerExplorer,
  Inbox,
  type InboxOwner,
  LONG_RUN_MS,
  refusalOf,
  type Route,
  Router,
  SLICE_MS,
  turns,
  type Worker,
} from '../handlers/index.js';
import { DeliverySink } from '../receiving/index.js';
import { type DeliveryInfo, HandlerRunner, RequestSink, type ResultSink } from '../results/index.js';
import { type Term } from '../wire/internal.js';

/**
 * The maximum number of messages that wait for a handler. A device cannot slow the cloud down, so it drops and logs further
 * messages.
 */
const MAILBOX_LIMIT = 1_000;

/** The interval of the check for long-running handlers, in ms. */
const WATCH_EVERY_MS = 1_000;

const MAX_LINE_CHARS = 2_000;

/** A message, and the runner of its connection. */
interface ReceivedMessage {
  readonly message: Term;
  readonly runner: HandlerRunner;
}

type IncomingRequest = Parameters<FedecksClient['requestListener']>[0];

type IncomingDelivery = Parameters<NonNullable<FedecksClient['deliveryListener']>>[0];

type Received = ReceivedMessage | IncomingRequest;

/** Starts the client with the app, passes its messages to the app's handlers, and sends their results. */
@Injectable()
export class ClientHandlers
  implements OnApplicationBootstrap, BeforeApplicationShutdown, InboxOwner<Received>, ResultSink, Worker
{
  readonly device: DeviceContext;
  /** Queued messages are already decoded, so all work is light. */
  readonly weight = 'light';
  private readonly logger = new Logger('FedecksClient');
  private readonly inbox: Inbox<Received>;
  /** Runs the handlers of the current connection, or of the last one. */
  private runner = new HandlerRunner(this);
  /** The send in progress. */
  private sending: Promise<void> | undefined;
  private watching: NodeJS.Timeout | undefined;
  private dropping = false;
  private dropped = 0;
  private router = new Router([]);

  constructor(
    private readonly client: FedecksClient,
    private readonly explorer: HandlerExplorer,
  ) {
    this.device = { id: client.details.deviceId };
    this.inbox = new Inbox({ messages: MAILBOX_LIMIT, bytes: Infinity }, this);
  }

  async onApplicationBootstrap(): Promise<void> {
    this.router = new Router(this.explorer.explore());
    this.client.events$.subscribe((event) => this.onEvent(event));
    this.client.messages$.subscribe((message) => this.onMessage(message));
    this.client.requestListener = (incoming) => this.onRequest(incoming);
    this.client.deliveryListener = (incoming) => this.onDelivery(incoming);
    this.watching = setInterval(() => this.inbox.watch(performance.now()), WATCH_EVERY_MS).unref();
    await this.client.start();
  }

  /** Closes with 1000. */
  async beforeApplicationShutdown(): Promise<void> {
    await this.client.stop();
    clearInterval(this.watching);
    this.runner.end();
  }

  private onEvent(event: ClientEvent): void {
    if (event.type === 'connected') {
      this.runner = new HandlerRunner(this);
      this.callEach(this.router.connected, null);
    }
    if (event.type !== 'connection_lost') return;
    this.runner.end();
    this.callEach(this.router.disconnected, event);
  }

  private callEach(handlers: readonly Handler[], payload: unknown): void {
    for (const handler of handlers) this.inbox.call(handler, payload, this.runner);
  }

  private onMessage(message: Term): void {
    if (this.inbox.full) this.dropping = true;
    if (this.dropping) this.drop();
    else this.inbox.take({ message, runner: this.runner }, 0);
  }

  private onRequest(incoming: IncomingRequest): void {
    if (this.inbox.full) incoming.refuse();
    else this.inbox.take(incoming, 0);
  }

  /** Not in the inbox: lanes wait neither for messages nor for each other. */
  private onDelivery({ turn, message, onResult }: IncomingDelivery): void {
    const runner: HandlerRunner = new HandlerRunner(
      new DeliverySink(turn, this, failureOf, onResult),
      turn.info,
    );
    turn.onEnd = () => runner.end();
    let route: Route | undefined;
    try {
      route = this.deliveryRouteOfFunction(message, turn.info) ?? this.router.message(message);
    } catch (error) {
      runner.onFailure(error);
      return;
    }
    if (!route) {
      this.warnUnhandled(message);
      return turn.finish({ result: 'no_handler', text: 'no handler takes this event' });
    }
    const { handler, payload } = route;
    void runner.run(() => handler.call(payload, this.device, runner), handler.name);
  }

  /** Logged at the first dropped message and at the end only: there may be many. */
  private drop(): void {
    if (this.dropped++ > 0) return;
    this.logger.error(`Dropping messages from the cloud: ${MAILBOX_LIMIT} messages wait for a handler`);
  }

  private resumeAfterDrop(): void {
    this.dropping = false;
    this.logger.error(`Dropped ${this.dropped} messages from the cloud; accepting messages again`);
    this.dropped = 0;
  }

  // --- The inbox -------------------------------------------------------------------------------------------

  handle(received: Received): void {
    if ('begin' in received) return this.handleRequest(received);
    const { message, runner } = received;
    const route = this.router.message(message);
    if (route) this.inbox.run(route.handler, route.payload, runner);
    else this.warnUnhandled(message);
  }

  private handleRequest(incoming: IncomingRequest): void {
    const begun = incoming.begin();
    if (!begun) return;
    const { request, message, drained } = begun;
    const sink = new RequestSink(
      request,
      {
        stop: () => this.stop(),
        drained,
        onFailure: (error, handler) => this.onFailure(error, handler),
      },
      failureOf,
    );
    const runner = new HandlerRunner(sink);
    request.onEnd = () => runner.end();
    let route: Route | undefined;
    try {
      route = this.routeOfFunction(message) ?? this.router.message(message);
    } catch (error) {
      sink.onFailure(error);
      return;
    }
    if (route) {
      this.inbox.run(route.handler, route.payload, runner);
      request.watch(performance.now());
    } else {
      this.warnUnhandled(message);
      request.error('no_handler', 'no handler takes this event');
    }
  }

  /** The function that was given to `client.onRequest`: before all methods, as one without an event takes each. */
  private routeOfFunction(message: Term): Route | undefined {
    const found = this.client.requestHandlers.find(message);
    if (!found) return undefined;
    const call: Handler['call'] = (_payload, _device, source = this.runner) => found.call(source);
    return { handler: { name: 'The handler of onRequest()', kind: { kind: 'any' }, call }, payload: null };
  }

  /** The function that was given to `client.onDelivery`. */
  private deliveryRouteOfFunction(message: Term, info: DeliveryInfo): Route | undefined {
    const found = this.client.deliveryHandlers.find(message);
    if (!found) return undefined;
    const call: Handler['call'] = (_payload, _device, source = this.runner) => found.call(info, source);
    return { handler: { name: 'The handler of onDelivery()', kind: { kind: 'any' }, call }, payload: null };
  }

  private warnUnhandled(message: Term): void {
    const why = this.router.whyUnhandled(message);
    this.logger.warn(printable(`Of what the cloud sent, ${why}`, MAX_LINE_CHARS));
  }

  onReady(): void {
    if (turns.isUsed()) turns.add(this);
    else this.work();
  }

  work(): void {
    const startedAt = performance.now();
    let spentMs = 0;
    while (this.inbox.ready && spentMs < SLICE_MS) {
      this.inbox.step();
      spentMs = performance.now() - startedAt;
    }
    if (this.inbox.ready) turns.add(this);
    if (this.dropping && this.inbox.roomy) this.resumeAfterDrop();
  }

  onFailure(error: unknown, handler = 'A handler'): void {
    const refusal = refusalOf(error);
    if (refusal === undefined) this.logger.error(`${handler} failed`, stackOf(error));
    else this.logger.warn(printable(`A pipe rejected a message from the cloud: ${refusal}`, MAX_LINE_CHARS));
  }

  onStall({ name, kind }: Handler): void {
    const event = kind.kind === 'event' ? `, for the event '${kind.event}',` : '';
    this.logger.warn(
      `${name}${event} has been running for ${LONG_RUN_MS / 1000} s. Later messages from the cloud wait for it, ` +
        `and are dropped when ${MAILBOX_LIMIT} wait: add a timeout to what it awaits`,
    );
  }

  // --- What handlers may do --------------------------------------------------------------------------------

  send(term: Term): void {
    this.sending = this.client
      .send(term)
      .catch((error: unknown) =>
        this.logger.warn(`Could not send the result of a handler: ${messageOf(error)}`),
      );
  }

  /** A device's handler cannot close the connection: the client would reconnect. */
  stop(): void {
    this.logger.error(
      'A handler returned stop(), which works only in the cloud: on a device, use FedecksClient.stop()',
    );
  }

  drained(): Promise<void> | undefined {
    return this.sending;
  }
}

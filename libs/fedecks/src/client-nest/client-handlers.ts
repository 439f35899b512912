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
  type Handler,
  HandlerExplorer,
  HandlerRunner,
  Inbox,
  type InboxOwner,
  LONG_RUN_MS,
  refusalOf,
  type ResultSink,
  Router,
  SLICE_MS,
  turns,
  type Worker,
} from '../handlers/index.js';
import { type Term } from '../wire/internal.js';

/**
 * How many messages of the cloud may wait for a handler. The cloud cannot be slowed down: the next one is dropped, and
 * that is logged.
 */
const MAILBOX_LIMIT = 1_000;

/** The interval of the check for long-running handlers, in ms. */
const WATCH_EVERY_MS = 1_000;

const MAX_LINE_CHARS = 2_000;

/** What `@OnDisconnected` receives on a device: the `connection_lost` event of the client. */
export type ConnectionLost = Extract<ClientEvent, { type: 'connection_lost' }>;

/** Starts the client with the app, gives what it receives to the app's handlers, and sends what they return. */
/** A message, and what runs the handlers of the connection it came on. */
interface Received {
  readonly message: Term;
  readonly runner: HandlerRunner;
}

@Injectable()
export class ClientHandlers
  implements OnApplicationBootstrap, BeforeApplicationShutdown, InboxOwner<Received>, ResultSink, Worker
{
  readonly device: DeviceContext;
  /** Queued messages are already decoded, so all work is light. */
  readonly weight = 'light';
  private readonly logger = new Logger('FedecksClient');
  private readonly inbox: Inbox<Received>;
  /** Runs the handlers of the connection there is, or of the last one. */
  private runner = new HandlerRunner(this);
  /** The last result that is being sent. */
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

  /** Logged at the first dropped message and at the end only: there may be many. */
  private drop(): void {
    if (this.dropped++ > 0) return;
    this.logger.error(`Messages of the cloud are being dropped: ${MAILBOX_LIMIT} wait for a handler`);
  }

  private takeAgain(): void {
    this.dropping = false;
    this.logger.error(`${this.dropped} messages of the cloud were dropped; there is room again`);
    this.dropped = 0;
  }

  // --- The inbox -------------------------------------------------------------------------------------------

  handle({ message, runner }: Received): void {
    const route = this.router.message(message);
    if (route) this.inbox.run(route.handler, route.payload, runner);
    else
      this.logger.warn(
        printable(`Of what the cloud sent, ${this.router.whyUnhandled(message)}`, MAX_LINE_CHARS),
      );
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
    if (this.dropping && this.inbox.roomy) this.takeAgain();
  }

  onFailure(error: unknown, handler = 'A handler'): void {
    const refusal = refusalOf(error);
    if (refusal === undefined) this.logger.error(`${handler} failed`, stackOf(error));
    else this.logger.warn(printable(`A pipe refused what the cloud sent: ${refusal}`, MAX_LINE_CHARS));
  }

  onStall({ name, kind }: Handler): void {
    const event = kind.kind === 'event' ? `, for the event '${kind.event}',` : '';
    this.logger.warn(
      `${name}${event} has been running for ${LONG_RUN_MS / 1000} s. What the cloud sends waits for it, ` +
        `and is dropped when ${MAILBOX_LIMIT} messages wait: give what it awaits a timeout`,
    );
  }

  // --- What handlers may do --------------------------------------------------------------------------------

  send(term: Term): void {
    this.sending = this.client
      .send(term)
      .catch((error: unknown) => this.logger.warn(`A handler's result was not sent: ${messageOf(error)}`));
  }

  /** A device's handler cannot close the connection: the client would reconnect. */
  stop(): void {
    this.logger.error(
      'A handler returned stop(), which closes a connection of the cloud: on a device use FedecksClient.stop()',
    );
  }

  drained(): Promise<void> | undefined {
    return this.sending;
  }
}

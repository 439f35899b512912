import {
  type BeforeApplicationShutdown,
  Injectable,
  Logger,
  type OnApplicationBootstrap,
} from '@nestjs/common';
import { type ClientEvent, FedecksClient } from '../client/index.js';
import { messageOf, stackOf } from '../faults/index.js';
import {
  type DeviceContext,
  type Handler,
  HandlerExplorer,
  HandlerRunner,
  LONG_RUN_MS,
  Mailbox,
  type ResultSink,
  Router,
  UNHANDLED,
} from '../handlers/index.js';
import { type Term } from '../wire/index.js';

/** How many messages of the cloud may wait for a handler. The cloud cannot be slowed down: the next one is lost, and told. */
const MAILBOX_LIMIT = 1_000;

/** What `@OnDisconnected` receives on a device: the `connection_lost` event of the client. */
export type ConnectionLost = Extract<ClientEvent, { type: 'connection_lost' }>;

/** Starts the client with the app, gives what it receives to the app's handlers, and sends what they return. */
@Injectable()
export class ClientHandlers implements OnApplicationBootstrap, BeforeApplicationShutdown, ResultSink {
  private readonly logger = new Logger('FedecksClient');
  private readonly mailbox: Mailbox;
  /** Runs the handlers of the connection there is, or of the last one. */
  private runner = new HandlerRunner(this);
  /** The last result that is being sent. */
  private sending: Promise<void> | undefined;
  private readonly device: DeviceContext;
  private full = false;
  private dropped = 0;
  private router = new Router([]);

  constructor(
    private readonly client: FedecksClient,
    private readonly explorer: HandlerExplorer,
  ) {
    this.device = { id: client.details.deviceId };
    this.mailbox = new Mailbox(MAILBOX_LIMIT, {
      pause: () => (this.full = true),
      resume: () => this.hasRoom(),
    });
  }

  async onApplicationBootstrap(): Promise<void> {
    this.router = new Router(this.explorer.explore());
    this.client.events$.subscribe((event) => this.changed(event));
    this.client.messages$.subscribe((message) => {
      if (this.full) return this.drop();
      this.take((runner) => this.handled(this.router.message(message, this.device, runner)));
    });
    await this.client.start();
  }

  /** Closes with 1000. */
  async beforeApplicationShutdown(): Promise<void> {
    await this.client.stop();
    this.runner.end();
  }

  private changed(event: ClientEvent): void {
    if (event.type === 'connected') {
      this.runner = new HandlerRunner(this);
      this.each(this.router.connected, null);
    }
    if (event.type !== 'connection_lost') return;
    this.runner.end();
    this.each(this.router.disconnected, event);
  }

  private each(handlers: readonly Handler[], payload: unknown): void {
    for (const handler of handlers) {
      this.take((runner) => this.router.call(handler, payload, this.device, runner));
    }
  }

  private take(handler: (connection: HandlerRunner) => unknown): void {
    // What waits for a handler belongs to the connection it came on.
    const { runner } = this;
    this.mailbox.take(() => {
      const running = runner.run(() => handler(runner));
      return running && this.watched(running);
    });
  }

  /** All that comes after a handler waits for it: one that never ends makes the device deaf, and nothing else would tell. */
  private async watched(running: Promise<void>): Promise<void> {
    const handler = this.router.called;
    const timer = setTimeout(() => {
      const event = handler?.kind.kind === 'event' ? `, for the event '${handler.kind.event}',` : '';
      this.logger.warn(
        `${handler?.name}${event} has been running for ${LONG_RUN_MS / 1000} s. What the cloud sends waits for it, ` +
          `and is dropped when ${MAILBOX_LIMIT} messages wait: give what it awaits a timeout`,
      );
    }, LONG_RUN_MS);
    timer.unref();
    await running;
    clearTimeout(timer);
  }

  /** Told at the first and at the last, and not at every one: there may be many. */
  private drop(): void {
    if (this.dropped++ > 0) return;
    this.logger.error(`Messages of the cloud are being dropped: ${MAILBOX_LIMIT} wait for a handler`);
  }

  private hasRoom(): void {
    this.full = false;
    if (this.dropped === 0) return;
    this.logger.error(`${this.dropped} messages of the cloud were dropped; there is room again`);
    this.dropped = 0;
  }

  private handled(result: unknown): unknown {
    if (result !== UNHANDLED) return result;
    this.logger.warn('No handler takes a message of the cloud: add a catch-all @OnMessage()');
    return undefined;
  }

  // --- What handlers may do --------------------------------------------------------------------------------

  send(term: Term): void {
    this.sending = this.client
      .send(term)
      .catch((error: unknown) => this.logger.warn(`A handler's result was not sent: ${messageOf(error)}`));
  }

  /** On a device the connection is not a handler's to close: it would only be opened again. */
  stop(): void {
    this.logger.error(
      'A handler returned stop(), which closes a connection of the cloud: on a device use FedecksClient.stop()',
    );
  }

  drained(): Promise<void> | undefined {
    return this.sending;
  }

  failed(error: unknown): void {
    this.logger.error('A handler failed', stackOf(error));
  }
}

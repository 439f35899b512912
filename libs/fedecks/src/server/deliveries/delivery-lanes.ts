import { failureOf, type Handler, Inbox, type InboxOwner, LONG_RUN_MS } from '../../handlers/index.js';
import { type DeliveryInfo, HandlerRunner, type ResultSink } from '../../results/index.js';
import { type DecodeOptions, readDelivered, type Term } from '../../wire/internal.js';
import { type ConnectedDevice, type SocketError } from '../device.js';
import { DeliverySink, type DeliveryTurn } from '../../receiving/index.js';

/** The text for the device (PROTOCOL.md §6.3, §6.4). It does not name the events that have a handler. */
export const NO_HANDLER = 'no handler takes this event';

/** What the lanes need of the connection they belong to. */
export interface LanesOwner extends Pick<ResultSink, 'stop' | 'onFailure'> {
  readonly device: ConnectedDevice;
  readonly endpoint: {
    readonly decoding: DecodeOptions;
    onReceived(device: ConnectedDevice, message: Term, delivery: DeliveryInfo): void;
  };
  /** Runs the handler of a message in an inbox. False if there is none. */
  runFor(
    inbox: Inbox<DeliveryTurn>,
    sink: ResultSink,
    message: Term,
    bytes: number,
    runner: HandlerRunner,
  ): boolean;
  /** A lane is ready. */
  onReady(): void;
  report(type: SocketError['type'], info: string): void;
}

/**
 * The handlers of a connection's deliveries. The lanes wait neither for one another nor for the mailbox, so each has an
 * inbox of its own. There is never more in it than the one delivery whose turn has come.
 */
export class DeliveryLanes implements InboxOwner<DeliveryTurn> {
  private readonly inboxes = new Map<number, Inbox<DeliveryTurn>>();

  constructor(private readonly owner: LanesOwner) {}

  get device(): ConnectedDevice {
    return this.owner.device;
  }

  /** Whether nothing runs or waits. */
  get idle(): boolean {
    return [...this.inboxes.values()].every(({ idle }) => idle);
  }

  /** A lane with something to do. */
  get ready(): Inbox<DeliveryTurn> | undefined {
    for (const inbox of this.inboxes.values()) if (inbox.ready) return inbox;
    return undefined;
  }

  /** Puts a delivery in its lane. It is handled when the lane's {@link Inbox.step} is called. */
  take(turn: DeliveryTurn): void {
    this.inboxOf(turn).defer(turn, turn.frame.length);
  }

  /** Resolves when all taken so far are handled. */
  async done(): Promise<void> {
    await Promise.all([...this.inboxes.values()].map((inbox) => inbox.done()));
  }

  /** Reports handlers that run long. Called periodically with monotonic time in ms. */
  watch(now: number): void {
    for (const inbox of this.inboxes.values()) inbox.watch(now);
  }

  handle(turn: DeliveryTurn): void {
    if (!turn.begin()) return;
    const { owner } = this;
    const sink = new DeliverySink(turn, owner, failureOf);
    const runner = new HandlerRunner(sink, turn.info);
    turn.onEnd = () => runner.end();
    const delivered = readDelivered(turn.frame, owner.endpoint.decoding);
    if (!delivered) {
      const text = 'it is no safe term, or too large a one';
      owner.report('unhandled_message', `a delivery cannot be read: ${text}`);
      turn.finish({ result: 'invalid', text });
      return;
    }
    const { value } = delivered;
    owner.endpoint.onReceived(owner.device, value, turn.info);
    if (!owner.runFor(this.inboxOf(turn), sink, value, turn.frame.length, runner))
      turn.finish({ result: 'no_handler', text: NO_HANDLER });
  }

  onReady(): void {
    this.owner.onReady();
  }

  onFailure(error: unknown): void {
    this.owner.onFailure(error);
  }

  onStall({ name }: Handler): void {
    this.owner.report(
      'handler_stalled',
      `${name} has been running for ${LONG_RUN_MS / 1000} s, and the deliveries of its lane wait for it: ` +
        'add a timeout to what it awaits',
    );
  }

  private inboxOf({ info: { lane } }: DeliveryTurn): Inbox<DeliveryTurn> {
    let inbox = this.inboxes.get(lane);
    if (!inbox) this.inboxes.set(lane, (inbox = new Inbox(LIMITS, this)));
    return inbox;
  }
}

/** Nobody asks whether it is full: the windows of the lanes limit what waits (PROTOCOL.md §6.4). */
const LIMITS = { messages: Infinity, bytes: Infinity };

import { type DeliveryClaim, FIRST_GRANT, type HandledPosition, type Window } from '../delivery/index.js';
import { type DeliveryTurn, DeviceReceiver, type ReceiverOwner } from '../receiving/index.js';
import { type DeliveryInfo } from '../results/index.js';
import { encodeControlAfter, encodeTerm, readDelivered, type Term } from '../wire/internal.js';
import { type ClientEvent } from './client-event.js';
import { idOf, type IncomingDelivery } from './delivery-handlers.js';
import { HandledPositions } from './handled-positions.js';
import { type PositionsFile } from './positions-file.js';

/** How large the term of a result may be, in bytes (PROTOCOL.md §6.4). */
const MAX_RESULT_BYTES = 16_384;
/** How long, in ms, what was handled may take to be kept when the client stops. */
const FINISH_WITHIN_MS = 1_000;

/** What a handler has returned, until its delivery is acknowledged. */
interface Result {
  readonly seq: number;
  /** The control message. */
  readonly bytes: Buffer;
}

/** What handles deliveries. */
interface DeliveryHandling {
  /** Whether there is any handler. */
  isThere(): boolean;
  /** Runs the handler of a delivery. Must not throw. */
  handle(delivery: IncomingDelivery): void;
}

const NO_GRANT: Window = { messages: 0, bytes: 0 };

/** The deliveries of the cloud to this device, over all its connections. */
export class IncomingDeliveries implements ReceiverOwner {
  isClosing = false;
  isClosed = false;
  readonly receiver: DeviceReceiver;
  private readonly positions: HandledPositions;
  /** Of each lane, the last one. */
  private readonly results = new Map<number, Result>();

  /**
   * @param file undefined to keep in memory what was handled.
   */
  constructor(
    private readonly options: { readonly deviceId: string; readonly maxFrameBytes: number },
    file: PositionsFile | undefined,
    private readonly handlers: DeliveryHandling,
    private readonly report: (event: ClientEvent) => void,
  ) {
    this.receiver = new DeviceReceiver(options.deviceId, this);
    this.positions = new HandledPositions(file, (reason) => report({ type: 'positions_failed', reason }));
  }

  /** Whether this device takes deliveries. */
  get isTaking(): boolean {
    return this.handlers.isThere();
  }

  get grant(): Window {
    return this.isTaking ? FIRST_GRANT : NO_GRANT;
  }

  /** Runs the handler of a delivery in a turn of the event loop of its own: a cloud may send many. */
  takeTurn(turn: DeliveryTurn): void {
    this.results.delete(turn.info.lane);
    setImmediate(() => this.begin(turn));
  }

  /** The control message with the result of a delivery that is about to be acknowledged. It is sent once. */
  takeResult(lane: number, seq: number): Buffer | undefined {
    const result = this.results.get(lane);
    if (result?.seq !== seq) return undefined;
    this.results.delete(lane);
    return result.bytes;
  }

  /** Tells handlers to stop, and waits until what was handled is kept, but not for long. */
  async finish(): Promise<void> {
    this.isClosing = true;
    this.receiver.abort();
    let timer: NodeJS.Timeout | undefined;
    const timeIsUp = new Promise((resolve) => (timer = setTimeout(resolve, FINISH_WITHIN_MS)));
    await Promise.race([timeIsUp, this.receiver.quiet()]);
    clearTimeout(timer);
    this.isClosed = true;
    this.positions.close();
  }

  claim(): Promise<DeliveryClaim> {
    return this.positions.claim();
  }

  setHandled(_deviceId: string, generation: number, handled: HandledPosition): Promise<boolean> {
    return this.positions.setHandled(generation, handled);
  }

  setHandledIn(): Promise<never> {
    return Promise.reject(new TypeError('delivery.commit(tx) works in the cloud only.'));
  }

  onStoreFailure(_deviceId: string, error: unknown): void {
    const reason = `They cannot be read or written, so nothing is acknowledged until they can: ${String(error)}`;
    this.report({ type: 'positions_failed', reason });
  }

  onIdle(): void {
    // There is only this one.
  }

  private begin(turn: DeliveryTurn): void {
    if (!turn.begin()) return;
    const delivered = readDelivered(turn.frame, { maxBytes: this.options.maxFrameBytes });
    if (!delivered) turn.finish({ result: 'invalid', text: 'it is no safe term, or too large a one' });
    else {
      const onResult = (value: Term): void => this.keepResult(turn.info, value);
      this.handlers.handle({ turn, message: delivered.value, onResult });
    }
  }

  private keepResult(info: DeliveryInfo, value: Term): void {
    if (value === null) return;
    const { lane, seq } = info;
    try {
      const { length } = encodeTerm(value);
      if (length > MAX_RESULT_BYTES)
        throw new RangeError(`it has ${length} bytes, and at most ${MAX_RESULT_BYTES} are sent`);
      this.results.set(lane, { seq, bytes: encodeControlAfter(0, { type: 'result', lane, seq, value }) });
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.report({ type: 'delivery_result_dropped', id: idOf(info), reason });
    }
  }
}

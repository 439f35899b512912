import { type DeliveryClaim, FIRST_GRANT, type HandledPosition } from '../../delivery/index.js';
import { type HandledStore } from './delivery-store.js';
import { type DeliveryPeer, DeviceReceiver, type ReceiverOwner } from '../../receiving/index.js';

/** How many devices are remembered that are connected elsewhere, and have had a message handled here all the same. */
const MAX_REMEMBERED = 1_000;

/** How long, in ms, what was handled may take to be stored when the app ends. */
const CLOSING_MS = 1_000;

/** Where failures of the store, and what the developer should know, are logged. */
interface Log {
  warn(line: string): void;
  error(line: string, error: unknown): void;
}

/** The deliveries of the devices of an endpoint to this node. */
export class Deliveries implements ReceiverOwner {
  readonly grant = FIRST_GRANT;
  isClosing = false;
  isClosed = false;
  private readonly receivers = new Map<string, DeviceReceiver>();
  /** Those that only remember what was handled in vain, the oldest first. */
  private readonly remembered = new Set<string>();
  private store!: HandledStore;
  private warning: string | undefined;

  constructor(
    private readonly endpoint: string,
    private readonly log: Log,
  ) {}

  /** @param warning logged once, when the first device delivers. */
  keepIn(store: HandledStore, warning?: string): void {
    this.store = store;
    this.warning = warning;
  }

  /** A connection of the device begins to deliver. */
  open(deviceId: string, peer: DeliveryPeer): DeviceReceiver {
    if (this.warning !== undefined) this.log.warn(this.warning);
    this.warning = undefined;
    this.remembered.delete(deviceId);
    let receiver = this.receivers.get(deviceId);
    if (!receiver) this.receivers.set(deviceId, (receiver = new DeviceReceiver(deviceId, this)));
    void receiver.connect(peer);
    return receiver;
  }

  /** The app ends: no handler begins any more. */
  beginToClose(): void {
    this.isClosing = true;
  }

  /** Tells handlers to stop, and waits until what was handled is stored, but not for long. */
  async close(): Promise<void> {
    const receivers = [...this.receivers.values()];
    for (const receiver of receivers) receiver.abort();
    let timer: NodeJS.Timeout | undefined;
    const timeIsUp = new Promise((resolve) => (timer = setTimeout(resolve, CLOSING_MS)));
    await Promise.race([timeIsUp, Promise.all(receivers.map((each) => each.quiet()))]);
    clearTimeout(timer);
    this.isClosed = true;
  }

  claim(deviceId: string): DeliveryClaim | Promise<DeliveryClaim> {
    return this.store.claim(this.endpoint, deviceId);
  }

  setHandled(deviceId: string, generation: number, handled: HandledPosition): boolean | Promise<boolean> {
    return this.store.setHandled(this.endpoint, deviceId, generation, handled);
  }

  async setHandledIn(
    tx: unknown,
    deviceId: string,
    generation: number,
    handled: HandledPosition,
  ): Promise<boolean> {
    if (!this.store.setHandledIn) {
      throw new TypeError(
        "delivery.commit(tx): 'deliveryStore' has no method setHandledIn(tx, ...), so it cannot join a transaction. Add it, or " +
          'put delivery.key into a unique column.',
      );
    }
    return this.store.setHandledIn(tx, this.endpoint, deviceId, generation, handled);
  }

  onStoreFailure(deviceId: string, error: unknown): void {
    const who = `device ${JSON.stringify(deviceId)}`;
    this.log.error(`${who}: the store of deliveries failed, and is tried again`, error);
  }

  onIdle(deviceId: string, isEmpty: boolean): void {
    if (isEmpty) {
      this.receivers.delete(deviceId);
      return;
    }
    this.remembered.add(deviceId);
    const [oldest] = this.remembered;
    if (this.remembered.size <= MAX_REMEMBERED || oldest === undefined) return;
    this.remembered.delete(oldest);
    this.receivers.delete(oldest);
  }
}

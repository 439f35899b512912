import { decodeDeliveryControl, type DeliveryControl, readDeliverHead } from '../wire/internal.js';
import { type FakeDelivery } from './fake-delivery.js';
import { FakeReceiver } from './fake-receiver.js';
import {
  type DeliveryLink,
  type FakeDeliverOptions,
  type FakeDeliveryOutcome,
  FakeSender,
} from './fake-sender.js';

/** The deliveries of a fake device, in both directions. */
export class FakeDeliveries {
  private readonly sender: FakeSender;
  private readonly receiver: FakeReceiver;

  constructor(
    private readonly link: DeliveryLink,
    onDelivery: (delivery: FakeDelivery) => void,
  ) {
    this.sender = new FakeSender(link);
    this.receiver = new FakeReceiver(link, onDelivery);
  }

  /** @param message encoded, with its version byte. */
  deliver(message: Buffer, options: FakeDeliverOptions): Promise<FakeDeliveryOutcome> {
    this.begin();
    return this.sender.deliver(message, options);
  }

  /** Takes a frame that is a control message of this type. */
  onControl(type: DeliveryControl['type'], bytes: Buffer): void {
    if (type === 'deliver') {
      const head = readDeliverHead(bytes);
      return head ? this.receiver.onDeliver(head, bytes) : this.link.breach();
    }
    const control = decodeDeliveryControl(bytes, type);
    // Only devices send results.
    if (!control || control.type === 'result') return this.link.breach();
    if (control.type === 'resume') this.begin();
    this.sender.onControl(control);
  }

  /** The connection has ended. @param why as a sentence. */
  end(why: string): void {
    this.sender.end(why);
  }

  /** Sends the resume of this side, the first time. */
  private begin(): void {
    this.receiver.connect();
    this.sender.connect();
  }
}

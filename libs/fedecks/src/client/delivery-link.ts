import { type DeliveryPeer, type DeliveryTurn } from '../receiving/index.js';
import { type DeliverHead, type DeliveryControl, encodeControlAfter } from '../wire/internal.js';
import { type Deliveries, type DeliverySocket, type Resume } from './deliveries.js';
import { type IncomingDeliveries } from './incoming-deliveries.js';
import { type DeviceSocket, type ReceivedDeliveryControl } from './socket.js';

/** Deliveries in both directions on one connection (PROTOCOL.md §6.4). They begin when both sides have sent `resume`. */
export class DeliveryLink implements DeliveryPeer, DeliverySocket {
  private theirs: Resume | undefined;
  private ours: 'none' | 'due' | 'sent' = 'none';

  /** @param outgoing undefined without an outbox. */
  constructor(
    private readonly socket: Pick<DeviceSocket, 'protocol' | 'sendDelivery' | 'breach' | 'close'>,
    private readonly incoming: IncomingDeliveries,
    private readonly outgoing: Deliveries | undefined,
  ) {}

  get protocol(): 1 | 2 {
    return this.socket.protocol;
  }

  get resumed(): Resume | undefined {
    return this.ours === 'sent' ? this.theirs : undefined;
  }

  /** Sends it when it is known what was handled. */
  resume(): void {
    if (this.ours !== 'none') return;
    this.ours = 'due';
    void this.incoming.receiver.connect(this);
  }

  onControl(control: ReceivedDeliveryControl, bytes: Buffer): void {
    const { type } = control;
    if (type === 'resume') this.onResume(control);
    else if (type === 'deliver') this.onDeliver(control, bytes);
    else if (type === 'result' || !this.outgoing || !this.resumed)
      this.breach(`it sent a '${type}', and nothing was delivered`);
    else this.outgoing.onControl(control);
  }

  private onResume(theirs: Resume): void {
    if (this.theirs) return this.breach('it sent a second resume');
    this.theirs = theirs;
    if (this.outgoing || this.incoming.isTaking) this.resume();
    this.outgoing?.resume();
  }

  /** There is a handler now: what waits in the cloud may come. */
  onHandler(): void {
    if (this.theirs) this.resume();
  }

  private onDeliver(head: DeliverHead, bytes: Buffer): void {
    if (!this.theirs) return this.breach('it delivers before its resume');
    // A copy: the bytes may be a small part of what was read.
    this.incoming.receiver.deliver(this, head, Buffer.from(bytes));
  }

  /** The connection has ended. */
  lost(): void {
    this.incoming.receiver.lost(this);
  }

  sendDelivery(bytes: Uint8Array): void {
    this.socket.sendDelivery(bytes);
  }

  // --- The connection of the receiver ------------------------------------------------------------------------

  takeTurn(turn: DeliveryTurn): void {
    this.incoming.takeTurn(turn);
  }

  sendDeliveryControl(control: DeliveryControl): void {
    const result = control.type === 'ack' ? this.incoming.takeResult(control.lane, control.seq) : undefined;
    if (result) this.socket.sendDelivery(result);
    this.socket.sendDelivery(encodeControlAfter(0, control));
    if (control.type !== 'resume') return;
    this.ours = 'sent';
    this.outgoing?.resume();
  }

  breach(reason: string): void {
    this.socket.breach(reason);
  }

  replaced(): void {
    this.socket.close();
  }
}

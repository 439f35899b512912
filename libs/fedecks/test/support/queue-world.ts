/** What the parts of a history of deliveries to a device share. */
import { type HandledPosition, type Window } from '../../src/delivery/index.js';
import { type DeviceResume, type SenderPeer } from '../../src/server/deliveries/device-sender.js';
import { type DeliverHead, type DeliveryControl } from '../../src/wire/internal.js';
import { type SimulatedClock } from './queue-clock.js';
import { type SimulatedReceiver } from './queue-device.js';
import { type CloudNode } from './queue-node.js';
import { type QueueOracle } from './queue-oracle.js';

export const DEVICE = 'lamp';

export interface QueueWorld {
  readonly clock: SimulatedClock;
  readonly oracle: QueueOracle;
  readonly nodes: readonly CloudNode[];
  /** Faults are over. */
  readonly isCalm: boolean;
  random(): number;
  note(line: string): void;
}

/** What goes to the device. */
export type Down =
  | { readonly type: 'resume' }
  | (Omit<DeliverHead, 'type'> & { readonly type: 'deliver'; readonly id: number });
/** What goes to the cloud. */
export type Up =
  | { readonly type: 'resume'; readonly handled: readonly HandledPosition[]; readonly window: Window }
  | Extract<DeliveryControl, { readonly type: 'result' | 'ack' | 'nack' }>;

/** A connection. Each end learns of its loss by itself, and reads what was sent before. */
export class DeviceLink implements SenderPeer {
  readonly protocol = 2;
  readonly up: Up[] = [];
  readonly down: Down[] = [];
  isUpOpen = true;
  /** Until the device restarts. */
  isDownOpen = true;
  deviceResume: DeviceResume | undefined;
  hasDeviceResumed = false;
  /** By lane, that of the last delivery which arrived. */
  readonly epochs = new Map<number, string>();
  private hasCloudResumed = false;

  constructor(
    private readonly world: QueueWorld,
    readonly number: number,
    readonly device: SimulatedReceiver,
    readonly node: CloudNode,
  ) {}

  beginDeliveries(): void {
    if (this.hasCloudResumed) return;
    this.hasCloudResumed = true;
    if (this.isDownOpen) this.down.push({ type: 'resume' });
  }

  sendDelivery(head: Omit<DeliverHead, 'type'>, message: Uint8Array): void {
    const id = Number(Buffer.from(message).toString());
    this.world.note(`${this.node.name} sends ${id} as ${head.lane}/${head.seq}, attempt ${head.attempt}`);
    this.world.oracle.onSent(id);
    if (this.isDownOpen) this.down.push({ ...head, type: 'deliver', id });
  }

  breach(reason: string): void {
    this.world.oracle.fail(`peers: ${this.node.name} closes ${this.number}: ${reason}`);
  }
}

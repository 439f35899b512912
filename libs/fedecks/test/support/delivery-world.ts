import { type ReceiverEffect, type SenderEffect, type Window } from '../../src/delivery/index.js';
import { type SimulatedDevice } from './delivery-device.js';
import { type SimulatedNode } from './delivery-node.js';
import { type DeliveryOracle } from './delivery-oracle.js';
import { type SimulatedHandledStore } from './delivery-stores.js';

/** What is sent up a connection. */
export type Delivery = Extract<SenderEffect, { do: 'deliver' }> & {
  readonly bytes: number;
  readonly id: number;
};
/** What is sent down a connection. */
export type Reply = Extract<ReceiverEffect, { do: 'resume' | 'ack' | 'nack' }>;

export interface World {
  now: number;
  readonly oracle: DeliveryOracle;
  readonly handled: SimulatedHandledStore;
  readonly links: Link[];
  readonly nodes: readonly SimulatedNode[];
  /** By lane, which copy of a store sent what was last stored as handled. */
  readonly sources: Map<number, string>;
  note(line: string): void;
}

/** A connection. Each end learns of its loss by itself, and reads what was sent before. */
export class Link {
  readonly up: Delivery[] = [];
  readonly down: Reply[] = [];
  isUpOpen = true;
  isClaimed = false;
  /** What the sender was granted, and has under way. */
  readonly grants = new Map<number, Window>();
  readonly underWay = new Map<number, { seq: number; bytes: number }[]>();
  /** The messages that have arrived, by lane and number. */
  readonly arrived = new Map<string, number>();

  constructor(
    readonly number: number,
    readonly device: SimulatedDevice,
    readonly node: SimulatedNode,
  ) {}
}

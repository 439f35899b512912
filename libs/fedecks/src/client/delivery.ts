import { type DeliveryOutcome, type OutboxLosses } from './delivery-outcomes.js';
import { type Durability } from './outbox/outbox-store.js';

/** How a message is kept and delivered. */
export interface DeliverOptions {
  /** How long the message means something, in milliseconds. @default 7 days */
  readonly ttlMs?: number | undefined;
  /** A newer message takes the place of one that waits in the lane with the same key. At most 256 bytes. */
  readonly key?: string | undefined;
  /** Order holds within a lane, and a lane does not wait for another. At most 8. @default 'default' */
  readonly lane?: string | undefined;
  /**
   * What the message survives once `deliver` has resolved: `memory` an outage; `disk` also `kill -9`, and after a second a
   * power cut; `power` also a power cut at once.
   * @default 'disk'
   */
  readonly durable?: Durability | undefined;
}

/** A message that is kept. */
export interface Delivery {
  /** Names it in events, and for ever. */
  readonly id: string;
  /** What became of it. It never rejects, and ends with the process: after a restart, events say it. */
  readonly done: Promise<DeliveryOutcome>;
}

/**
 * Why messages flow, or not:
 * - `flowing`: connected, and the cloud takes them.
 * - `waiting`: connected; the cloud has not yet said what it has handled.
 * - `offline`: not connected.
 * - `not_supported`: the cloud speaks protocol 1. They wait for another.
 * - `failed`: the store cannot be used. The event `outbox_failed` says why.
 * - `none`: the client has no outbox.
 */
export type OutboxFlow = 'flowing' | 'waiting' | 'offline' | 'not_supported' | 'failed' | 'none';

/** What waits in the outbox. */
export interface OutboxDetails {
  /** The number of messages. */
  readonly size: number;
  /** Their bytes, with about 70 for each. */
  readonly bytes: number;
  /** Why they flow, or not. */
  readonly state: OutboxFlow;
  /** What was lost. */
  readonly losses: OutboxLosses;
}

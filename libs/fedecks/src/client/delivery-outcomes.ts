import { type FoundLane, type SenderEffect } from '../delivery/index.js';
import { type ClientEvent } from './client-event.js';

/**
 * What became of a message that was given to `deliver`:
 * - `handled`: the cloud's handler has finished.
 * - `rejected`: the cloud refuses it, and always will.
 * - `expired`: its `ttlMs` has passed.
 * - `dropped`: there was no room for it, a newer one has replaced it, or its handler has failed five times.
 */
export type DeliveryOutcome = 'handled' | 'rejected' | 'expired' | 'dropped';

/**
 * How many messages of an outbox have ended without being handled since this client was made, by cause. For a status page
 * or a report to the cloud: the client does not send them.
 */
export interface OutboxLosses {
  /** There was no room: dropped for a newer message, or refused with `OutboxFullError`. */
  readonly full: number;
  /** Their `ttlMs` has passed. */
  readonly expired: number;
  /** The cloud refuses them: it has no handler, or a pipe or guard refuses them. */
  readonly rejected: number;
  /** A newer message with their key has taken their place. */
  readonly replaced: number;
  /** The cloud's handler has failed five times. */
  readonly failed: number;
  /**
   * They cannot be read any more. What is damaged when the outbox is opened is not counted: nobody knows how many there
   * were. The event `outbox_failed` reports it.
   */
  readonly damaged: number;
}

type Settle = Extract<SenderEffect, { do: 'settle' }>;

interface Tracked {
  readonly id: string;
  readonly resolve: (outcome: DeliveryOutcome) => void;
}

interface Lane {
  /** The last message of an earlier process. */
  readonly found: number;
  /** The last message that is known to be kept. */
  kept: number;
  /** The messages of this process without an outcome. */
  readonly tracked: Map<number, Tracked>;
  /** The outcomes of messages that are not yet known to be kept. */
  readonly early: Map<number, Settle>;
}

/** Reports what became of messages, counts what was lost, and settles the promises of this process. */
export class DeliveryOutcomes {
  readonly losses: Record<keyof OutboxLosses, number> = {
    full: 0,
    expired: 0,
    rejected: 0,
    replaced: 0,
    failed: 0,
    damaged: 0,
  };
  private readonly lanes = new Map<number, Lane>();

  constructor(private readonly report: (event: ClientEvent) => void) {}

  /** @param found what earlier processes have left. */
  open(found: readonly FoundLane[]): void {
    for (const { lane, next } of found)
      this.lanes.set(lane, { found: next - 1, kept: next - 1, tracked: new Map(), early: new Map() });
  }

  /** A message is kept. Resolves with its outcome, which may be there already. Called in the order of the numbers. */
  track(number: number, seq: number, id: string, name: string): Promise<DeliveryOutcome> {
    return new Promise((resolve) => {
      const lane = this.lanes.get(number);
      if (!lane) return;
      lane.kept = seq;
      const early = lane.early.get(seq);
      // What was not kept after all has no outcome.
      for (const each of lane.early.keys()) if (each <= seq) lane.early.delete(each);
      if (early) this.finish(early, { id, resolve }, name);
      else lane.tracked.set(seq, { id, resolve });
    });
  }

  /** Whether a message of this process is kept, and has no outcome. */
  isOpen(number: number, seq: number): boolean {
    return this.lanes.get(number)?.tracked.has(seq) === true;
  }

  /** @param idOf the id of a message of an earlier process. */
  settle(settled: Settle, name: string, idOf: (seq: number) => string): void {
    const lane = this.lanes.get(settled.lane);
    if (!lane) return;
    for (let seq = settled.from; seq <= settled.to; seq++) {
      const tracked = lane.tracked.get(seq);
      lane.tracked.delete(seq);
      if (tracked) this.finish(settled, tracked, name);
      else if (seq > lane.kept) lane.early.set(seq, settled);
      else if (seq <= lane.found) this.finish(settled, { id: idOf(seq), resolve: () => undefined }, name);
    }
  }

  private finish(settled: Settle, { id, resolve }: Tracked, name: string): void {
    const event = eventOf(settled, id, name);
    if (event.type === 'delivery_dropped') this.losses[event.cause]++;
    else if (settled.outcome === 'expired' || settled.outcome === 'rejected') this.losses[settled.outcome]++;
    resolve(settled.outcome);
    this.report(event);
  }
}

function eventOf({ outcome, code, text = '' }: Settle, id: string, lane: string): ClientEvent {
  switch (outcome) {
    case 'handled':
      return { type: 'delivered', id, lane };
    case 'expired':
      return { type: 'delivery_expired', id, lane };
    case 'rejected':
      return { type: 'delivery_rejected', id, lane, code: code === 'no_handler' ? code : 'invalid', text };
    case 'dropped':
      return {
        type: 'delivery_dropped',
        id,
        lane,
        cause: code === 'full' || code === 'replaced' || code === 'damaged' ? code : 'failed',
        ...(text !== '' && { text }),
      };
  }
}

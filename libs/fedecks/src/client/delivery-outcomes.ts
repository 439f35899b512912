import { type SenderEffect } from '../delivery/index.js';
import { type ClientEvent } from './client-event.js';

/**
 * What became of a message that was given to `deliver`:
 * - `handled`: the cloud's handler has finished.
 * - `rejected`: the cloud refuses it, and always will.
 * - `expired`: its `ttlMs` has passed.
 * - `dropped`: there was no room for it, a newer one has replaced it, or its handler has failed five times.
 */
export type DeliveryOutcome = 'handled' | 'rejected' | 'expired' | 'dropped';

type Settle = Extract<SenderEffect, { do: 'settle' }>;

interface Tracked {
  readonly id: string;
  readonly resolve: (outcome: DeliveryOutcome) => void;
}

/** Reports what became of messages, and settles the promises of this process. */
export class DeliveryOutcomes {
  /** By the number of the lane, and that of the message. */
  private readonly tracked = new Map<number, Map<number, Tracked>>();

  constructor(private readonly report: (event: ClientEvent) => void) {}

  /** Resolves with the outcome. */
  track(lane: number, seq: number, id: string): Promise<DeliveryOutcome> {
    const ofLane = this.tracked.get(lane) ?? new Map<number, Tracked>();
    this.tracked.set(lane, ofLane);
    return new Promise((resolve) => ofLane.set(seq, { id, resolve }));
  }

  /** @param idOf the id of a message of an earlier process. */
  settle(settled: Settle, lane: string, idOf: (seq: number) => string): void {
    const ofLane = this.tracked.get(settled.lane);
    for (let seq = settled.from; seq <= settled.to; seq++) {
      const tracked = ofLane?.get(seq);
      ofLane?.delete(seq);
      tracked?.resolve(settled.outcome);
      this.report(eventOf(settled, tracked?.id ?? idOf(seq), lane));
    }
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

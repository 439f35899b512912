import { type HandledPosition, isLane } from './terms.js';

/** What a store of the receiving side knows of a device when a connection of it begins to deliver. */
export interface DeliveryClaim {
  /** Greater than that of every claim of the device before, on whichever node. */
  readonly generation: number;
  /** At most one position for each lane. */
  readonly handled: readonly HandledPosition[];
}

/** The claim after another one. Its generation rises even if the store has lost that. */
export function claimAfter(last: DeliveryClaim | undefined): DeliveryClaim {
  return { generation: Math.max((last?.generation ?? 0) + 1, Date.now()), handled: last?.handled ?? [] };
}

/**
 * The last claim with this position handled, or undefined where it is newer than the generation.
 * @param last undefined where the store has lost it: nobody has claimed the device since.
 */
export function withHandled(
  last: DeliveryClaim | undefined,
  generation: number,
  handled: HandledPosition,
): DeliveryClaim | undefined {
  if (last && last.generation > generation) return undefined;
  const known = last?.handled ?? [];
  if (isHandled(known, handled)) return last;
  return { generation, handled: [...known.filter(({ lane }) => lane !== handled.lane), handled] };
}

/** Whether the positions cover one: that of its lane has its epoch, and no smaller number. */
export function isHandled(
  positions: readonly HandledPosition[],
  { lane, epoch, seq }: HandledPosition,
): boolean {
  return positions.some((each) => each.lane === lane && each.epoch === epoch && each.seq >= seq);
}

/** Whether a value of a store is a claim. */
export function isDeliveryClaim(value: unknown): value is DeliveryClaim {
  const { generation, handled } = (value ?? {}) as Record<string, unknown>;
  return (
    Number.isSafeInteger(generation) &&
    Array.isArray(handled) &&
    handled.every(isPosition) &&
    new Set(handled.map(({ lane }) => lane)).size === handled.length
  );
}

function isPosition(value: unknown): value is HandledPosition {
  const { lane, epoch, seq } = (value ?? {}) as Partial<Record<string, unknown>>;
  return (
    typeof lane === 'number' &&
    isLane(lane) &&
    typeof epoch === 'string' &&
    epoch !== '' &&
    Number.isSafeInteger(seq) &&
    Number(seq) >= 1
  );
}

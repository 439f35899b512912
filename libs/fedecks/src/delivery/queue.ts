import { extend, type Span, trim } from './epochs.js';
import { LANES, type Position } from './terms.js';

/** What waits for a device, and what became of the last messages: plain JSON. */
export interface DeviceQueue {
  /** Greater than that of every queue of the device before. */
  readonly revision: number;
  /** When something has to be done about it, in ms since 1970. */
  readonly dueAt: number;
  /** The lanes that were used. At most 8. */
  readonly lanes: readonly QueueLane[];
  /** In the order in which they were put in. */
  readonly waiting: readonly WaitingDelivery[];
  /** In the order in which they became final. */
  readonly final: readonly FinalDelivery[];
}

export interface QueueLane {
  /** 0 to 7. */
  readonly lane: number;
  readonly name: string;
  /** The last number that was put in. */
  readonly last: number;
  /** Which process put in which numbers, from the first that waits on. */
  readonly spans: readonly Span[];
}

interface DeliveryFacts extends Position {
  readonly lane: number;
  readonly event: string;
  readonly key?: string;
  /** In ms since 1970, as all times here. */
  readonly queuedAt: number;
  /** When it was sent last. */
  readonly sentAt?: number;
  /** How often it was sent. */
  readonly attempts: number;
}

/** A message without a final state. It is `sent` once it has a `sentAt`. */
export interface WaitingDelivery extends DeliveryFacts {
  /** What the store calls its bytes. */
  readonly message: string;
  readonly expiresAt: number;
  /** It is not to be sent again. */
  readonly isCancelled?: true;
}

export type FinalState = 'done' | 'rejected' | 'expired' | 'cancelled';

/** Why a message has its final state. */
export interface Ending {
  readonly state: FinalState;
  /** What the handler on the device returned: a term in base64. */
  readonly result?: string;
  readonly code?: string;
  readonly text?: string;
}

/** A message with a final state: no other state follows. */
export interface FinalDelivery extends DeliveryFacts, Ending {
  readonly finalAt: number;
}

/** A message of a queue in one of its states, as the nodes tell each other of it. */
export type QueueEntry = Omit<WaitingDelivery, 'message'> | FinalDelivery;

/** What is put in. */
export interface NewDelivery {
  readonly event: string;
  /** The name of its lane. */
  readonly lane: string;
  readonly key?: string | undefined;
  readonly message: string;
  readonly ttlMs: number;
}

/** A queue after a change, and what the change has made final. */
export interface QueueChange {
  readonly queue: DeviceQueue;
  readonly ended: readonly (FinalDelivery & { readonly message: string })[];
}

/** How many messages wait for one device at most. */
export const MAX_WAITING = 1_000;
/** How many final states of a device are kept at most, for how long, and with how much of results, in characters. */
const MAX_FINAL = 100;
const KEEP_FINAL_MS = 7 * 24 * 60 * 60 * 1_000;
const MAX_RESULTS = 256 * 1_024;

/**
 * Puts a message in. A waiting one with its key in its lane, that was not sent, is cancelled.
 * @param number is greater than all that this process has used.
 * @returns what is too many if there is no room.
 */
export function enqueue(
  before: DeviceQueue,
  delivery: NewDelivery,
  { epoch, seq: number }: Position,
  now: number,
): (QueueChange & { readonly added: WaitingDelivery }) | 'messages' | 'lanes' {
  const change = expire(before, now);
  const { event, key, message, ttlMs } = delivery;
  const lane = laneOf(change.queue, delivery.lane);
  if (!lane) return 'lanes';
  const old = change.queue.waiting.find(
    (each) => key !== undefined && each.key === key && each.lane === lane.lane && each.attempts === 0,
  );
  const cleared = old
    ? andThen(change, settle(change.queue, [old], { state: 'cancelled', code: 'replaced' }, now))
    : change;
  const { queue, ended } = cleared;
  if (queue.waiting.length >= MAX_WAITING) return 'messages';
  const position = { epoch, seq: Math.max(number, lane.last + 1) };
  const added: WaitingDelivery = {
    lane: lane.lane,
    ...position,
    event,
    ...(key !== undefined && { key }),
    message,
    queuedAt: now,
    expiresAt: now + ttlMs,
    attempts: 0,
  };
  const used = { ...lane, last: position.seq, spans: extend(lane.spans, position) };
  const lanes = [...queue.lanes.filter((each) => each.lane !== lane.lane), used];
  return { queue: changed(queue, { lanes, waiting: [...queue.waiting, added] }, now), ended, added };
}

/** What a device has for which nothing was ever put in. */
export const EMPTY_QUEUE: DeviceQueue = { revision: 0, dueAt: Infinity, lanes: [], waiting: [], final: [] };

/** The lane with this name, or a new one; in place of one in which nothing waits, if there are 8. */
function laneOf({ lanes, waiting }: DeviceQueue, name: string): QueueLane | undefined {
  const known = lanes.find((each) => each.name === name);
  if (known) return known;
  const isUsed = (lane: number): boolean => waiting.some((each) => each.lane === lane);
  const numbers = Array.from({ length: LANES }, (_, lane) => lane);
  const lane =
    numbers.find((each) => lanes.every((other) => other.lane !== each)) ??
    numbers.find((each) => !isUsed(each));
  if (lane === undefined) return undefined;
  // The device may have handled messages of the one before.
  const last = lanes.find((each) => each.lane === lane)?.last ?? 0;
  return { lane, name, last, spans: [] };
}

/** A message is about to be sent. Undefined if it waits no more, or is not to be sent any more. */
export function markSent(queue: DeviceQueue, position: LanePosition, now: number): DeviceQueue | undefined {
  const found = find(queue, position);
  if (!found || found.isCancelled || found.expiresAt <= now) return undefined;
  const sent = { ...found, sentAt: now, attempts: found.attempts + 1 };
  return changed(queue, { waiting: queue.waiting.map((each) => (each === found ? sent : each)) }, now);
}

/** A position in a lane. */
export interface LanePosition extends Position {
  readonly lane: number;
}

/** Gives messages that wait their final state. Those that wait no more keep the one they have. */
export function settle(
  queue: DeviceQueue,
  positions: readonly LanePosition[],
  ending: Ending,
  now: number,
): QueueChange {
  const over = positions.flatMap((position) => find(queue, position) ?? []);
  if (over.length === 0) return { queue, ended: [] };
  const ended = over.map(({ expiresAt: _expiresAt, isCancelled: _isCancelled, ...facts }) => ({
    ...facts,
    ...ending,
    finalAt: now,
  }));
  const waiting = queue.waiting.filter((each) => !over.includes(each));
  const final = [...queue.final, ...ended.map(({ message: _message, ...rest }) => rest)];
  const lanes = queue.lanes.map((lane) => trimLane(lane, waiting));
  return { queue: changed(queue, { lanes, waiting, final }, now), ended };
}

/** Forgets the spans in which nothing waits, but for the last. */
function trimLane(lane: QueueLane, waiting: readonly WaitingDelivery[]): QueueLane {
  const first = waiting.find((each) => each.lane === lane.lane)?.seq ?? Infinity;
  return { ...lane, spans: trim(lane.spans, first) };
}

/** Cancels a message that was not sent. One that was sent is not sent again: if it was handled it will be `done`. */
export function cancel(queue: DeviceQueue, position: LanePosition, now: number): QueueChange {
  const found = find(queue, position);
  if (!found || found.isCancelled) return { queue, ended: [] };
  if (found.attempts === 0) return settle(queue, [found], { state: 'cancelled' }, now);
  const cancelled = { ...found, isCancelled: true } as const;
  const waiting = queue.waiting.map((each) => (each === found ? cancelled : each));
  return { queue: changed(queue, { waiting }, now), ended: [] };
}

/** Makes those final whose time has passed, and forgets old final states. */
export function expire(queue: DeviceQueue, now: number): QueueChange {
  if (now < queue.dueAt) return { queue, ended: [] };
  const due = queue.waiting.filter(({ expiresAt }) => expiresAt <= now);
  const change = settle(queue, due, { state: 'expired' }, now);
  const final = change.queue.final.filter(({ finalAt }) => finalAt + KEEP_FINAL_MS > now);
  return { queue: changed(change.queue, { final }, now), ended: change.ended };
}

/** Whether it need not be kept any more. */
export function isEmpty({ waiting, final }: DeviceQueue): boolean {
  return waiting.length === 0 && final.length === 0;
}

export function find(
  { waiting }: DeviceQueue,
  { lane, epoch, seq }: LanePosition,
): WaitingDelivery | undefined {
  return waiting.find((each) => each.seq === seq && each.lane === lane && each.epoch === epoch);
}

function andThen(first: QueueChange, second: QueueChange): QueueChange {
  return { queue: second.queue, ended: [...first.ended, ...second.ended] };
}

function changed(queue: DeviceQueue, change: Partial<DeviceQueue>, now: number): DeviceQueue {
  const next = { ...queue, ...change };
  const final = limit(next.final);
  const dueAt = Math.min(
    ...next.waiting.map(({ expiresAt }) => expiresAt),
    ...final.slice(0, 1).map(({ finalAt }) => finalAt + KEEP_FINAL_MS),
  );
  return { ...next, final, dueAt, revision: Math.max(queue.revision + 1, now) };
}

/** The newest of them, as many as may be kept. */
function limit(final: readonly FinalDelivery[]): readonly FinalDelivery[] {
  let results = 0;
  const isTooMuch = ({ result = '' }: FinalDelivery): boolean => (results += result.length) > MAX_RESULTS;
  const newest = final.slice(-MAX_FINAL);
  const first = newest.findLastIndex(isTooMuch);
  return newest.slice(first + 1);
}

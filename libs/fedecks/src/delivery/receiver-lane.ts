import { type Position } from './terms.js';
import { adapt, FIRST_GRANT, MAX_WINDOW, smallest, type Window } from './window.js';

/** A delivery that waits for its turn, or whose handler runs. */
export interface Arrival extends Position {
  readonly attempt: number;
  readonly bytes: number;
  readonly atMs: number;
}

/** What the handler of the lane does. It goes on when the connection is lost. */
export interface Running extends Position {
  /** The connection on which it began. */
  readonly connection: number;
  /**
   * - `handling`: the handler runs.
   * - `storing`: it has handled the message, and the store is about to keep that.
   * - `finished`: it has handled the message, and the store may not keep that now: a newer connection is open. If the
   *   message is delivered there, it counts; otherwise another connection or node has seen to it.
   */
  readonly phase: 'handling' | 'storing' | 'finished';
}

/** The receiving side of a lane. */
export interface ReceiverLane {
  readonly lane: number;
  /** As the store has it. */
  readonly handled: Position | undefined;
  readonly running: Running | undefined;
  /** The deliveries of this connection without an ack or nack. The first is the one that runs, or runs next. */
  readonly queue: readonly Arrival[];
  /** The nacks sent on this connection. */
  readonly nacks: number;
  /** The epoch of the last delivery on this connection. */
  readonly epoch: string | undefined;
  readonly grant: Window;
}

export type NackCode = 'failed' | 'invalid' | 'no_handler';

export type ReceiverLaneEffect =
  | {
      readonly do: 'handle';
      readonly lane: number;
      readonly epoch: string;
      readonly seq: number;
      readonly attempt: number;
    }
  /** Keep this as the last message handled in the lane, if this connection is still the device's newest. */
  | {
      readonly do: 'store';
      readonly connection: number;
      readonly lane: number;
      readonly epoch: string;
      readonly seq: number;
    }
  | { readonly do: 'ack'; readonly lane: number; readonly seq: number; readonly grant: Window }
  | {
      readonly do: 'nack';
      readonly lane: number;
      readonly seq: number;
      readonly code: NackCode;
      readonly text: string;
    };

export interface ReceiverLaneStep {
  readonly lane: ReceiverLane;
  readonly effects: readonly ReceiverLaneEffect[];
}

export function newLane(lane: number, grant: Window): ReceiverLane {
  return {
    lane,
    handled: undefined,
    running: undefined,
    queue: [],
    nacks: 0,
    epoch: undefined,
    grant,
  };
}

/** The lane on a new connection: only its handler is still the same. */
export function reconnect(lane: ReceiverLane, handled: Position | undefined, grant: Window): ReceiverLane {
  return { ...newLane(lane.lane, grant), handled, running: lane.running };
}

/** A delivery as it comes. */
export interface Incoming extends Omit<Arrival, 'epoch'> {
  readonly epoch: string | undefined;
  readonly nacks: number;
}

/** Returns the next step, or what the peer did wrong. */
export function arrive(
  lane: ReceiverLane,
  incoming: Incoming,
  connection: number,
): ReceiverLaneStep | string {
  const { seq, attempt, bytes, atMs, nacks } = incoming;
  // It was sent before the last nack arrived. The peer sends it again.
  if (nacks < lane.nacks) return { lane, effects: [] };
  if (nacks > lane.nacks) return 'it counts more nacks than there were';
  const epoch = incoming.epoch ?? lane.epoch;
  if (epoch === undefined) return 'its first delivery has no epoch';
  const last = lane.queue.at(-1);
  if (last && seq <= last.seq) return 'it delivers out of order';
  const next = { ...lane, epoch };
  const { handled } = lane;
  if (handled?.epoch === epoch && seq <= handled.seq)
    return { lane: next, effects: [{ do: 'ack', lane: lane.lane, seq, grant: lane.grant }] };
  const queued = lane.queue.reduce((sum, each) => sum + each.bytes, 0);
  if (lane.queue.length >= MAX_WINDOW.messages || queued > MAX_WINDOW.bytes)
    return 'it delivers more than it was granted';
  return start({ ...next, queue: [...lane.queue, { epoch, seq, attempt, bytes, atMs }] }, connection);
}

/** Runs the handler of the first delivery, unless a handler runs. */
function start(lane: ReceiverLane, connection: number): ReceiverLaneStep {
  const { running } = lane;
  const head = lane.queue[0];
  if (!head || (running && running.phase !== 'finished')) return { lane, effects: [] };
  if (running && isSame(running, head)) return store(lane, running, connection);
  const { epoch, seq, attempt } = head;
  return {
    lane: { ...lane, running: { connection, epoch, seq, phase: 'handling' } },
    effects: [{ do: 'handle', lane: lane.lane, epoch, seq, attempt }],
  };
}

function store(lane: ReceiverLane, running: Running, connection: number): ReceiverLaneStep {
  const { epoch, seq } = running;
  return {
    lane: { ...lane, running: { ...running, phase: 'storing' } },
    effects: [{ do: 'store', connection, lane: lane.lane, epoch, seq }],
  };
}

/** @param isReplaced another node holds the device. */
export function onHandled(lane: ReceiverLane, connection: number, isReplaced: boolean): ReceiverLaneStep {
  const { running } = lane;
  if (running?.phase !== 'handling') return { lane, effects: [] };
  const isDelivered = lane.queue[0] !== undefined && isSame(running, lane.queue[0]);
  // Without a newer connection nobody else can have handled what came after it.
  if (!isReplaced && (isDelivered || running.connection === connection))
    return store(lane, running, connection);
  return start({ ...lane, running: { ...running, phase: 'finished' } }, connection);
}

export function onFailed(
  lane: ReceiverLane,
  code: NackCode,
  text: string,
  connection: number,
): ReceiverLaneStep {
  const { running } = lane;
  if (running?.phase !== 'handling') return { lane, effects: [] };
  const head = lane.queue[0];
  if (!head || !isSame(running, head)) return start({ ...lane, running: undefined }, connection);
  // The rest must not overtake it: the peer sends again what comes after it, or after its end.
  return {
    lane: {
      ...lane,
      running: undefined,
      queue: [],
      nacks: lane.nacks + 1,
      grant: smallest(lane.grant, FIRST_GRANT),
    },
    effects: [{ do: 'nack', lane: lane.lane, seq: head.seq, code, text }],
  };
}

/** @param isCurrent it was stored for the connection that is open now. */
export function onStored(
  lane: ReceiverLane,
  connection: number,
  isCurrent: boolean,
  now: number,
): ReceiverLaneStep {
  const { running } = lane;
  if (running?.phase !== 'storing') return { lane, effects: [] };
  const { epoch, seq } = running;
  const next: ReceiverLane = {
    ...lane,
    running: undefined,
    handled: isCurrent ? { epoch, seq } : lane.handled,
  };
  const head = lane.queue[0];
  if (!head || !isSame(running, head)) return start(next, connection);
  const grant = adapt(lane.grant, now - head.atMs, head.bytes);
  const started = start({ ...next, handled: { epoch, seq }, queue: lane.queue.slice(1), grant }, connection);
  return { lane: started.lane, effects: [{ do: 'ack', lane: lane.lane, seq, grant }, ...started.effects] };
}

/** The store did not keep it, as the connection for which it was handled is not the device's newest. */
export function onRefused(lane: ReceiverLane, connection: number): ReceiverLaneStep {
  const { running } = lane;
  if (running?.phase !== 'storing') return { lane, effects: [] };
  return start({ ...lane, running: { ...running, phase: 'finished' } }, connection);
}

function isSame(one: Position, other: Position): boolean {
  return one.epoch === other.epoch && one.seq === other.seq;
}

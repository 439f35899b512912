import {
  arrive,
  type Incoming,
  type NackCode,
  newLane,
  onFailed,
  onHandled,
  onRefused,
  onStored,
  type ReceiverLane,
  type ReceiverLaneEffect,
  type ReceiverLaneStep,
  reconnect,
} from './receiver-lane.js';
import { type CloseEffect, type HandledPosition, isLane, type Position, violation } from './terms.js';
import { type Window } from './window.js';

/**
 * The receiving side of all lanes from one peer. It lasts longer than a connection, so that a handler that runs when
 * the peer comes back does not run twice.
 */
export interface ReceiverState {
  /** The newest connection. Deliveries of others are ignored. */
  readonly connection: number;
  /** `replaced`: another node holds the device, so that nothing is handled until it connects here again. */
  readonly status: 'disconnected' | 'connected' | 'replaced';
  readonly lanes: ReadonlyMap<number, ReceiverLane>;
  /** What is granted for each lane at first. */
  readonly grant: Window;
}

export type ReceiverEvent =
  /**
   * A connection with protocol 2 is open, and the store knows it as the device's newest. Its number is greater than
   * those before.
   */
  | {
      readonly type: 'connected';
      readonly connection: number;
      /** As the store had it when it learned of the connection. */
      readonly handled: readonly HandledPosition[];
      /** Small after an outage: it paces the fleet. */
      readonly grant: Window;
    }
  | ({ readonly type: 'deliver'; readonly connection: number; readonly lane: number } & Omit<
      Incoming,
      'atMs'
    >)
  | ({ readonly type: 'finished'; readonly lane: number } & Position & HandlerResult)
  /** The store has kept what the effect `store` said. If the store is out of order, the caller tries again. */
  | ({ readonly type: 'stored'; readonly connection: number; readonly lane: number } & Position)
  /** The store knows a newer connection than that of the effect. */
  | ({ readonly type: 'refused'; readonly connection: number; readonly lane: number } & Position)
  | { readonly type: 'lost'; readonly connection: number };

export type HandlerResult =
  { readonly result: 'handled' } | { readonly result: NackCode; readonly text: string };

/** Performed in order. */
export type ReceiverEffect =
  | ReceiverLaneEffect
  /** The first message of this side. The peer delivers nothing before. */
  | {
      readonly do: 'resume';
      readonly connection: number;
      readonly handled: readonly HandledPosition[];
      readonly grant: Window;
    }
  /** Another node holds the device: end this connection, and abort its handlers. */
  | { readonly do: 'stop'; readonly connection: number }
  | CloseEffect;

export interface ReceiverStep {
  readonly state: ReceiverState;
  readonly effects: readonly ReceiverEffect[];
}

export const INITIAL_RECEIVER: ReceiverState = Object.freeze({
  connection: 0,
  status: 'disconnected',
  lanes: new Map<number, ReceiverLane>(),
  grant: { messages: 1, bytes: 0 },
});

/**
 * The transition function of the receiving side: what is handled when, and what the peer hears of it. It has no clock,
 * socket or store.
 * @param now by a monotonic clock, in ms.
 */
export function nextReceiver(state: ReceiverState, event: ReceiverEvent, now: number): ReceiverStep {
  const nothing: ReceiverStep = { state, effects: [] };
  const { connection } = state;
  switch (event.type) {
    case 'connected':
      return event.connection > connection ? onConnected(state, event) : nothing;
    case 'deliver':
      return onDeliver(state, event, now);
    case 'finished': {
      const isReplaced = state.status === 'replaced';
      return onLane(state, event, (lane) =>
        event.result === 'handled'
          ? onHandled(lane, connection, isReplaced)
          : onFailed(lane, event.result, event.text, connection),
      );
    }
    case 'stored':
      return onLane(state, event, (lane) => onStored(lane, connection, event.connection === connection, now));
    case 'refused': {
      const refuse = (from: ReceiverState): ReceiverStep =>
        onLane(from, event, (lane) => onRefused(lane, connection));
      if (event.connection !== connection) return refuse(state);
      const { state: replaced } = refuse(disconnect(state, 'replaced'));
      return { state: replaced, effects: state.status === 'connected' ? [{ do: 'stop', connection }] : [] };
    }
    case 'lost':
      return event.connection === connection && state.status === 'connected'
        ? { state: disconnect(state, 'disconnected'), effects: [] }
        : nothing;
  }
}

function onConnected(
  state: ReceiverState,
  { connection, handled, grant }: Extract<ReceiverEvent, { type: 'connected' }>,
): ReceiverStep {
  const lanes = new Map<number, ReceiverLane>();
  for (const lane of state.lanes.values())
    if (lane.running) lanes.set(lane.lane, reconnect(lane, undefined, grant));
  for (const { lane, epoch, seq } of handled)
    lanes.set(lane, reconnect(state.lanes.get(lane) ?? newLane(lane, grant), { epoch, seq }, grant));
  return {
    state: { connection, status: 'connected', lanes, grant },
    effects: [{ do: 'resume', connection, handled, grant }],
  };
}

function onDeliver(
  state: ReceiverState,
  event: Extract<ReceiverEvent, { type: 'deliver' }>,
  now: number,
): ReceiverStep {
  if (event.connection > state.connection) {
    const reason = 'it delivers before the resume';
    return { state, effects: [violation(event.connection, reason)] };
  }
  if (event.connection < state.connection || state.status !== 'connected') return { state, effects: [] };
  if (!isLane(event.lane)) return violate(state, `there is no lane ${event.lane}`);
  const lane = state.lanes.get(event.lane) ?? newLane(event.lane, state.grant);
  const { seq, epoch, attempt, bytes, nacks } = event;
  const step = arrive(lane, { seq, epoch, attempt, bytes, nacks, atMs: now }, state.connection);
  return typeof step === 'string' ? violate(state, step) : set(state, step);
}

function violate(state: ReceiverState, reason: string): ReceiverStep {
  return {
    state: disconnect(state, 'disconnected'),
    effects: [violation(state.connection, reason)],
  };
}

function disconnect(state: ReceiverState, status: ReceiverState['status']): ReceiverState {
  const lanes = new Map([...state.lanes].map(([number, lane]) => [number, { ...lane, queue: [] }]));
  return { ...state, status, lanes };
}

/** What happens to the handler of a lane, if it is that of this message. */
function onLane(
  state: ReceiverState,
  { lane: number, epoch, seq }: HandledPosition,
  change: (lane: ReceiverLane) => ReceiverLaneStep,
): ReceiverStep {
  const lane = state.lanes.get(number);
  if (lane?.running?.seq !== seq || lane.running.epoch !== epoch) return { state, effects: [] };
  return set(state, change(lane));
}

function set(state: ReceiverState, { lane, effects }: ReceiverLaneStep): ReceiverStep {
  return { state: { ...state, lanes: new Map(state.lanes).set(lane.lane, lane) }, effects };
}

import {
  ack,
  drop,
  type Drop,
  type FoundLane,
  isForeign,
  type LaneEffect,
  type LaneStep,
  loaded,
  nack,
  openLane,
  pause,
  pump,
  put,
  resume,
  type SenderLane,
  settleDropped,
} from './sender-lane.js';
import { type CloseEffect, type HandledPosition, type Position, violation } from './terms.js';
import { type Window } from './window.js';

/** The sending side of all lanes to one peer. */
export interface SenderState {
  /** The newest connection. Events of older ones are ignored. */
  readonly connection: number;
  /**
   * - `connected`: waits for the peer's `resume`; nothing is delivered before.
   * - `resumed`: delivers.
   * - `foreign`: its numbers are not those that the peer has seen. It waits to be replaced.
   */
  readonly status: 'disconnected' | 'connected' | 'resumed' | 'foreign';
  readonly lanes: ReadonlyMap<number, SenderLane>;
  /** When a tick is due. */
  readonly wakeAtMs: number | undefined;
}

export type SenderEvent =
  /** The store keeps a message. Its number is greater than all others of the lane, those of earlier processes too. */
  | ({ readonly type: 'put'; readonly lane: number } & Position)
  /** The store has dropped a message: its time has passed, the store is full, its key was replaced, it is damaged. */
  | ({ readonly type: 'dropped'; readonly lane: number; readonly seq: number } & Drop)
  /** The answer to `load`, unless the message is dropped. */
  | { readonly type: 'loaded'; readonly lane: number; readonly seq: number; readonly bytes: number }
  /** A connection with protocol 2 is open; its number is greater than those before. */
  | { readonly type: 'connected'; readonly connection: number }
  | { readonly type: 'tick' }
  | ({ readonly connection: number } & SenderConnectionEvent);

type SenderConnectionEvent =
  | { readonly type: 'resume'; readonly handled: readonly HandledPosition[]; readonly grant: Window }
  | { readonly type: 'ack'; readonly lane: number; readonly seq: number; readonly grant: Window }
  | {
      readonly type: 'nack';
      readonly lane: number;
      readonly seq: number;
      readonly code: 'failed' | 'invalid' | 'no_handler';
      readonly text: string;
    }
  | { readonly type: 'lost' };

/** Performed in order: what is settled is written before what follows it is sent. */
export type SenderEffect =
  | LaneEffect
  /** Make a tick due at this time. Replaces the one before. */
  | { readonly do: 'wake'; readonly atMs: number }
  /**
   * The peer has handled more under my newest epoch than I ever put in: the memory of this process was copied or reset.
   * Close the connection, put in all that is held again under a new epoch, and begin with {@link openSender}.
   */
  | { readonly do: 'renumber' }
  | CloseEffect;

export interface SenderStep {
  readonly state: SenderState;
  readonly effects: readonly SenderEffect[];
}

export function openSender(lanes: readonly FoundLane[]): SenderState {
  return {
    connection: 0,
    status: 'disconnected',
    lanes: new Map(lanes.map((found) => [found.lane, openLane(found)])),
    wakeAtMs: undefined,
  };
}

/**
 * The transition function of the sending side: which message is delivered when, and what became of each. It knows
 * numbers and sizes only, and has no clock, socket or disk.
 * @param now by a monotonic clock, in ms.
 */
export function nextSender(state: SenderState, event: SenderEvent, now: number): SenderStep {
  const nothing: SenderStep = { state, effects: [] };
  if (state.status === 'foreign') return nothing;
  if (event.type === 'connected') {
    if (event.connection <= state.connection) return nothing;
    return { state: disconnect(state, 'connected', event.connection), effects: [] };
  }
  if ('connection' in event && event.connection !== state.connection) return nothing;

  switch (event.type) {
    case 'put':
      return onLane(
        state,
        event.lane,
        (lane) => put(lane ?? openLane({ lane: event.lane, held: [], spans: [], next: 1 }), event),
        now,
      );
    case 'dropped': {
      const { outcome, code, text } = event;
      const result = { outcome, ...(code !== undefined && { code }), ...(text !== undefined && { text }) };
      return onLane(state, event.lane, (lane) => lane && drop(lane, event.seq, result), now);
    }
    case 'loaded':
      return onLane(state, event.lane, (lane) => lane && loaded(lane, event.seq, event.bytes), now);
    case 'tick':
      return pumpAll({ ...state, wakeAtMs: undefined }, [], now);
    case 'resume':
      return onResume(state, event, now);
    case 'ack':
    case 'nack':
      return onReply(state, event, now);
    case 'lost':
      return { state: disconnect(state, 'disconnected', state.connection), effects: [] };
  }
}

function disconnect(state: SenderState, status: SenderState['status'], connection: number): SenderState {
  const lanes = new Map([...state.lanes].map(([number, lane]) => [number, pause(lane)]));
  return { ...state, connection, status, lanes };
}

function onResume(
  state: SenderState,
  { handled, grant }: Extract<SenderEvent, { type: 'resume' }>,
  now: number,
): SenderStep {
  if (state.status === 'disconnected') return { state, effects: [] };
  if (state.status === 'resumed') return violate(state, 'it sent a second resume');
  const byLane = new Map(handled.map((each) => [each.lane, each]));
  for (const lane of state.lanes.values()) {
    const position = byLane.get(lane.lane);
    if (position && isForeign(lane, position)) return abandon(state);
  }
  const steps = [...state.lanes.values()].map((lane) => resume(lane, byLane.get(lane.lane), grant));
  const lanes = new Map(steps.map(({ lane }) => [lane.lane, lane]));
  return pumpAll(
    { ...state, status: 'resumed', lanes },
    steps.flatMap(({ effects }) => effects),
    now,
  );
}

/** What the store has dropped is not put in again, so it has its outcome now. */
function abandon(state: SenderState): SenderStep {
  const dropped = [...state.lanes.values()].flatMap((lane) => settleDropped({ lane, effects: [] }).effects);
  return { state: { ...state, status: 'foreign' }, effects: [...dropped, { do: 'renumber' }] };
}

function onReply(
  state: SenderState,
  event: Extract<SenderEvent, { type: 'ack' | 'nack' }>,
  now: number,
): SenderStep {
  if (state.status === 'disconnected') return { state, effects: [] };
  const { type, seq } = event;
  const lane = state.status === 'resumed' ? state.lanes.get(event.lane) : undefined;
  const step =
    lane &&
    (type === 'ack' ? ack(lane, seq, event.grant, now) : nack(lane, seq, event.code, event.text, now));
  if (!step)
    return violate(state, `it sent a ${type} of lane ${event.lane}, number ${seq}, which is not under way`);
  return onLane(state, event.lane, () => step, now);
}

function violate(state: SenderState, reason: string): SenderStep {
  return {
    state: disconnect(state, 'disconnected', state.connection),
    effects: [violation(state.connection, reason)],
  };
}

function onLane(
  state: SenderState,
  number: number,
  change: (lane: SenderLane | undefined) => LaneStep | undefined,
  now: number,
): SenderStep {
  const changed = change(state.lanes.get(number));
  if (!changed) return { state, effects: [] };
  const pumped = state.status === 'resumed' ? pump(changed.lane, now) : { lane: changed.lane, effects: [] };
  const lanes = new Map(state.lanes).set(number, pumped.lane);
  return wake({ ...state, lanes }, [...changed.effects, ...pumped.effects], now);
}

function pumpAll(state: SenderState, before: readonly SenderEffect[], now: number): SenderStep {
  if (state.status !== 'resumed') return { state, effects: before };
  const steps = [...state.lanes.values()].map((lane) => pump(lane, now));
  const lanes = new Map(steps.map(({ lane }) => [lane.lane, lane]));
  return wake({ ...state, lanes }, [...before, ...steps.flatMap(({ effects }) => effects)], now);
}

/** Makes a tick due when the first failing lane tries again. */
function wake(state: SenderState, effects: readonly SenderEffect[], now: number): SenderStep {
  const times = [...state.lanes.values()].flatMap(({ failing }) => failing?.retryAtMs ?? []);
  const wakeAtMs = Math.min(...times.filter((at) => at > now));
  if (wakeAtMs === Infinity || wakeAtMs === state.wakeAtMs) return { state, effects };
  return { state: { ...state, wakeAtMs }, effects: [...effects, { do: 'wake', atMs: wakeAtMs }] };
}

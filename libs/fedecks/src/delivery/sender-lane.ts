import { epochOf, extend, lastUpTo, type Span, trim } from './epochs.js';
import { append, firstAfter, has, type Numbers, remove, splitAfter } from './numbers.js';
import { type Position } from './terms.js';
import { adapt, FIRST_GRANT, FIRST_USE, IN_TIME_MS, smallest, type Window } from './window.js';

export type Outcome = 'handled' | 'rejected' | 'expired' | 'dropped';

/** Why the store dropped a message. */
export interface Drop extends Result {
  readonly outcome: 'expired' | 'dropped';
}

/** A message that was delivered at least once, and has no outcome. */
export interface Sent {
  readonly seq: number;
  readonly bytes: number;
  readonly attempt: number;
  readonly sentAtMs: number;
  /** The connection was lost while it was under way: the peer's next `resume` shows what became of it. */
  readonly status: 'under_way' | 'unknown' | 'not_handled';
  /** The store dropped it meanwhile: this is its outcome unless the peer has handled it. */
  readonly drop?: Drop;
}

/** A message whose size is known: the next to be delivered. */
interface Ready {
  readonly seq: number;
  readonly bytes: number;
}

/** The sending side of a lane. */
export interface SenderLane {
  readonly lane: number;
  /** The numbers without an outcome. Missing ones in between have theirs. */
  readonly held: Numbers;
  readonly spans: readonly Span[];
  /** The last number that an earlier process put in, and may have sent. */
  readonly found: number;
  /** The last number that was put in. */
  readonly last: number;
  readonly sent: readonly Sent[];
  /** The last number sent on this connection. A nack moves it back. */
  readonly cursor: number;
  /** The number whose size the store is asked for. */
  readonly loading: number | undefined;
  readonly ready: Ready | undefined;
  /** The head that the peer could not handle. */
  readonly failing:
    { readonly seq: number; readonly failures: number; readonly retryAtMs: number } | undefined;
  /** The nacks received on this connection. */
  readonly nacks: number;
  /** The epoch of the last delivery on this connection. */
  readonly epoch: string | undefined;
  /** What this side uses, by the time that acks take. */
  readonly use: Window;
  /** What the peer grants. */
  readonly grant: Window;
}

/** What became of a message, and why. */
export interface Result {
  readonly outcome: Outcome;
  readonly code?: string;
  readonly text?: string;
}

export type LaneEffect =
  /** The numbers from `from` to `to`, all of them held, have this outcome: the store forgets them. */
  | ({ readonly do: 'settle'; readonly lane: number; readonly from: number; readonly to: number } & Result)
  /** Ask the store for the size of this message, and have the message at hand. */
  | { readonly do: 'load'; readonly lane: number; readonly seq: number }
  | {
      readonly do: 'deliver';
      readonly lane: number;
      readonly seq: number;
      /** Undefined: the same as of the previous delivery of this lane on this connection. */
      readonly epoch: string | undefined;
      readonly attempt: number;
      readonly nacks: number;
    };

export interface LaneStep {
  readonly lane: SenderLane;
  readonly effects: readonly LaneEffect[];
}

/** The attempts that the peer may fail to handle, and the time before the next one. */
export const MAX_FAILURES = 5;
export const retryDelayMs = (failures: number): number => Math.min(1_000 * 4 ** (failures - 1), 60_000);

/** A lane as the store finds it. */
export interface FoundLane {
  /** 0 to 7. */
  readonly lane: number;
  /** The numbers that wait. */
  readonly held: Numbers;
  /** From the one that holds the first number on, also those whose numbers all have outcomes or are lost. */
  readonly spans: readonly Span[];
  /** The number that the next message gets. */
  readonly next: number;
}

export function openLane({ lane, held, spans, next }: FoundLane): SenderLane {
  return {
    lane,
    held,
    spans: trim(spans, held[0]?.from ?? Infinity),
    found: next - 1,
    last: next - 1,
    sent: [],
    cursor: 0,
    loading: undefined,
    ready: undefined,
    failing: undefined,
    nacks: 0,
    epoch: undefined,
    use: FIRST_USE,
    grant: FIRST_GRANT,
  };
}

export function put(lane: SenderLane, position: Position): LaneStep {
  const held = append(lane.held, position.seq);
  const spans = extend(lane.spans, position);
  return { lane: { ...lane, held, spans, last: position.seq }, effects: [] };
}

export function drop(lane: SenderLane, seq: number, dropped: Drop): LaneStep {
  if (!has(lane.held, seq)) return { lane, effects: [] };
  const loading = lane.loading === seq ? undefined : lane.loading;
  const isOpen = lane.sent.some((each) => each.seq === seq && each.status !== 'not_handled');
  if (!isOpen) return settleOne({ ...lane, loading }, seq, dropped);
  const sent = lane.sent.map((each) => (each.seq === seq ? { ...each, drop: dropped } : each));
  return { lane: { ...lane, loading, sent }, effects: [] };
}

/** The peer has handled more than was put in under the newest epoch: my numbers are not its numbers. */
export function isForeign(lane: SenderLane, { epoch, seq }: Position): boolean {
  return lane.spans.at(-1)?.epoch === epoch && seq > lane.last;
}

/** @param handled the last message that the peer has handled; undefined if it knows of none. */
export function resume(lane: SenderLane, handled: Position | undefined, grant: Window): LaneStep {
  const upTo = handled && lastUpTo(lane.spans, handled);
  const settled = upTo === undefined ? { lane, effects: [] } : settleThrough(lane, upTo);
  const sent = settled.lane.sent.map((each): Sent => ({ ...each, status: 'not_handled' }));
  return settleDropped({ lane: { ...settled.lane, sent, grant }, effects: settled.effects });
}

/** Returns undefined if the number was never sent. */
export function ack(lane: SenderLane, seq: number, grant: Window, now: number): LaneStep | undefined {
  if (seq > lane.cursor) return undefined;
  const underWay = lane.sent.filter(({ status }) => status === 'under_way');
  // A window that is not used shows nothing about the line.
  const isUsed =
    underWay.length * 2 > lane.use.messages || sum(underWay) * 2 > Math.min(lane.use.bytes, grant.bytes);
  const use = underWay
    .filter((each) => each.seq <= seq)
    .reduce((window, { bytes, sentAtMs }) => {
      const elapsedMs = now - sentAtMs;
      return isUsed || elapsedMs > IN_TIME_MS ? adapt(window, elapsedMs, bytes) : window;
    }, lane.use);
  return settleThrough({ ...lane, use, grant }, seq);
}

/** Returns undefined if the number is not the first one under way: the peer handles a lane in order. */
export function nack(
  lane: SenderLane,
  seq: number,
  code: 'failed' | 'invalid' | 'no_handler',
  text: string,
  now: number,
): LaneStep | undefined {
  const head = lane.sent.find(({ status }) => status === 'under_way');
  if (head?.seq !== seq) return undefined;
  const sent = lane.sent.map((each): Sent => {
    if (each.status !== 'under_way') return each;
    // The peer ignores those behind the head, so they do not count as attempts.
    return { ...each, status: 'not_handled', attempt: each === head ? each.attempt : each.attempt - 1 };
  });
  const failures = lane.failing?.seq === seq ? lane.failing.failures + 1 : 1;
  const back: SenderLane = {
    ...lane,
    sent,
    cursor: seq - 1,
    nacks: lane.nacks + 1,
    // The peer has ignored the deliveries that named it.
    epoch: undefined,
    use: smallest(lane.use, FIRST_USE),
    grant: smallest(lane.grant, FIRST_GRANT),
    failing: { seq, failures, retryAtMs: now + retryDelayMs(failures) },
  };
  if (code !== 'failed') return settleDropped(settleOne(back, seq, { outcome: 'rejected', code, text }));
  if (failures < MAX_FAILURES) return settleDropped({ lane: back, effects: [] });
  return settleDropped(settleOne(back, seq, { outcome: 'dropped', code, text }));
}

export function loaded(lane: SenderLane, seq: number, bytes: number): LaneStep {
  if (lane.loading !== seq) return { lane, effects: [] };
  return { lane: { ...lane, loading: undefined, ready: { seq, bytes } }, effects: [] };
}

/** The connection is lost. */
export function pause(lane: SenderLane): SenderLane {
  const sent = lane.sent.map((each): Sent =>
    each.status === 'under_way' ? { ...each, status: 'unknown' } : each,
  );
  return { ...lane, sent, cursor: 0, nacks: 0, epoch: undefined, use: FIRST_USE };
}

/** Delivers what the windows allow. */
export function pump(before: SenderLane, now: number): LaneStep {
  let lane = before;
  const effects: LaneEffect[] = [];
  while (lane.failing === undefined || now >= lane.failing.retryAtMs) {
    const seq = firstAfter(lane.held, lane.cursor);
    if (seq === undefined || !hasRoom(lane, lane.ready?.seq === seq ? lane.ready.bytes : 0)) break;
    if (lane.ready?.seq !== seq) {
      if (lane.loading !== undefined) break;
      lane = { ...lane, ready: undefined, loading: seq };
      effects.push({ do: 'load', lane: lane.lane, seq });
      break;
    }
    const step = deliver(lane, lane.ready, now);
    lane = step.lane;
    effects.push(...step.effects);
  }
  return { lane, effects };
}

function deliver(lane: SenderLane, { seq, bytes }: Ready, now: number): LaneStep {
  const earlier = lane.sent.find((each) => each.seq === seq);
  // An earlier process may have sent what this one found.
  const attempt = (earlier?.attempt ?? (seq <= lane.found ? 1 : 0)) + 1;
  const one: Sent = { seq, bytes, attempt, sentAtMs: now, status: 'under_way' };
  const sent = earlier
    ? lane.sent.map((each) => (each === earlier ? one : each))
    : [...lane.sent, one].sort((a, b) => a.seq - b.seq);
  const epoch = epochOf(lane.spans, seq);
  return {
    lane: { ...lane, sent, cursor: seq, ready: undefined, epoch },
    effects: [
      {
        do: 'deliver',
        lane: lane.lane,
        seq,
        epoch: epoch === lane.epoch ? undefined : epoch,
        attempt,
        nacks: lane.nacks,
      },
    ],
  };
}

function hasRoom(lane: SenderLane, bytes: number): boolean {
  const underWay = lane.sent.filter(({ status }) => status === 'under_way');
  if (underWay.length === 0) return true;
  // What follows a head that fails again is sent in vain.
  if (lane.failing) return false;
  const window = smallest(lane.use, lane.grant);
  return underWay.length < window.messages && sum(underWay) + bytes <= window.bytes;
}

function settleOne(lane: SenderLane, seq: number, result: Result): LaneStep {
  const held = remove(lane.held, seq);
  return {
    lane: without({ ...lane, held }, (each) => each === seq),
    effects: [{ do: 'settle', lane: lane.lane, from: seq, to: seq, ...result }],
  };
}

/** Settles what the store has dropped, now that the peer has not handled it. */
export function settleDropped(step: LaneStep): LaneStep {
  return step.lane.sent.reduce(({ lane, effects }, { seq, drop: dropped }) => {
    if (!dropped) return { lane, effects };
    const settled = settleOne(lane, seq, dropped);
    return { lane: settled.lane, effects: [...effects, ...settled.effects] };
  }, step);
}

function settleThrough(lane: SenderLane, seq: number): LaneStep {
  const { upTo, after } = splitAfter(lane.held, seq);
  const effects = upTo.map(
    ({ from, to }) => ({ do: 'settle', lane: lane.lane, from, to, outcome: 'handled' }) as const,
  );
  return { lane: without({ ...lane, held: after }, (each) => each <= seq), effects };
}

/** Forgets what was known about numbers that are settled. */
function without(lane: SenderLane, isSettled: (seq: number) => boolean): SenderLane {
  return {
    ...lane,
    spans: trim(lane.spans, lane.held[0]?.from ?? Infinity),
    sent: lane.sent.filter(({ seq }) => !isSettled(seq)),
    failing: lane.failing && isSettled(lane.failing.seq) ? undefined : lane.failing,
  };
}

function sum(sent: readonly Sent[]): number {
  return sent.reduce((bytes, each) => bytes + each.bytes, 0);
}

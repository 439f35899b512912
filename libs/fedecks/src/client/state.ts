import { CLOSE, closeCodeAdvice } from '../wire/internal.js';
import { type Pace } from './backoff.js';
import {
  type ClientEvent,
  type ConnectionLoss,
  type ScheduleCause,
  type TokenRefusal,
  type UpgradeFailure,
} from './client-event.js';
import { type LoginFailure } from './errors.js';
import { explain, explainLoss } from './explain-event.js';

/** The five states of a client, in the words of PROTOCOL.md §3. */
export type ClientStatus = 'unregistered' | 'connection_scheduled' | 'connecting' | 'connected' | 'stopped';

/** The complete state of the client's state machine. */
export interface State {
  readonly status: ClientStatus;
  /** The newest attempt. Events of older ones are ignored. */
  readonly attempt: number;
  /** How often connecting or staying connected has failed since a connection was last stable. */
  readonly failures: number;
  /** The number of consecutive timed-out attempts; after another failure rounded down to a multiple of three. */
  readonly timeouts: number;
  /** How often in a row the token was refused, since a connection with it; one that was closed as revoked counts. */
  readonly refusals: number;
  /** When connections were last closed because the device id had connected elsewhere, by a monotonic clock, in ms. */
  readonly replacements: readonly number[];
  /** The index of the next URL (modulo their number); unchanged while one works. */
  readonly urlIndex: number;
  /** The auth header that presents the token held. A login replaces it only when the new token has arrived. */
  readonly header: string | undefined;
  /** When that token expires, in milliseconds since 1970; undefined if it does not tell, or there is none. */
  readonly expiresAtMs: number | undefined;
  /** The login under way: from the call of `login` until its token arrives. */
  readonly login: number | undefined;
}

export type StateEvent =
  | {
      readonly type: 'started';
      readonly header: string | undefined;
      readonly expiresAtMs?: number | undefined;
    }
  | { readonly type: 'login'; readonly login: number; readonly header: string }
  | { readonly type: 'logout' }
  | { readonly type: 'retry_due' }
  | { readonly type: 'stop' }
  | ({ readonly attempt: number } & AttemptEvent);

/** What happens to one attempt to connect, and to the connection it becomes. */
export type AttemptEvent =
  /** @property isQuick it has taken no more time than any attempt has. */
  | { readonly type: 'upgraded'; readonly isQuick: boolean }
  | { readonly type: 'unreachable'; readonly reason: string; readonly isTimeout: boolean }
  | {
      readonly type: 'refused';
      readonly failure: UpgradeFailure;
      readonly retryAfterMs: number;
      /** The server says that another machine uses this device id. */
      readonly isClone: boolean;
      readonly isTimeout?: boolean;
      /** Set if the cloud itself rejected the upgrade, not an intermediary. */
      readonly byCloud?: CloudRefusal;
    }
  | { readonly type: 'errored'; readonly reason: string }
  | { readonly type: 'lost'; readonly loss: ConnectionLoss; readonly isClone?: boolean }
  | {
      readonly type: 'token';
      readonly token: string;
      readonly header: string;
      readonly expiresAtMs?: number | undefined;
    }
  | { readonly type: 'token_overdue' }
  | { readonly type: 'stable' };

/** The refusal of a cloud: a 403 without a body (PROTOCOL.md §1.4). */
export interface CloudRefusal {
  /** By the server's clock if it tells its date, as that of a device may be wrong; in milliseconds since 1970. */
  readonly timeMs: number;
}

export type Effect =
  /** Open a socket for this attempt, to the current URL, with this auth header. */
  | {
      readonly do: 'open';
      readonly attempt: number;
      readonly urlIndex: number;
      /** The factor of its timeouts. */
      readonly timeoutFactor: number;
      readonly with: 'token' | 'credentials';
      readonly header: string;
    }
  /** End the socket at once. */
  | { readonly do: 'drop' }
  /** End the socket with close code 1000. */
  | { readonly do: 'close' }
  /** Make a retry due after the delay of this pace, and never before `notBeforeMs` milliseconds. */
  | {
      readonly do: 'schedule';
      readonly pace: Pace;
      readonly failures: number;
      readonly notBeforeMs: number;
      readonly cause: ScheduleCause;
    }
  | { readonly do: 'cancel_retry' }
  | { readonly do: 'ask_for_token' }
  /** Start the timers of an open connection: heartbeat, stability and, for a login, the wait for its token. */
  | { readonly do: 'watch'; readonly attempt: number; readonly awaitToken: boolean }
  | { readonly do: 'unwatch' }
  /** Store the token; then the login that asked for it has succeeded. */
  | { readonly do: 'store_token'; readonly token: string; readonly login: number | undefined }
  | { readonly do: 'forget_token' }
  | {
      readonly do: 'fail_login';
      readonly login: number;
      readonly code: LoginFailure;
      readonly detail: string;
      readonly status?: number | undefined;
    }
  | { readonly do: 'report'; readonly event: ClientEvent };

export interface Step {
  readonly state: State;
  readonly effects: readonly Effect[];
}

export const INITIAL_STATE: State = Object.freeze({
  status: 'unregistered',
  attempt: 0,
  failures: 0,
  timeouts: 0,
  refusals: 0,
  replacements: [],
  urlIndex: 0,
  header: undefined,
  expiresAtMs: undefined,
  login: undefined,
});

/**
 * The client's transition function: its complete behaviour, without clock, socket or disk (PROTOCOL.md §3).
 * @param now by a monotonic clock, in ms.
 */
export function next(state: State, event: StateEvent, now: number): Step {
  const nothing: Step = { state, effects: [] };
  if (state.status === 'stopped') return nothing;
  if ('attempt' in event && event.attempt !== state.attempt) return nothing;
  const { status } = state;

  switch (event.type) {
    case 'started':
      return status === 'unregistered'
        ? resume({ ...state, header: event.header, expiresAtMs: event.expiresAtMs }, STARTED)
        : nothing;
    case 'login':
      return login(state, event);
    case 'logout':
      return logout(state);
    case 'retry_due':
      return status === 'connection_scheduled' ? connectAgain(state) : nothing;
    case 'stop':
      return { state: { ...state, status: 'stopped', login: undefined }, effects: STOP };

    case 'upgraded':
      return status === 'connecting' ? connected(state, event.isQuick) : nothing;
    case 'unreachable':
      return status === 'connecting' ? unreachable(state, event) : nothing;
    case 'refused':
      return status === 'connecting' ? refused(state, event) : nothing;

    case 'errored':
      return status === 'connected'
        ? { state, effects: [report({ type: 'connection_error', reason: event.reason })] }
        : nothing;
    case 'lost':
      return status === 'connected' ? lost(state, event, now) : nothing;
    case 'token':
      return status === 'connected' ? tokenArrived(state, event) : nothing;
    case 'token_overdue':
      return status === 'connected' && state.login !== undefined
        ? lost(state, { loss: { cause: 'no_token' } }, now)
        : nothing;
    case 'stable':
      return status === 'connected' ? { state: { ...state, failures: 0 }, effects: [] } : nothing;
  }
}

/** Cancels timers, if any. */
const STOP: readonly Effect[] = [
  { do: 'cancel_retry' },
  { do: 'unwatch' },
  { do: 'close' },
  { do: 'report', event: { type: 'stopped' } },
];

interface Resumption {
  readonly cause: ScheduleCause;
  readonly pace: Pace;
  readonly notBeforeMs: number;
}

const STARTED: Resumption = { cause: 'started', pace: 'start', notBeforeMs: 0 };

/** The transition without a connection: schedules an attempt with a token, otherwise waits for a login. */
function resume(
  state: State,
  { cause, pace, notBeforeMs }: Resumption,
  before: readonly Effect[] = [],
): Step {
  if (state.header === undefined) {
    const why =
      cause === 'started' ? 'no_token' : state.login === undefined ? 'token_expired' : 'login_failed';
    return {
      state: { ...state, status: 'unregistered', login: undefined },
      effects: [...before, report({ type: 'unregistered', cause: why })],
    };
  }
  const counted = pace === 'refused' ? state.refusals - 1 : state.failures;
  const failures = pace === 'start' ? state.failures : state.failures + 1;
  return {
    state: { ...state, status: 'connection_scheduled', failures, login: undefined },
    effects: [...before, { do: 'schedule', pace, failures: counted, notBeforeMs, cause }],
  };
}

function login(state: State, event: Extract<StateEvent, { type: 'login' }>): Step {
  const effects: Effect[] = failLogin(state, 'superseded', 'login was called again.');
  if (state.status === 'connection_scheduled') effects.push({ do: 'cancel_retry' });
  if (state.status === 'connecting') effects.push({ do: 'drop' });
  if (state.status === 'connected') {
    const event: ClientEvent = { type: 'connection_lost', cause: 'new_login' };
    effects.push({ do: 'unwatch' }, { do: 'drop' }, report(event));
  }
  const attempt = state.attempt + 1;
  effects.push(open(state, attempt, 'credentials', event.header));
  return { state: { ...state, status: 'connecting', attempt, login: event.login }, effects };
}

/** The attempt is over as well, so that a token which is on its way is not stored after all. */
function logout(state: State): Step {
  return {
    state: {
      ...state,
      status: 'unregistered',
      attempt: state.attempt + 1,
      header: undefined,
      expiresAtMs: undefined,
      refusals: 0,
      login: undefined,
    },
    effects: [
      ...failLogin(state, 'superseded', 'logout was called.'),
      { do: 'cancel_retry' },
      { do: 'unwatch' },
      { do: 'close' },
      { do: 'forget_token' },
      report({ type: 'unregistered', cause: 'logged_out' }),
    ],
  };
}

function connectAgain(state: State): Step {
  if (state.header === undefined) return { state, effects: [] };
  const attempt = state.attempt + 1;
  return {
    state: { ...state, status: 'connecting', attempt },
    effects: [open(state, attempt, 'token', state.header)],
  };
}

/** How many attempts must run out of time for the next ones to be given twice as much. */
const TIMEOUTS_BEFORE_DOUBLING = 3;

function open(state: State, attempt: number, by: 'token' | 'credentials', header: string): Effect {
  const timeoutFactor = 2 ** Math.floor(state.timeouts / TIMEOUTS_BEFORE_DOUBLING);
  return { do: 'open', attempt, urlIndex: state.urlIndex, timeoutFactor, with: by, header };
}

/** Keeps the increased timeouts until a quick connection. */
function countTimeout(state: State, isTimeout: boolean): State {
  const { timeouts } = state;
  return { ...state, timeouts: isTimeout ? timeouts + 1 : timeouts - (timeouts % TIMEOUTS_BEFORE_DOUBLING) };
}

function connected(before: State, isQuick: boolean): Step {
  const state = isQuick ? { ...before, timeouts: 0 } : countTimeout(before, false);
  return {
    state: {
      ...state,
      status: 'connected',
      // A login presents credentials, so its result says nothing about the token.
      refusals: state.login === undefined ? 0 : state.refusals,
    },
    effects: [
      { do: 'ask_for_token' },
      { do: 'watch', attempt: state.attempt, awaitToken: state.login !== undefined },
      report({ type: 'connected' }),
    ],
  };
}

function unreachable(
  before: State,
  { reason, isTimeout }: Extract<StateEvent, { type: 'unreachable' }>,
): Step {
  const state = countTimeout(before, isTimeout);
  const cause = state.login === undefined ? 'connection_failed' : 'login_failed';
  const event: ClientEvent = { type: 'connection_failed', reason };
  return resume(useNextUrl(state), { cause, pace: 'backoff', notBeforeMs: 0 }, [
    report(event),
    ...failLogin(state, 'connection-failed', detailOf(event)),
  ]);
}

function refused(
  before: State,
  { failure, retryAfterMs, isClone, isTimeout = false, byCloud }: Extract<AttemptEvent, { type: 'refused' }>,
): Step {
  const counted = countTimeout(before, isTimeout);
  const byToken = before.login === undefined;
  // A rejected login concerns its credentials, not the token; a body means an intermediary.
  const isOfToken = byToken && (failure.status === 401 || failure.status === 403) && failure.hasBody !== true;
  const state = isOfToken ? { ...counted, refusals: counted.refusals + 1 } : counted;
  const event: ClientEvent = { type: 'upgrade_failed', ...failure };
  return resume(
    useNextUrl(state),
    {
      cause: byToken ? 'upgrade_failed' : 'login_failed',
      pace: isOfToken ? 'refused' : 'backoff',
      notBeforeMs: retryAfterMs,
    },
    [
      report(event),
      ...(isClone ? [CLONE_SUSPECTED] : []),
      ...(isOfToken && byCloud ? refuseToken(state, byCloud) : []),
      ...failLogin(state, 'upgrade-failed', detailOf(event), failure.status),
    ],
  );
}

/** A single rejection may be a mistake, for example during start-up, but not for an expired token. */
function refuseToken({ expiresAtMs, refusals }: State, { timeMs }: CloudRefusal): Effect[] {
  const isExpired = expiresAtMs !== undefined && timeMs >= expiresAtMs;
  if (!isExpired && refusals < REFUSALS_BEFORE_REPORT) return [];
  const cause: TokenRefusal = isExpired ? 'expired' : 'refused';
  return [report({ type: 'token_refused', cause })];
}

const REFUSALS_BEFORE_REPORT = 2;

function lost(
  before: State,
  { loss, isClone = false }: { readonly loss: ConnectionLoss; readonly isClone?: boolean },
  now: number,
): Step {
  const replacements =
    loss.code === CLOSE.replaced ? addReplacement(before.replacements, now) : before.replacements;
  const state = { ...(before.failures < LOSSES_BEFORE_NEXT_URL ? before : useNextUrl(before)), replacements };
  const effects: Effect[] = [{ do: 'unwatch' }, { do: 'drop' }, report({ type: 'connection_lost', ...loss })];
  const isReplacedOften = loss.code === CLOSE.replaced && replacements.length >= MAX_REPLACEMENTS;
  if (isClone || isReplacedOften) effects.push(CLONE_SUSPECTED);
  if (state.login !== undefined) {
    // Whatever the close code says, it is about these credentials and not about the token held from before.
    const code = loss.cause === 'no_token' ? 'no-token' : 'connection-lost';
    effects.push(...failLogin(state, code, `connected, but no token arrived: ${explainLoss(loss)}.`));
    return resume(state, { cause: 'login_failed', pace: 'backoff', notBeforeMs: 0 }, effects);
  }
  const advice = loss.cause === 'closed' ? closeCodeAdvice(loss.code) : 'retry';
  if (loss.code === CLOSE.revoked) {
    effects.push(report({ type: 'token_refused', cause: 'revoked' }));
    return resume({ ...state, refusals: state.refusals + 1 }, { ...LOST, pace: 'slow' }, effects);
  }
  if (advice === 'login') {
    effects.push({ do: 'forget_token' });
    return resume(
      { ...state, header: undefined, expiresAtMs: undefined },
      { ...LOST, pace: 'backoff' },
      effects,
    );
  }
  // A single replacement may be a late attempt of this device; repeated ones mean another machine.
  const isSlow = loss.code === CLOSE.replaced ? isReplacedOften : advice === 'slow';
  return resume(state, { ...LOST, pace: isSlow ? 'slow' : 'backoff' }, effects);
}

const CLONE_SUSPECTED: Effect = { do: 'report', event: { type: 'clone_suspected' } };

/** The number of replacements within {@link REPLACED_WITHIN_MS} before it reconnects slowly. */
const MAX_REPLACEMENTS = 3;
const REPLACED_WITHIN_MS = 5 * 60_000;

/** Adds a replacement to those that still count. */
function addReplacement(replacements: readonly number[], now: number): readonly number[] {
  return [...replacements.filter((at) => now - at < REPLACED_WITHIN_MS), now].slice(-MAX_REPLACEMENTS);
}

/** Prefers a URL that worked, but moves on if it only accepts and closes. */
const LOSSES_BEFORE_NEXT_URL = 3;

function useNextUrl(state: State): State {
  return { ...state, urlIndex: state.urlIndex + 1 };
}

const LOST = { cause: 'connection_lost', notBeforeMs: 0 } as const;

function tokenArrived(
  state: State,
  { token, header, expiresAtMs }: Extract<StateEvent, { type: 'token' }>,
): Step {
  return {
    state: { ...state, header, expiresAtMs, refusals: 0, login: undefined },
    effects: [{ do: 'store_token', token, login: state.login }],
  };
}

function failLogin(state: State, code: LoginFailure, detail: string, status?: number): Effect[] {
  return state.login === undefined ? [] : [{ do: 'fail_login', login: state.login, code, detail, status }];
}

/** What an event says, as the end of a sentence. */
function detailOf(event: ClientEvent): string {
  const words = explain(event);
  return `${words.charAt(0).toLowerCase()}${words.slice(1)}.`;
}

function report(event: ClientEvent): Effect {
  return { do: 'report', event };
}

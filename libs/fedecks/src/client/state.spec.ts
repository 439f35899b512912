import { INITIAL_STATE, next as step, type Effect, type State, type StateEvent, type Step } from './state.js';

const next = (state: State, event: StateEvent, now = 0): Step => step(state, event, now);

const OLD = 'header with the old token';
const NEW = 'header with the new token';
const at = (state: Partial<State>): State => ({ ...INITIAL_STATE, attempt: 3, failures: 2, ...state });

/** Every state, with every possible token and login. */
const STATES = {
  unregistered: at({}),
  scheduled: at({ status: 'connection_scheduled', header: OLD }),
  'connecting with token': at({ status: 'connecting', header: OLD }),
  'connecting for login': at({ status: 'connecting', login: 7 }),
  'connecting for login, token held': at({ status: 'connecting', login: 7, header: OLD }),
  'connected with token': at({ status: 'connected', header: OLD }),
  'connected for login': at({ status: 'connected', login: 7 }),
  'connected for login, token held': at({ status: 'connected', login: 7, header: OLD }),
  stopped: at({ status: 'stopped', header: OLD }),
};

const refused = (status: number, hasBody?: true): StateEvent => {
  const failure = { status, ...(hasBody && { hasBody }) };
  return { type: 'refused', attempt: 3, failure, retryAfterMs: 0, isClone: false };
};
/** The cloud's date, in milliseconds. */
const cloudRefused = (timeMs = 0): StateEvent => {
  return {
    type: 'refused',
    attempt: 3,
    failure: { status: 403 },
    retryAfterMs: 0,
    isClone: false,
    byCloud: { timeMs },
  };
};
const closed = (code: number): StateEvent => ({ type: 'lost', attempt: 3, loss: { cause: 'closed', code } });

const EVENTS = {
  'started with token': { type: 'started', header: OLD },
  'started without': { type: 'started', header: undefined },
  login: { type: 'login', login: 8, header: 'credentials' },
  logout: { type: 'logout' },
  'retry due': { type: 'retry_due' },
  stop: { type: 'stop' },
  upgraded: { type: 'upgraded', attempt: 3, isQuick: true },
  unreachable: { type: 'unreachable', attempt: 3, reason: 'ECONNREFUSED', isTimeout: false },
  'refused 403': refused(403),
  'refused 401': refused(401),
  'refused 403 with a body': refused(403, true),
  'refused 503': refused(503),
  errored: { type: 'errored', attempt: 3, reason: 'ECONNRESET' },
  'heartbeat missed': { type: 'lost', attempt: 3, loss: { cause: 'heartbeat_missed' } },
  'closed 1000': closed(1000),
  'closed 4000': closed(4000),
  'closed 4100': closed(4100),
  'closed 4150': closed(4150),
  'closed 4152': closed(4152),
  token: { type: 'token', attempt: 3, token: 'T', header: NEW },
  'token overdue': { type: 'token_overdue', attempt: 3 },
  stable: { type: 'stable', attempt: 3 },
} satisfies Record<string, StateEvent>;

const LOGIN = 'connecting: open by credentials';
const TO_BACKOFF = 'connection_scheduled: unwatch, drop, connection_lost, schedule backoff';
const LOGIN_LOST = 'unregistered: unwatch, drop, connection_lost, fail login 7, unregistered';
const LOGIN_LOST_HELD =
  'connection_scheduled: unwatch, drop, connection_lost, fail login 7, schedule backoff';
const ANY_LOSS = [
  'heartbeat missed',
  'closed 1000',
  'closed 4000',
  'closed 4100',
  'closed 4150',
  'closed 4152',
];
const LOGOUT = 'unregistered: cancel_retry, unwatch, close, forget_token, unregistered';
const LOGOUT_IN_LOGIN =
  'unregistered: fail login 7, cancel_retry, unwatch, close, forget_token, unregistered';
const STOP = 'stopped: cancel_retry, unwatch, close, stopped';

/** The transitions; an event without an entry changes nothing and has no effect. */
const TABLE: Record<keyof typeof STATES, Partial<Record<string, string>>> = {
  unregistered: {
    'started with token': 'connection_scheduled: schedule start',
    'started without': 'unregistered: unregistered',
    login: LOGIN,
    logout: LOGOUT,
    stop: STOP,
  },
  scheduled: {
    login: 'connecting: cancel_retry, open by credentials',
    'retry due': 'connecting: open by token',
    logout: LOGOUT,
    stop: STOP,
  },
  'connecting with token': {
    login: 'connecting: drop, open by credentials',
    logout: LOGOUT,
    stop: STOP,
    upgraded: 'connected: ask_for_token, watch, connected',
    unreachable: 'connection_scheduled: connection_failed, schedule backoff',
    'refused 403': 'connection_scheduled: upgrade_failed, schedule refused',
    'refused 401': 'connection_scheduled: upgrade_failed, schedule refused',
    'refused 403 with a body': 'connection_scheduled: upgrade_failed, schedule backoff',
    'refused 503': 'connection_scheduled: upgrade_failed, schedule backoff',
  },
  'connecting for login': {
    login: 'connecting: fail login 7, drop, open by credentials',
    logout: LOGOUT_IN_LOGIN,
    stop: STOP,
    upgraded: 'connected: ask_for_token, watch for token, connected',
    unreachable: 'unregistered: connection_failed, fail login 7, unregistered',
    'refused 403': 'unregistered: upgrade_failed, fail login 7, unregistered',
    'refused 401': 'unregistered: upgrade_failed, fail login 7, unregistered',
    'refused 403 with a body': 'unregistered: upgrade_failed, fail login 7, unregistered',
    'refused 503': 'unregistered: upgrade_failed, fail login 7, unregistered',
  },
  'connecting for login, token held': {
    login: 'connecting: fail login 7, drop, open by credentials',
    logout: LOGOUT_IN_LOGIN,
    stop: STOP,
    upgraded: 'connected: ask_for_token, watch for token, connected',
    unreachable: 'connection_scheduled: connection_failed, fail login 7, schedule backoff',
    'refused 403': 'connection_scheduled: upgrade_failed, fail login 7, schedule backoff',
    'refused 401': 'connection_scheduled: upgrade_failed, fail login 7, schedule backoff',
    'refused 403 with a body': 'connection_scheduled: upgrade_failed, fail login 7, schedule backoff',
    'refused 503': 'connection_scheduled: upgrade_failed, fail login 7, schedule backoff',
  },
  'connected with token': {
    login: 'connecting: unwatch, drop, connection_lost, open by credentials',
    logout: LOGOUT,
    stop: STOP,
    errored: 'connected: connection_error',
    'heartbeat missed': TO_BACKOFF,
    'closed 1000': TO_BACKOFF,
    'closed 4000': TO_BACKOFF,
    'closed 4100': 'unregistered: unwatch, drop, connection_lost, forget_token, unregistered',
    'closed 4150': 'connection_scheduled: unwatch, drop, connection_lost, token_refused, schedule slow',
    'closed 4152': TO_BACKOFF,
    token: 'connected: store_token',
    stable: 'connected: failures := 0',
  },
  'connected for login': {
    login: 'connecting: fail login 7, unwatch, drop, connection_lost, open by credentials',
    logout: LOGOUT_IN_LOGIN,
    stop: STOP,
    errored: 'connected: connection_error',
    ...Object.fromEntries(ANY_LOSS.map((loss) => [loss, LOGIN_LOST])),
    token: 'connected: store_token for login 7',
    'token overdue': LOGIN_LOST,
    stable: 'connected: failures := 0',
  },
  'connected for login, token held': {
    login: 'connecting: fail login 7, unwatch, drop, connection_lost, open by credentials',
    logout: LOGOUT_IN_LOGIN,
    stop: STOP,
    errored: 'connected: connection_error',
    ...Object.fromEntries(ANY_LOSS.map((loss) => [loss, LOGIN_LOST_HELD])),
    token: 'connected: store_token for login 7',
    'token overdue': LOGIN_LOST_HELD,
    stable: 'connected: failures := 0',
  },
  stopped: {},
};

function inWords(before: State, { state, effects }: Step): string | undefined {
  if (state === before) return undefined;
  const words = effects.map(effectInWords);
  if (state.failures === 0) words.push('failures := 0');
  return `${state.status}: ${words.join(', ')}`;
}

function effectInWords(effect: Effect): string {
  switch (effect.do) {
    case 'report':
      return effect.event.type;
    case 'open':
      return `open by ${effect.with}`;
    case 'schedule':
      return `schedule ${effect.pace}`;
    case 'fail_login':
      return `fail login ${effect.login}`;
    case 'store_token':
      return effect.login === undefined ? effect.do : `store_token for login ${effect.login}`;
    case 'watch':
      return effect.awaitToken ? 'watch for token' : effect.do;
    default:
      return effect.do;
  }
}

const MATRIX = (Object.keys(STATES) as (keyof typeof STATES)[]).flatMap((name) =>
  (Object.keys(EVENTS) as (keyof typeof EVENTS)[]).map((event) => ({
    name,
    event,
    expected: TABLE[name][event],
  })),
);

describe('the state machine of a client (§3)', () => {
  it.each(MATRIX)('$name, $event -> $expected', ({ name, event, expected }) => {
    const step = next(STATES[name], EVENTS[event]);
    // An event may be reported without a change of state.
    const unchanged = step.state === STATES[name] && step.effects.length > 0;
    expect(
      unchanged
        ? `${step.state.status}: ${step.effects.map(effectInWords).join(', ')}`
        : inWords(STATES[name], step),
    ).toBe(expected);
  });

  it.each(Object.entries(EVENTS).filter(([, event]) => 'attempt' in event))(
    'ignores "%s" of an earlier attempt',
    (_name, event) => {
      for (const state of Object.values(STATES)) {
        expect(next(state, { ...event, attempt: 2 } as StateEvent)).toEqual({ state, effects: [] });
      }
    },
  );

  it('numbers its attempts, so that a new one invalidates the old one', () => {
    const { state, effects } = next(STATES.scheduled, EVENTS['retry due']);
    expect(state.attempt).toBe(4);
    expect(effects).toContainEqual({
      do: 'open',
      attempt: 4,
      urlIndex: 0,
      timeoutFactor: 1,
      with: 'token',
      header: OLD,
    });
  });

  it('keeps its token during a login, and replaces it when the new one arrives', () => {
    const loggingIn = next(STATES['connected with token'], EVENTS.login).state;
    expect(loggingIn.header).toBe(OLD);
    const connected = next(loggingIn, { ...EVENTS.upgraded, attempt: 4 }).state;
    expect(connected.header).toBe(OLD);
    const { state } = next(connected, { ...EVENTS.token, attempt: 4 });
    expect(state).toMatchObject({ header: NEW, login: undefined });
  });

  it('deletes the token after a logout, and ignores events of the old connection', () => {
    for (const before of Object.values(STATES).filter(({ status }) => status !== 'stopped')) {
      const { state } = next({ ...before, expiresAtMs: 5_000, refusals: 1 }, EVENTS.logout);
      expect(state).toMatchObject({
        status: 'unregistered',
        attempt: 4,
        header: undefined,
        expiresAtMs: undefined,
        refusals: 0,
        login: undefined,
      });
      expect(next(state, EVENTS.token)).toEqual({ state, effects: [] });
    }
  });

  it('backs off further with every failure, even if connecting succeeds in between', () => {
    const failed = next(STATES['connecting with token'], EVENTS.unreachable);
    expect(failed.effects).toContainEqual(expect.objectContaining({ do: 'schedule', failures: 2 }));
    const connecting = next(failed.state, EVENTS['retry due']).state;
    const connected = next(connecting, { ...EVENTS.upgraded, attempt: 4 }).state;
    const lost = next(connected, { type: 'lost', attempt: 4, loss: { cause: 'ended' } });
    expect(lost.effects).toContainEqual(expect.objectContaining({ do: 'schedule', failures: 3 }));
  });

  it('moves on to the next url when an attempt fails, with the token or a login', () => {
    for (const event of [EVENTS.unreachable, EVENTS['refused 403'], EVENTS['refused 503']]) {
      expect(next(STATES['connecting with token'], event).state.urlIndex).toBe(1);
      expect(next(STATES['connecting for login'], event).state.urlIndex).toBe(1);
    }
    const state = { ...STATES.scheduled, urlIndex: 5 };
    expect(next(state, EVENTS['retry due']).effects).toContainEqual(expect.objectContaining({ urlIndex: 5 }));
    expect(next(state, EVENTS.login).effects).toContainEqual(expect.objectContaining({ urlIndex: 5 }));
  });

  it('stays at a url that worked until it fails twice in a row', () => {
    const lost = (failures: number): number =>
      next({ ...STATES['connected with token'], failures }, EVENTS['closed 1000']).state.urlIndex;
    expect([0, 1, 2, 3, 4].map(lost)).toEqual([0, 0, 0, 1, 1]);
  });

  it('resets the backoff after a stable connection', () => {
    const stable = next(STATES['connected with token'], EVENTS.stable).state;
    expect(next(stable, EVENTS['closed 1000']).effects).toContainEqual(
      expect.objectContaining({ do: 'schedule', pace: 'backoff', failures: 0 }),
    );
  });

  it('reconnects soon when it is replaced, and slowly from the third time within five minutes', () => {
    const MINUTE_MS = 60_000;
    const paces = (...minutes: number[]): string[] => {
      let state = STATES['connected with token'];
      return minutes.map((minute) => {
        const lost = next(state, closed(4152), minute * MINUTE_MS);
        state = { ...lost.state, status: 'connected' };
        return lost.effects.flatMap((effect) => (effect.do === 'schedule' ? [effect.pace] : []))[0] ?? '';
      });
    };
    expect(paces(0, 1, 4.9, 5.5)).toEqual(['backoff', 'backoff', 'slow', 'slow']);
    expect(paces(0, 1, 5, 6, 7)).toEqual(['backoff', 'backoff', 'backoff', 'backoff', 'slow']);
  });

  it('has forgotten the token, and when it expires, after a close code that asks for a login', () => {
    const { state } = next({ ...STATES['connected with token'], expiresAtMs: 5_000 }, EVENTS['closed 4100']);
    expect(state).toMatchObject({ header: undefined, expiresAtMs: undefined });
  });

  it('remembers three replacements at most, however many there are', () => {
    let state: State = STATES['connected with token'];
    for (let now = 0; now < 100; now++)
      state = { ...next(state, closed(4152), now).state, status: 'connected' };
    expect(state.replacements).toEqual([97, 98, 99]);
  });

  it('suspects another machine when it is replaced for the third time, or the cloud says so', () => {
    const isSuspected = ({ effects }: Step): boolean =>
      effects.some((effect) => effect.do === 'report' && effect.event.type === 'clone_suspected');
    const connected = STATES['connected with token'];
    expect(isSuspected(next({ ...connected, replacements: [1] }, closed(4152), 2))).toBe(false);
    expect(isSuspected(next({ ...connected, replacements: [1, 2] }, closed(4152), 3))).toBe(true);
    expect(isSuspected(next({ ...connected, replacements: [1, 2] }, closed(1000), 3))).toBe(false);
    expect(isSuspected(next(connected, { ...closed(4152), isClone: true } as StateEvent))).toBe(true);
    const connecting = STATES['connecting with token'];
    expect(isSuspected(next(connecting, { ...refused(503), isClone: true } as StateEvent))).toBe(true);
    expect(isSuspected(next(connecting, refused(503)))).toBe(false);
  });

  it('counts rejections of its token separately from failures, until it connects', () => {
    const count = (step: Step): number | undefined =>
      step.effects.flatMap((effect) => (effect.do === 'schedule' ? [effect.failures] : []))[0];
    const first = next(STATES['connecting with token'], refused(403));
    expect(count(first)).toBe(0);
    const again = next({ ...first.state, status: 'connecting' }, refused(403));
    expect(count(again)).toBe(1);
    const between = next({ ...again.state, status: 'connecting' }, refused(503));
    expect(count(next({ ...between.state, status: 'connecting' }, refused(401)))).toBe(2);
    const connected = next({ ...between.state, status: 'connecting' }, EVENTS.upgraded);
    expect(connected.state.refusals).toBe(0);
  });

  it('doubles the timeouts after every three timed-out attempts, until a quick connection', () => {
    const late: StateEvent = { ...EVENTS.unreachable, isTimeout: true };
    const lateAnswer: StateEvent = {
      ...refused(0),
      failure: { reason: 'late' },
      isTimeout: true,
    } as StateEvent;
    const slow: StateEvent = { ...EVENTS.upgraded, isQuick: false };
    const patienceAfter = (...events: StateEvent[]): number | undefined => {
      let state = STATES['connecting with token'];
      for (const event of events) state = { ...next(state, event).state, status: 'connecting' };
      const { effects } = next({ ...state, status: 'connection_scheduled' }, EVENTS['retry due']);
      return effects.flatMap((effect) => (effect.do === 'open' ? [effect.timeoutFactor] : []))[0];
    };
    const three = [late, lateAnswer, late];
    expect(patienceAfter(late, late)).toBe(1);
    expect(patienceAfter(...three)).toBe(2);
    expect(patienceAfter(...three, ...three)).toBe(4);
    expect(patienceAfter(late, late, EVENTS.unreachable, late)).toBe(1);
    expect(patienceAfter(...three, EVENTS.unreachable)).toBe(2);
    expect(patienceAfter(...three, late, late, EVENTS['refused 503'], late)).toBe(2);
    expect(patienceAfter(...three, slow)).toBe(2);
    expect(patienceAfter(...three, EVENTS.upgraded)).toBe(1);
  });

  const CONNECTED_IN: readonly string[] = ['lost', 'token'];
  /** What is said of the token, by causes, as these events follow upon one another with an attempt before each. */
  function refusals(state: State, ...events: StateEvent[]): string[] {
    const causes: string[] = [];
    for (const event of events) {
      const step = next(
        { ...state, status: CONNECTED_IN.includes(event.type) ? 'connected' : 'connecting', attempt: 3 },
        event,
      );
      state = step.state;
      causes.push(
        ...step.effects.flatMap((effect) =>
          effect.do === 'report' && effect.event.type === 'token_refused' ? [effect.event.cause] : [],
        ),
      );
    }
    return causes;
  }
  const HELD = { ...STATES['connecting with token'], expiresAtMs: 5_000 };

  it("reports a token as refused that has expired by the server's date", () => {
    expect(refusals(HELD, cloudRefused(5_000))).toEqual(['expired']);
    expect(refusals(HELD, cloudRefused(4_999))).toEqual([]);
    expect(refusals({ ...HELD, expiresAtMs: undefined }, cloudRefused(5_000))).toEqual([]);
  });

  it('goes by the expiry of the token it holds: the one it started with, and then the newest', () => {
    const started = next(STATES.unregistered, { ...EVENTS['started with token'], expiresAtMs: 5_000 }).state;
    expect(refusals(started, cloudRefused(4_999))).toEqual([]);
    expect(refusals(started, cloudRefused(5_000))).toEqual(['expired']);
    const renewed = { ...EVENTS.token, expiresAtMs: 9_000 };
    expect(refusals(HELD, renewed, cloudRefused(8_999))).toEqual([]);
    expect(refusals(HELD, renewed, cloudRefused(9_000))).toEqual(['expired']);
  });

  it('takes a token for refused that a cloud refuses twice in a row', () => {
    expect(refusals(HELD, cloudRefused(), cloudRefused(4_999), cloudRefused())).toEqual([
      'refused',
      'refused',
    ]);
    expect(refusals(HELD, cloudRefused(), EVENTS.upgraded, cloudRefused())).toEqual([]);
    expect(refusals(HELD, cloudRefused(), EVENTS.unreachable, cloudRefused())).toEqual(['refused']);
  });

  it('counts no refusal of an earlier token when a login has brought a new one, but all where it has brought none', () => {
    const loggingIn = { ...HELD, refusals: 1, login: 7 };
    expect(refusals(loggingIn, EVENTS.upgraded, EVENTS.token, cloudRefused())).toEqual([]);
    expect(refusals(loggingIn, EVENTS.upgraded, EVENTS['closed 1000'], cloudRefused())).toEqual(['refused']);
  });

  it('takes a token for refused when it was revoked, and at the next refusal', () => {
    expect(refusals(HELD, closed(4150), cloudRefused())).toEqual(['revoked', 'refused']);
  });

  it('ignores a 403 with a body, and one of a login', () => {
    expect(refusals(HELD, refused(403), refused(403), refused(403))).toEqual([]);
    expect(refusals({ ...HELD, login: 7 }, cloudRefused(6_000))).toEqual([]);
  });

  it("waits for the server's Retry-After", () => {
    const event = { ...refused(503), retryAfterMs: 30_000 } as StateEvent;
    expect(next(STATES['connecting with token'], event).effects).toContainEqual(
      expect.objectContaining({ do: 'schedule', notBeforeMs: 30_000 }),
    );
  });

  it.each([
    ['no_token', STATES.unregistered, EVENTS['started without']],
    ['login_failed', STATES['connecting for login'], EVENTS['refused 403']],
    ['token_expired', STATES['connected with token'], EVENTS['closed 4100']],
    ['logged_out', STATES['connected with token'], EVENTS.logout],
  ])('is unregistered because of %s', (cause, state, event) => {
    expect(next(state, event).effects).toContainEqual({
      do: 'report',
      event: { type: 'unregistered', cause },
    });
  });

  it.each([
    ['started', STATES.unregistered, EVENTS['started with token']],
    ['connection_failed', STATES['connecting with token'], EVENTS.unreachable],
    ['upgrade_failed', STATES['connecting with token'], EVENTS['refused 403']],
    ['connection_lost', STATES['connected with token'], EVENTS['closed 1000']],
    ['login_failed', STATES['connecting for login, token held'], EVENTS['refused 403']],
  ])('schedules a connection because of %s', (cause, state, event) => {
    expect(next(state, event).effects).toContainEqual(expect.objectContaining({ do: 'schedule', cause }));
  });

  it.each([
    ['superseded', undefined, STATES['connecting for login'], EVENTS.login],
    ['superseded', undefined, STATES['connected for login'], EVENTS.logout],
    ['connection-failed', undefined, STATES['connecting for login'], EVENTS.unreachable],
    ['upgrade-failed', 403, STATES['connecting for login'], EVENTS['refused 403']],
    ['connection-lost', undefined, STATES['connected for login'], EVENTS['closed 1000']],
    ['no-token', undefined, STATES['connected for login'], EVENTS['token overdue']],
  ])('rejects a login with %s', (code, status, state, event) => {
    expect(next(state, event).effects).toContainEqual(
      expect.objectContaining({ do: 'fail_login', login: 7, code, status }),
    );
  });
});

/**
 * The events of a client, as `events$` emits them (PROTOCOL.md §3). The first five are its states. A failure is
 * emitted before the state it causes. No event contains credentials, tokens or payloads.
 */
export type ClientEvent =
  /** There is no token to connect with: call `login`. */
  | { readonly type: 'unregistered'; readonly cause: UnregisteredCause }
  /** The next attempt begins after `delayMs` milliseconds. */
  | { readonly type: 'connection_scheduled'; readonly delayMs: number; readonly cause: ScheduleCause }
  | { readonly type: 'connecting'; readonly url: string; readonly with: 'token' | 'credentials' }
  | { readonly type: 'connected' }
  | { readonly type: 'stopped' }
  /** The server could not be reached: DNS, TCP or TLS. */
  | { readonly type: 'connection_failed'; readonly reason: string }
  /** The server did not upgrade: it sent another HTTP status, or an invalid response. */
  | ({ readonly type: 'upgrade_failed' } & UpgradeFailure)
  /**
   * The cloud refuses the token that is held: only a `login` helps. The token is kept, and presented again all the same.
   * `expired`: refused when it had expired, by the server's date if it tells one. `revoked`: the connection was closed
   * with 4150.
   * `refused`: refused twice in a row, or after `revoked`.
   */
  | { readonly type: 'token_refused'; readonly cause: TokenRefusal }
  /** A fault on an open connection: a reset, or a frame that breaks RFC 6455 or is too big. It is lost next. */
  | { readonly type: 'connection_error'; readonly reason: string }
  | ({ readonly type: 'connection_lost' } & ConnectionLoss)
  /**
   * Another machine uses this device id: the cloud says so, or connections were replaced three times within five
   * minutes. Give each machine an id and a login of its own.
   */
  | { readonly type: 'clone_suspected' }
  | { readonly type: 'token_stored' }
  /** The new token is in memory only, and lost with the process; or a deleted token is still in the store. */
  | { readonly type: 'token_store_failed'; readonly reason: string }
  /** A stored token cannot be used: it is damaged, unreadable or another device's. `reason` says what is used instead. */
  | { readonly type: 'token_load_failed'; readonly reason: string }
  /** An observer of `events$` or `messages$` has thrown, or rejected. `reason` is the name of the error. */
  | { readonly type: 'observer_failed'; readonly reason: string; readonly error: unknown }
  /** An unknown frame from the server was ignored. */
  | {
      readonly type: 'ignored_frame';
      readonly kind: 'text' | 'undecodable' | 'oversized_token';
      readonly bytes: number;
    }
  /** The cloud has handled a message that was given to `deliver`, in this process or an earlier one. */
  | { readonly type: 'delivered'; readonly id: string; readonly lane: string }
  /** The cloud has refused a message, and always will: no handler takes its event, or a pipe or guard refuses it. */
  | {
      readonly type: 'delivery_rejected';
      readonly id: string;
      readonly lane: string;
      readonly code: 'invalid' | 'no_handler';
      readonly text: string;
    }
  /** A message was not handled within its `ttlMs`. */
  | { readonly type: 'delivery_expired'; readonly id: string; readonly lane: string }
  /**
   * A message is given up. `full`: for a newer one. `replaced`: by a newer one with its key. `failed`: the cloud's
   * handler has failed five times, `text` says how. `damaged`: it cannot be read any more.
   */
  | {
      readonly type: 'delivery_dropped';
      readonly id: string;
      readonly lane: string;
      readonly cause: 'full' | 'replaced' | 'failed' | 'damaged';
      readonly text?: string;
    }
  /** A handler of `onDelivery` has thrown or rejected. The cloud delivers the message again, five times at most. */
  | {
      readonly type: 'delivery_failed';
      readonly id: string;
      readonly reason: string;
      readonly error: unknown;
    }
  /** A delivery of the cloud was handled, and what its handler returned is not sent: it is too large, or no term. */
  | { readonly type: 'delivery_result_dropped'; readonly id: string; readonly reason: string }
  /**
   * Which deliveries of the cloud were handled cannot be read, and counts as none; or cannot be kept: then they are not
   * acknowledged, and it is tried again. `reason` says which.
   */
  | { readonly type: 'positions_failed'; readonly reason: string }
  /**
   * Something is wrong with the outbox; `reason` says what, and what to do. `unusable`: it cannot be opened. `stalled`: it
   * does not answer. `damaged`: messages are lost. `write_failed`, `sync_failed`, `read_failed`: the disk refuses.
   */
  | {
      readonly type: 'outbox_failed';
      readonly cause: 'unusable' | 'stalled' | 'damaged' | 'write_failed' | 'sync_failed' | 'read_failed';
      readonly reason: string;
    };

/** Why there is no token to connect with. */
export type UnregisteredCause = 'no_token' | 'login_failed' | 'token_expired' | 'logged_out';

/** Why the cloud rejects the token. */
export type TokenRefusal = 'expired' | 'revoked' | 'refused';

/** Why an attempt to connect is scheduled: what has just happened. */
export type ScheduleCause =
  'started' | 'connection_failed' | 'upgrade_failed' | 'connection_lost' | 'login_failed';

/**
 * Why an upgrade failed: the HTTP status of the server's refusal, or what was wrong with its answer, in words. A 401 or
 * 403 with `hasBody` comes from an intermediary: the cloud sends no body (PROTOCOL.md §1.4).
 */
export type UpgradeFailure =
  | { readonly status: number; readonly hasBody?: true; readonly reason?: never }
  | { readonly reason: string; readonly status?: never };

/**
 * Why a connection has ended, and its close code where the server has sent one. `unconfirmed` is how many messages were
 * written to it that the server has perhaps not read; it is left out where it has read all of them. TCP does not say
 * what has arrived, but a pong does: it counts what was sent after the last ping that one has followed, so it may be
 * more than were lost. That a message was read does not say that it was handled.
 */
export type ConnectionLoss = ConnectionEnd & { readonly unconfirmed?: number };

type ConnectionEnd =
  /** The server closed it, with this code (PROTOCOL.md §5); 1005 stands for a close frame without one. */
  | { readonly cause: 'closed'; readonly code: number }
  /**
   * `ended`: TCP ended without a close frame. `heartbeat_missed`: no frame came within `pongTimeoutMs` of a ping.
   * `no_token`: a login's token did not come. `new_login`: dropped for the connection of a login.
   */
  | { readonly cause: 'ended' | 'heartbeat_missed' | 'no_token' | 'new_login'; readonly code?: never };

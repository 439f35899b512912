import { type Attempt, type Term } from '../wire/internal.js';

type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

/** JSON that an authenticator signs into a token. Keep it short: token and device id share a header of 1,023 bytes. */
export type Claims = Readonly<Record<string, Json>>;

/** The credentials of a login: everything the device sent besides its id. */
export type Credentials = Readonly<Record<string, Term>>;

/** Whether the login succeeds, optionally with claims to sign into the device's token. */
export type AuthenticationResult = boolean | { readonly claims: Claims };

/** Checks the credentials of a login. */
export interface DeviceAuthenticator {
  /**
   * Called only for a login with credentials, never for a token. If it throws, or takes longer than
   * `upgradeTimeoutMs`, the cloud rejects the upgrade with 503, and the device tries again.
   * @param device its `signal` aborts when nobody needs the result any more.
   */
  authenticate(
    credentials: Credentials,
    device: { readonly id: string; readonly remoteAddress: string; readonly signal: AbortSignal },
  ): AuthenticationResult | Promise<AuthenticationResult>;
}

/** An authenticated device. */
export interface AuthenticatedDevice {
  /** Its device id: 1 to 125 bytes of UTF-8. */
  readonly id: string;
  /** The address of the peer, or of the client a trusted proxy names. */
  readonly remoteAddress: string;
  /** What the authenticator returned at login, as signed into the device's token. */
  readonly claims: Claims | undefined;
  /** The `path` of the endpoint it connects to. */
  readonly endpoint: string;
}

/** A connected device, as handlers and `Fedecks.devices()` see it. */
export interface ConnectedDevice extends AuthenticatedDevice {
  /** When it connected, in milliseconds since 1970. */
  readonly since: number;
  /** The attempt of the device, if the device named it (PROTOCOL.md §1.7). */
  readonly attempt?: Attempt | undefined;
}

/** Why a connection ended, and the close code sent or received; 1006 without one (RFC 6455 §7.1.5). */
export interface DisconnectCause {
  /**
   * The cause:
   * - `closed_by_device`: the device sent a close frame. `connection_lost`: TCP ended without one.
   * - `idle_timeout`: no byte arrived for `idleTimeoutMs`, or a message arrived too slowly.
   * - `stopped`: a handler returned `stop()`. `disconnected`, `revoked`: the app called that method of `Fedecks`.
   * - `replaced`: the device has connected again. `draining`: the app shuts down.
   * - `slow_consumer`: more than `maxBufferedBytes` were buffered for the device. `rate_limited`: it sent more than
   *   `messagesPerSecond` frames.
   * - `message_too_big`: a message exceeded `maxFrameBytes`. `protocol_error`: a frame violated RFC 6455.
   */
  readonly type:
    | 'closed_by_device'
    | 'connection_lost'
    | 'idle_timeout'
    | 'stopped'
    | 'disconnected'
    | 'replaced'
    | 'revoked'
    | 'draining'
    | 'slow_consumer'
    | 'rate_limited'
    | 'message_too_big'
    | 'protocol_error';
  /** The close code (PROTOCOL.md §5). */
  readonly code: number;
}

/** A failure of a device or a handler, as `@OnSocketError` receives it. */
export interface SocketError {
  /** Null if the upgrade did not contain it. */
  readonly deviceId: string | null;
  /**
   * The failure:
   * - `invalid_auth_header`, `authentication_failed`, `invalid_token`, `refused_by_guard`: rejected (PROTOCOL.md §1.4).
   * - `upgrade_failed`: the authenticator or a guard threw or took too long, or messages of the device's ended
   *   connections still wait for handlers; the device may try again.
   * - `duplicate`: rejected by `duplicates: 'oldest'`. `flapping`: replaced repeatedly.
   * - `clone_suspected`: two machines use this device id, at the addresses in `info`; or one of them was rejected.
   * - `late_attempt`: rejected, because a newer attempt of the device is connected. The device has abandoned this one.
   * - `handler_failed`: a handler threw, or returned a value that is not a term; `info` names the handler.
   * - `refused_by_pipe`: a pipe of a handler rejected the payload; `info` names the properties.
   * - `unhandled_message`: no handler matches the message; `info` names the event.
   * - `handler_stalled`: a handler has been running for 60 s, and later messages of the device wait. Reported once.
   * - `undelivered`: a reply, or a message put into `downstream`, was not written.
   * - `protocol_error`: the cloud closed the connection because of what the device sent.
   */
  readonly type:
    | 'invalid_auth_header'
    | 'authentication_failed'
    | 'invalid_token'
    | 'refused_by_guard'
    | 'upgrade_failed'
    | 'duplicate'
    | 'flapping'
    | 'clone_suspected'
    | 'late_attempt'
    | 'handler_failed'
    | 'refused_by_pipe'
    | 'handler_stalled'
    | 'unhandled_message'
    | 'undelivered'
    | 'protocol_error';
  /** Details, without credentials, tokens or payloads. Empty if the type says everything. */
  readonly info: string;
  /** The thrown error, if any. */
  readonly error?: unknown;
}

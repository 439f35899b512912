import { type Attempt, type Term } from '../wire/internal.js';

type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

/** What an authenticator signs into a token: JSON, and short, since token and device id share a header of 1,023 bytes. */
export type Claims = Readonly<Record<string, Json>>;

/** The credentials of a login: everything the device sent besides its id. */
export type Credentials = Readonly<Record<string, Term>>;

/** A yes or no, or a yes with claims to sign into the device's token. */
export type AuthenticationResult = boolean | { readonly claims: Claims };

/** Checks the credentials of a login. */
export interface DeviceAuthenticator {
  /**
   * Asked only at a login with credentials, never when a token is presented. Where it throws, or takes longer
   * than `upgradeTimeoutMs`, the device is refused with 503 and will try again.
   * @param device `signal` aborts when the answer is no longer needed: skip work that has not started.
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

/** A device that is connected: what handlers and `Fedecks.devices()` see. */
export interface ConnectedDevice extends AuthenticatedDevice {
  /** Since when, in milliseconds since 1970. */
  readonly since: number;
  /** Which attempt of the device it is, where the device has named it (PROTOCOL.md §1.7). */
  readonly attempt?: Attempt | undefined;
}

/** Why a connection ended, and the close code that was sent or received; 1006 where there was none (RFC 6455 §7.1.5). */
export interface DisconnectCause {
  /**
   * Who ended it, and why:
   * - `closed_by_device`: its close frame. `connection_lost`: TCP ended without one.
   * - `idle_timeout`: no byte came for `idleTimeoutMs`, or a message came too slowly.
   * - `stopped`: a handler returned `stop()`. `disconnected`, `revoked`: the method of `Fedecks`.
   * - `replaced`: the device has connected again. `draining`: the app shuts down.
   * - `slow_consumer`: more than `maxBufferedBytes` waited for it. `rate_limited`: more than `messagesPerSecond` frames
   * came.
   * - `message_too_big`: more than `maxFrameBytes`. `protocol_error`: frames that RFC 6455 forbids.
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

/** Something that went wrong with a device or a handler, as `@OnSocketError` receives it. */
export interface SocketError {
  /** Null where the upgrade did not tell it. */
  readonly deviceId: string | null;
  /**
   * What went wrong:
   * - `invalid_auth_header`, `authentication_failed`, `invalid_token`, `refused_by_guard`: refused (PROTOCOL.md §1.4).
   * - `upgrade_failed`: the authenticator or a guard threw or took too long, or messages of the device's ended
   *   connections still wait for handlers; the device may come again.
   * - `duplicate`: refused by `duplicates: 'oldest'`. `flapping`: replaced over and over.
   * - `clone_suspected`: two machines use this device id, at the addresses in `info`; or one of them was refused.
   * - `late_attempt`: refused, since a newer attempt of the device is connected. It has given this one up.
   * - `handler_failed`: a handler threw, or what it returned is no term; `info` names it.
   * - `refused_by_pipe`: a pipe of a handler refused what the device sent; `info` names the properties.
   * - `unhandled_message`: no handler takes it; `info` names the event.
   * - `handler_stalled`: a handler has been running for 60 s, and what the device sends waits for it. Told once.
   * - `undelivered`: a reply, or what was put into `downstream`, was not written.
   * - `protocol_error`: the connection was closed for what the device sent.
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
  /** A sentence or reason, without credentials, tokens or payloads. Empty where the type says it all. */
  readonly info: string;
  /** The thrown error, if any. */
  readonly error?: unknown;
}

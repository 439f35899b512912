import { type Claims } from './authenticator.js';

/** A device whose upgrade has been found good. */
export interface AuthenticatedDevice {
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
}

/** Why a connection ended, and the close code that was sent or received; 1006 where there was none (RFC 6455 §7.1.5). */
export interface DisconnectCause {
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
  readonly code: number;
}

/** Something that went wrong with a device or a handler, as `@OnSocketError` receives it. */
export interface SocketError {
  /** Null where the upgrade did not tell it. */
  readonly deviceId: string | null;
  readonly type:
    | 'invalid_auth_header'
    | 'authentication_failed'
    | 'invalid_token'
    | 'refused_by_guard'
    | 'upgrade_failed'
    | 'duplicate'
    | 'flapping'
    | 'handler_failed'
    | 'unhandled_message'
    | 'undelivered'
    | 'protocol_error';
  /** A sentence or reason, without credentials, tokens or payloads. Empty where the type says it all. */
  readonly info: string;
  /** What was thrown, where something was. */
  readonly error?: unknown;
}

import { FedecksError } from '../wire/internal.js';

/** A message that was not written to a connection, and will not be. */
export class NotConnectedError extends FedecksError {
  override readonly name = 'NotConnectedError';
  declare readonly code: 'not-connected' | 'connection-ended';

  /**
   * `not-connected`: there was none. `connection-ended`: it ended before the message had been written to it.
   * @param standing the state of the client, and its last failure.
   */
  constructor(code: 'not-connected' | 'connection-ended', standing?: string) {
    super(
      code,
      code === 'not-connected'
        ? `Nothing was sent: the client is not connected${standing === undefined ? '' : ` (${standing})`}. Wait for the event 'connected'.`
        : "The connection ended before the message was written: send it again after the event 'connected'.",
    );
  }
}

/**
 * A message that was not sent because too many bytes wait for a link that does not take them. It may be sent again
 * later; if the link is dead, the heartbeat will find that out.
 */
export class SendBufferFullError extends FedecksError {
  override readonly name = 'SendBufferFullError';
  declare readonly code: 'send-buffer-full';

  constructor(
    /** The number of queued bytes. */
    readonly waitingBytes: number,
    limit: number,
  ) {
    super(
      'send-buffer-full',
      `Not sent: ${waitingBytes} bytes are already queued, and this message would exceed ` +
        `'maxBufferedBytes' (${limit}). Await each send() before the next, or drop outdated messages.`,
    );
  }
}

/**
 * Why a login did not succeed:
 * - `invalid-credentials`: not an object, or one that uses a key of the protocol. Nothing was sent.
 * - `connection-failed`: the server could not be reached.
 * - `upgrade-failed`: the server did not upgrade. `status` is its HTTP status; 403 means rejected credentials.
 * - `connection-lost`: the connection ended before the token arrived.
 * - `no-token`: connected, but no token came within `phaseTimeoutMs`.
 * - `superseded`: `login` was called again, or `logout`.
 */
export type LoginFailure =
  | 'invalid-credentials'
  | 'connection-failed'
  | 'upgrade-failed'
  | 'connection-lost'
  | 'no-token'
  | 'superseded';

/** A failed login. The previous token, if any, is kept. */
export class LoginFailedError extends FedecksError {
  override readonly name = 'LoginFailedError';
  declare readonly code: LoginFailure;

  constructor(
    code: LoginFailure,
    message: string,
    /** The HTTP status of a refused upgrade. */
    readonly status?: number,
  ) {
    super(code, message);
  }
}

/** `stop()` has been called: a client cannot be started again, make a new one. */
export class ClientStoppedError extends FedecksError {
  override readonly name = 'ClientStoppedError';
  declare readonly code: 'client-stopped';

  constructor() {
    super('client-stopped', 'The client has been stopped. To connect again, make a new FedecksClient.');
  }
}

import { FedecksError } from '../wire/internal.js';

/** A message that cannot be pushed: the device would take it for a new token (PROTOCOL.md §2). */
export class ReservedMessageError extends FedecksError {
  override readonly name = 'ReservedMessageError';

  constructor() {
    super(
      'reserved-message',
      "A pair whose first element is the charlist 'token' would overwrite the device's token. " +
        "Send the name as a string: tuple('token', ...).",
    );
  }
}

/** A message that is larger than a device can be sent in one piece. Nothing of it was sent. */
export class MessageTooLargeError extends FedecksError {
  override readonly name = 'MessageTooLargeError';

  /** Both in bytes, as the message is encoded. */
  constructor(
    readonly bytes: number,
    readonly maxBytes: number,
  ) {
    super(
      'message-too-large',
      `The message has ${bytes} bytes, and a device is sent ${maxBytes} at the most in one message. ` +
        'Send it in parts, or send a link to it.',
    );
  }
}

/**
 * Why what was asked of the other nodes has come to nothing:
 * - `unavailable`: the backplane is away, or went while this was under way.
 * - `timeout`: no answer within its time limit.
 * - `overloaded`: too many are under way already. Nothing was sent.
 * - `too-large`: more than the backplane carries in one message. Nothing was sent.
 */
export type BackplaneErrorCode = 'unavailable' | 'timeout' | 'overloaded' | 'too-large';

/**
 * The other nodes could not be asked, or have not answered. A push that ends in `unavailable` or `timeout` may have
 * been written or not: it is not tried again, since a device must not get it twice.
 */
export class BackplaneError extends FedecksError {
  override readonly name = 'BackplaneError';
  declare readonly code: BackplaneErrorCode;

  constructor(code: BackplaneErrorCode, message: string, options?: { readonly cause: unknown }) {
    super(code, message);
    if (options) this.cause = options.cause;
  }
}

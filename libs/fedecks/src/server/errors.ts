import { FedecksError } from '../wire/internal.js';

/** A message that exceeds the size limit for messages to devices. Nothing was sent. */
export class MessageTooLargeError extends FedecksError {
  override readonly name = 'MessageTooLargeError';

  /** Both sizes are of the encoded message. */
  constructor(
    readonly bytes: number,
    readonly maxBytes: number,
  ) {
    super(
      'message-too-large',
      `The message has ${bytes} bytes, but a message to a device may have at most ${maxBytes}. ` +
        'Split it, or send a link to it.',
    );
  }
}

/** Too much waits for the device. Nothing was kept. */
export class DeliveryQueueFullError extends FedecksError {
  override readonly name = 'DeliveryQueueFullError';
  declare readonly code: 'delivery-queue-full';

  /** @param what of which there is no room: `messages` (1,000 for each device), or `lanes` (8). */
  constructor(
    readonly deviceId: string,
    readonly what: 'messages' | 'lanes',
  ) {
    const many = what === 'messages' ? '1,000 messages wait' : 'Messages of 8 lanes wait';
    super(
      'delivery-queue-full',
      `${many} for device '${deviceId}', and more are not kept. Cancel some, give them a shorter 'ttlMs', or a 'key' so that a newer one replaces them.`,
    );
  }
}

/**
 * Why a request to the other nodes failed:
 * - `unavailable`: the backplane is not connected, or was lost during the request.
 * - `timeout`: no answer within the time limit.
 * - `overloaded`: too many requests are in progress. Nothing was sent.
 * - `too-large`: the message exceeds the limit of the backplane. Nothing was sent.
 */
export type BackplaneErrorCode = 'unavailable' | 'timeout' | 'overloaded' | 'too-large';

/**
 * A request to the other nodes failed. After `unavailable` or `timeout`, a push may or may not have been written: it is
 * not retried, because the device must not receive it twice.
 */
export class BackplaneError extends FedecksError {
  override readonly name = 'BackplaneError';
  declare readonly code: BackplaneErrorCode;

  constructor(code: BackplaneErrorCode, message: string, options?: { readonly cause: unknown }) {
    super(code, message);
    if (options) this.cause = options.cause;
  }
}

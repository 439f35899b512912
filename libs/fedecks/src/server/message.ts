import {
  type ControlMessage,
  type DeliverHead,
  encodeControlAfter,
  encodeDeliverAfter,
  encodeTermAfter,
  looksLikeControl,
  looksLikeTokenMessage,
  ReservedMessageError,
  type Term,
} from '../wire/internal.js';
import { MessageTooLargeError } from './errors.js';
import { frameInGap, HEADER_BYTES } from './websocket/frame-writer.js';

/** The largest message to a device, in bytes: the limit of this library's client. */
const MAX_MESSAGE_BYTES = 16 * 1024 * 1024;

/**
 * The frame of a message an application sends to a device of any protocol.
 * @throws {TermEncodeError} when it holds something that is no term.
 * @throws {ReservedMessageError} when a device would take it for a token or for a control message.
 * @throws {MessageTooLargeError} when it is larger than 16 MiB.
 */
export function encodeMessage(message: unknown): Buffer {
  return encodeReply(message, 2);
}

/** As {@link encodeMessage}, to a device whose protocol is known: version 1 has no control messages but the token. */
export function encodeReply(message: unknown, protocol: 1 | 2): Buffer {
  if (looksLikeTokenMessage(message as Term) || (protocol === 2 && looksLikeControl(message)))
    throw new ReservedMessageError();
  return frameOf(encodeTermAfter(HEADER_BYTES, message));
}

/** The frame of a control message. @throws as {@link encodeMessage} does. */
export function encodeControl(control: ControlMessage): Buffer {
  return frameOf(encodeControlAfter(HEADER_BYTES, control));
}

/** The frame of a `deliver`, around a message that is encoded. */
export function encodeDelivery(head: Omit<DeliverHead, 'type'>, message: Uint8Array): Buffer {
  return frameOf(encodeDeliverAfter(HEADER_BYTES, head, message));
}

function frameOf(bytes: Buffer): Buffer {
  const size = bytes.length - HEADER_BYTES;
  if (size > MAX_MESSAGE_BYTES) throw new MessageTooLargeError(size, MAX_MESSAGE_BYTES);
  return frameInGap(bytes);
}

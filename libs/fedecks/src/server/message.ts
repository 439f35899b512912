import { encodeTermAfter, looksLikeTokenMessage, type Term } from '../wire/internal.js';
import { MessageTooLargeError, ReservedMessageError } from './errors.js';
import { frameInGap, HEADER_BYTES } from './websocket/frame-writer.js';

/** The largest message that is sent to a device, in bytes: as much as a device of this library decodes. */
const MAX_MESSAGE_BYTES = 16 * 1024 * 1024;

/**
 * The frame of a message an application sends.
 * @throws {TermEncodeError} when it holds something that is no term.
 * @throws {ReservedMessageError} when a device would take it for a token.
 * @throws {MessageTooLargeError} when it is larger than 16 MiB.
 */
export function encodeMessage(message: unknown): Buffer {
  if (looksLikeTokenMessage(message as Term)) throw new ReservedMessageError();
  const bytes = encodeTermAfter(HEADER_BYTES, message);
  const size = bytes.length - HEADER_BYTES;
  if (size > MAX_MESSAGE_BYTES) throw new MessageTooLargeError(size, MAX_MESSAGE_BYTES);
  return frameInGap(bytes);
}

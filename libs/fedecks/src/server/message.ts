import { encodeTermAfter, looksLikeTokenMessage, type Term } from '../wire/index.js';
import { MessageTooLargeError, ReservedMessageError } from './errors.js';
import { frameInGap, HEADER_BYTES } from './websocket/frame-writer.js';

/** The largest message to a device, in bytes: the limit of this library's client. */
const MAX_MESSAGE_BYTES = 16 * 1024 * 1024;

/**
 * Encodes a message of the application as a frame.
 * @throws {TermEncodeError} when it contains a value that is not a term.
 * @throws {ReservedMessageError} when a device would read it as a token.
 * @throws {MessageTooLargeError} when it is larger than 16 MiB.
 */
export function encodeMessage(message: unknown): Buffer {
  if (looksLikeTokenMessage(message as Term)) throw new ReservedMessageError();
  const bytes = encodeTermAfter(HEADER_BYTES, message);
  const size = bytes.length - HEADER_BYTES;
  if (size > MAX_MESSAGE_BYTES) throw new MessageTooLargeError(size, MAX_MESSAGE_BYTES);
  return frameInGap(bytes);
}

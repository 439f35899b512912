import { EMPTY, View } from './bytes.js';
import { BINARY, CLOSE, FIN, LENGTH_16, LENGTH_64, PONG, SMALL_BYTES } from './frame-header.js';

/** The gap that an encoder leaves before a payload: the longest header of a server. */
export const HEADER_BYTES = 10;
const MAX_16 = 0xffff;
const NO_CODE = 1005;
const CODE_BYTES = 2;

/**
 * Writes the header of an unmasked, unfragmented binary frame into the end of the gap of {@link HEADER_BYTES} bytes at
 * the beginning of `bytes`, right before the payload. Returns the frame, a view of the same memory.
 */
export function frameInGap(bytes: Buffer): Buffer {
  const length = bytes.length - HEADER_BYTES;
  const start = HEADER_BYTES - headerBytes(length);
  writeHeader(bytes, start, BINARY, length);
  return new View(bytes.buffer, bytes.byteOffset + start, bytes.length - start);
}

/** A binary frame with a copy of the payload. */
export function binaryFrame(payload: Uint8Array): Buffer {
  return frame(BINARY, payload);
}

/** The answer to a ping with this payload. */
export function pongFrame(payload: Uint8Array): Buffer {
  return frame(PONG, payload);
}

/**
 * A close frame. Code 1005 means no code: the frame is empty then. A reason is cut to whole characters within 123 bytes,
 * the limit of a control frame.
 */
export function closeFrame(code: number, reason = ''): Buffer {
  if (code === NO_CODE) return frame(CLOSE, EMPTY);
  const payload = Buffer.alloc(SMALL_BYTES);
  payload.writeUInt16BE(code);
  const reasonBytes = payload.write(reason, CODE_BYTES);
  return frame(CLOSE, payload.subarray(0, CODE_BYTES + reasonBytes));
}

function frame(opcode: number, payload: Uint8Array): Buffer {
  const header = headerBytes(payload.length);
  const bytes = Buffer.allocUnsafe(header + payload.length);
  writeHeader(bytes, 0, opcode, payload.length);
  bytes.set(payload, header);
  return bytes;
}

function headerBytes(length: number): number {
  if (length <= SMALL_BYTES) return 2;
  return length <= MAX_16 ? 4 : HEADER_BYTES;
}

function writeHeader(bytes: Buffer, at: number, opcode: number, length: number): void {
  bytes[at] = FIN | opcode;
  if (length <= SMALL_BYTES) {
    bytes[at + 1] = length;
  } else if (length <= MAX_16) {
    bytes[at + 1] = LENGTH_16;
    bytes.writeUInt16BE(length, at + 2);
  } else {
    bytes[at + 1] = LENGTH_64;
    bytes.writeUInt32BE(Math.floor(length / 2 ** 32), at + 2);
    bytes.writeUInt32BE(length % 2 ** 32, at + 6);
  }
}

/** The payload of a frame from {@link frameInGap} or {@link binaryFrame}, as a view. */
export function payloadOf(frame: Buffer): Buffer {
  const length = frame[1]!;
  return frame.subarray(length <= SMALL_BYTES ? 2 : length === LENGTH_16 ? 4 : HEADER_BYTES);
}

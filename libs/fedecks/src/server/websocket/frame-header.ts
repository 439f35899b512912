/** The first byte of a frame. */
export const FIN = 0x80;
const RESERVED = 0x70;
export const OPCODE = 0x0f;
/** Set in the opcodes of control frames. */
export const CONTROL = 0x08;
/** The second byte of a frame. */
const MASKED = 0x80;
export const LENGTH = 0x7f;

export const TEXT = 1;
export const BINARY = 2;
export const CLOSE = 8;
export const PING = 9;
export const PONG = 10;

/** The maximum payload of a control frame, and the longest length that fits into the second byte. */
export const SMALL_BYTES = 125;
/** The length that follows has 16 bits, or 64. */
export const LENGTH_16 = 126;
export const LENGTH_64 = 127;

/**
 * The violation of RFC 6455 (§5.2, §5.4, §5.5) in the first two bytes of a client's frame, if any.
 * `inMessage`: whether a fragmented message is incomplete.
 */
export function findProblem(first: number, second: number, inMessage: boolean): string | undefined {
  const opcode = first & OPCODE;
  const length = second & LENGTH;
  if ((first & RESERVED) !== 0) return 'a reserved bit is set';
  if ((second & MASKED) === 0) return 'a frame is not masked';
  if (opcode > PONG || (opcode > BINARY && opcode < CLOSE)) return `opcode ${opcode} does not exist`;
  if (opcode >= CLOSE) {
    if ((first & FIN) === 0) return 'a control frame is fragmented';
    if (length > SMALL_BYTES) return `a control frame has more than ${SMALL_BYTES} bytes`;
    if (opcode === CLOSE && length === 1) return 'a close frame has 1 byte: a close code has 2';
    return undefined;
  }
  if (opcode === 0 && !inMessage) return 'a continuation frame has nothing to continue';
  if (opcode !== 0 && inMessage) return 'a message begins before the fragmented one has ended';
  return undefined;
}

/** Whether a peer may send this close code (RFC 6455 §7.4, and 1012 to 1014 of the IANA registry). */
export function isCloseCode(code: number): boolean {
  if (code >= 3000) return code <= 4999;
  return code >= 1000 && code <= 1014 && (code < 1004 || code > 1006);
}

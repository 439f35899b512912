import { decodeTerm, decodeTermAt, type DecodeOptions } from './decode.js';
import { encodeTermAfter } from './encode.js';
import { TermDecodeError } from './errors.js';
import { INTEGER, SMALL_INTEGER, SMALL_TUPLE, STRING, VERSION } from './tags.js';
import { type Term, Tuple, tupleFrom } from './term.js';

/** The header by which both sides name the newest protocol they speak, in lower case (PROTOCOL.md §6.1). */
export const PROTOCOL_HEADER = 'x-fedecks-protocol';
/** The value of that header for protocol 2. */
export const PROTOCOL_2 = '2';

/** Whether a header names protocol 2 or a later one: a later peer speaks 2 as well. */
export function speaksProtocol2(value: string | readonly string[] | undefined): boolean {
  return typeof value === 'string' && /^[1-9]\d{0,3}$/.test(value) && Number(value) >= 2;
}

/** The code of an `error` message (PROTOCOL.md §6.3). */
export type RequestErrorCode = 'no_handler' | 'invalid' | 'failed' | 'expired' | 'busy';

const ERROR_CODES: readonly string[] = [
  'no_handler',
  'invalid',
  'failed',
  'expired',
  'busy',
] satisfies readonly RequestErrorCode[];

/** A control message about a request (PROTOCOL.md §6.3). `remainingMs` is -1 for a stream without a deadline. */
export type RequestControl =
  | { readonly type: 'request'; readonly id: number; readonly remainingMs: number; readonly message: Term }
  | { readonly type: 'reply'; readonly id: number; readonly value: Term }
  | { readonly type: 'next'; readonly id: number; readonly value: Term }
  | { readonly type: 'complete'; readonly id: number }
  | {
      readonly type: 'error';
      readonly id: number;
      readonly code: RequestErrorCode;
      readonly text: string;
    }
  | { readonly type: 'cancel'; readonly id: number };

/** The last message of a lane that one side has handled of the other (PROTOCOL.md §6.4). */
export interface HandledInLane {
  readonly lane: number;
  readonly epoch: string;
  readonly seq: number;
}

/** The code of a `nack` (PROTOCOL.md §6.4). */
export type NackCode = 'failed' | 'invalid' | 'no_handler';

const NACK_CODES: readonly string[] = ['failed', 'invalid', 'no_handler'] satisfies readonly NackCode[];

/** How much of a lane may be under way (PROTOCOL.md §6.4). */
export interface DeliveryWindow {
  readonly messages: number;
  readonly bytes: number;
}

/** What is read of a `deliver` before its message is decoded. `epoch` is empty where it is that of the one before. */
export interface DeliverHead {
  readonly type: 'deliver';
  readonly lane: number;
  readonly seq: number;
  readonly epoch: string;
  readonly attempt: number;
  readonly nacks: number;
  /** How long ago it was put in; -1 where that is not known. */
  readonly ageMs: number;
}

/** A control message about deliveries (PROTOCOL.md §6.4). */
export type DeliveryControl =
  | { readonly type: 'resume'; readonly handled: readonly HandledInLane[]; readonly window: DeliveryWindow }
  | (DeliverHead & { readonly message: Term })
  | { readonly type: 'result'; readonly lane: number; readonly seq: number; readonly value: Term }
  | { readonly type: 'ack'; readonly lane: number; readonly seq: number; readonly window: DeliveryWindow }
  | {
      readonly type: 'nack';
      readonly lane: number;
      readonly seq: number;
      readonly code: NackCode;
      readonly text: string;
    };

/** A control message of protocol 2 (PROTOCOL.md §6). */
export type ControlMessage = RequestControl | DeliveryControl;

/** The type of a control message. */
export type ControlType = ControlMessage['type'];

/** Whether a control message is about deliveries. */
export function isOfDeliveries(type: ControlType): type is DeliveryControl['type'] {
  return type === 'resume' || type === 'deliver' || type === 'result' || type === 'ack' || type === 'nack';
}

/** The elements of the tuple of each type, its name included. */
const ARITY: Readonly<Record<ControlType, number>> = {
  request: 4,
  reply: 3,
  next: 3,
  complete: 2,
  error: 4,
  cancel: 2,
  resume: 4,
  deliver: 8,
  result: 4,
  ack: 5,
  nack: 5,
};

const NAMES = Object.keys(ARITY) as ControlType[];
const CHARLISTS = Object.fromEntries(
  NAMES.map((name) => [name, [...Buffer.from(name, 'latin1')]]),
) as unknown as Readonly<Record<ControlType, readonly number[]>>;

/** The bytes of each message up to the end of its name (PROTOCOL.md §6.2). */
const HEADS = Object.fromEntries(
  NAMES.map((name) => [
    name,
    Buffer.from([VERSION, SMALL_TUPLE, ARITY[name], STRING, 0, name.length, ...CHARLISTS[name]]),
  ]),
) as unknown as Readonly<Record<ControlType, Buffer>>;

/** The messages by the length of the name, so that a frame is compared with few of them. */
const BY_LENGTH: (readonly ControlType[])[] = [];
for (const { length } of NAMES) BY_LENGTH[length] = NAMES.filter((name) => name.length === length);

/** The largest id: the next request after it has id 1 again. */
export const MAX_REQUEST_ID = 2 ** 31 - 1;

/** The longest text of an error, in characters. */
export const MAX_ERROR_TEXT = 1_000;

/**
 * The type of the control message that a frame holds, or undefined for every other message. Looks at the first bytes
 * only: `83 68 arity 6b length name`. In any other spelling it is a message like any other (PROTOCOL.md §6.2).
 */
export function controlTypeOf(bytes: Buffer): ControlType | undefined {
  if (bytes[3] !== STRING || bytes[4] !== 0) return undefined;
  return BY_LENGTH[bytes[5] ?? 0]?.find((name) => beginsWith(bytes, HEADS[name]));
}

function beginsWith(bytes: Buffer, head: Buffer): boolean {
  for (let index = 0; index < head.length; index++) if (bytes[index] !== head[index]) return false;
  return true;
}

/**
 * Whether a peer of protocol 2 would take a message of the application for a control message: a tuple whose first
 * element is the name of one as a charlist, with any number of elements.
 */
export function looksLikeControl(message: unknown): boolean {
  if (!(message instanceof Tuple)) return false;
  const first = message[0];
  if (!Array.isArray(first) || first instanceof Tuple) return false;
  return NAMES.some((name) => {
    const code = CHARLISTS[name];
    return code.length === first.length && code.every((byte, index) => first[index] === byte);
  });
}

/**
 * Writes a control message behind a gap, as {@link encodeTermAfter} does.
 * @throws {TermEncodeError} when its message or value is no term.
 */
export function encodeControlAfter(gap: number, control: ControlMessage): Buffer {
  switch (control.type) {
    case 'request':
      return encodeAround(gap, 'request', [control.id, control.remainingMs], control.message);
    case 'reply':
    case 'next':
      return encodeAround(gap, control.type, [control.id], control.value);
    default:
      return encodeTermAfter(gap, tupleFrom([CHARLISTS[control.type], ...fieldsOf(control)]));
  }
}

/** A tuple whose last element is the value. That is encoded where it belongs, and the rest is written around it. */
function encodeAround(
  gap: number,
  type: RequestControl['type'],
  integers: readonly number[],
  value: Term,
): Buffer {
  const head = HEADS[type];
  let size = head.length;
  for (const integer of integers) size += isByte(integer) ? 2 : 5;
  // The last byte before the value takes the place of the value's version byte.
  const bytes = encodeTermAfter(gap + size - 1, value);
  bytes.set(head, gap);
  let at = gap + head.length;
  for (const integer of integers) {
    if (isByte(integer)) {
      bytes[at++] = SMALL_INTEGER;
      bytes[at++] = integer;
    } else {
      bytes[at] = INTEGER;
      at = bytes.writeInt32BE(integer, at + 1);
    }
  }
  return bytes;
}

function isByte(integer: number): boolean {
  return integer >= 0 && integer < 256;
}

/**
 * Writes a `deliver` behind a gap, around a message that is encoded: with its version byte, as it is stored.
 */
export function encodeDeliverAfter(
  gap: number,
  { lane, seq, epoch, attempt, nacks, ageMs }: Omit<DeliverHead, 'type'>,
  message: Uint8Array,
): Buffer {
  const head = encodeTermAfter(gap, tupleFrom([CHARLISTS.deliver, lane, seq, epoch, attempt, nacks, ageMs]));
  // The message is one more element.
  head[gap + 2] = ARITY.deliver;
  return Buffer.concat([head, message.subarray(1)]);
}

function fieldsOf(control: Exclude<ControlMessage, { readonly type: 'request' | 'reply' | 'next' }>): Term[] {
  switch (control.type) {
    case 'error':
      return [control.id, control.code, control.text.slice(0, MAX_ERROR_TEXT)];
    case 'complete':
    case 'cancel':
      return [control.id];
    case 'resume':
      return [
        control.handled.map(({ lane, epoch, seq }) => tupleFrom([lane, epoch, seq])),
        control.window.messages,
        control.window.bytes,
      ];
    case 'deliver': {
      const { lane, seq, epoch, attempt, nacks, ageMs, message } = control;
      return [lane, seq, epoch, attempt, nacks, ageMs, message];
    }
    case 'result':
      return [control.lane, control.seq, control.value];
    case 'ack':
      return [control.lane, control.seq, control.window.messages, control.window.bytes];
    case 'nack':
      return [control.lane, control.seq, control.code, control.text.slice(0, MAX_ERROR_TEXT)];
  }
}

/** What is read of a control message about a request before it is decoded. */
export interface ControlHead {
  /** Which message it is. */
  readonly type: RequestControl['type'];
  /** The id of the request it belongs to. */
  readonly id: number;
  /** Of a request; otherwise -1. */
  readonly remainingMs: number;
  /** Where the rest begins: the message or the value, if it has one. */
  readonly restAt: number;
}

/** The head of a control message about a request. Undefined when it is malformed. */
export function readControlHead(bytes: Buffer, type: RequestControl['type']): ControlHead | undefined {
  const at = HEADS[type].length;
  const id = readInteger(bytes, at);
  if (!isId(id)) return undefined;
  const afterId = afterInteger(bytes, at);
  if (type !== 'request') return { type, id, remainingMs: -1, restAt: afterId };
  const remainingMs = readInteger(bytes, afterId);
  return isRemaining(remainingMs)
    ? { type, id, remainingMs, restAt: afterInteger(bytes, afterId) }
    : undefined;
}

function readInteger(bytes: Buffer, at: number): number | undefined {
  if (bytes[at] === SMALL_INTEGER) return bytes[at + 1];
  return bytes[at] === INTEGER && at + 5 <= bytes.length ? bytes.readInt32BE(at + 1) : undefined;
}

function afterInteger(bytes: Buffer, at: number): number {
  return at + (bytes[at] === SMALL_INTEGER ? 2 : 5);
}

/**
 * Reads a control message. Undefined when it is malformed: a field is missing or impossible, or is no safe term.
 * @param head as {@link readControlHead} has read it.
 */
export function decodeControl(
  bytes: Buffer,
  { type, id, remainingMs, restAt }: ControlHead,
  options?: DecodeOptions,
): RequestControl | undefined {
  switch (type) {
    case 'request': {
      const message = readElement(bytes, restAt, options);
      return message && { type, id, remainingMs, message: message.value };
    }
    case 'reply':
    case 'next': {
      const value = readElement(bytes, restAt, options);
      return value && { type, id, value: value.value };
    }
    case 'error': {
      const [, , code, text] = elementsOf(bytes, options) ?? [];
      return isErrorCode(code) && typeof text === 'string'
        ? { type, id, code, text: text.slice(0, MAX_ERROR_TEXT) }
        : undefined;
    }
    case 'complete':
    case 'cancel':
      return { type, id };
  }
}

/** The element of a control message that begins at `at`. Undefined when it is no safe term, or too large a one. */
export function readElement(
  bytes: Buffer,
  at: number,
  options?: DecodeOptions,
): { readonly value: Term } | undefined {
  try {
    return { value: decodeTermAt(bytes, at, options) };
  } catch (error) {
    if (error instanceof TermDecodeError) return undefined;
    throw error;
  }
}

/** The elements of the tuple in a control message; undefined when it is no safe term. */
export function elementsOf(bytes: Buffer, options?: DecodeOptions): Tuple | undefined {
  try {
    return decodeTerm(bytes, options) as Tuple;
  } catch {
    return undefined;
  }
}

export function isNackCode(term: Term | undefined): term is NackCode {
  return typeof term === 'string' && NACK_CODES.includes(term);
}

function isId(term: Term | undefined): term is number {
  return typeof term === 'number' && Number.isInteger(term) && term >= 1 && term <= MAX_REQUEST_ID;
}

function isRemaining(term: Term | undefined): term is number {
  return typeof term === 'number' && Number.isInteger(term) && term >= -1 && term <= MAX_REQUEST_ID;
}

function isErrorCode(term: Term | undefined): term is RequestErrorCode {
  return typeof term === 'string' && ERROR_CODES.includes(term);
}

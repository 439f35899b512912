import {
  decodeTerm,
  decodeToForward,
  encodeTermAfter,
  type RequestErrorCode,
  type Term,
} from '../wire/internal.js';
import { Malformed } from './link.js';

/** The most requests that are renewed with one message. */
export const MAX_IDS = 1_000;
const MAX_HEAD_BYTES = 32 * 1024;
const NEWLINE = 10;

/** How a request can end for the node that asked, besides with a value. */
export type FarErrorCode = RequestErrorCode | 'not_supported' | 'timeout' | 'connection_lost';

const ERROR_CODES: readonly unknown[] = [
  'no_handler',
  'invalid',
  'failed',
  'expired',
  'busy',
  'not_supported',
  'timeout',
  'connection_lost',
] satisfies readonly FarErrorCode[];

/** What the node that asks sends to the one that holds the device. `from` is its name, and numbered its requests. */
export type ToHolder =
  | {
      readonly type: 'ask';
      readonly from: string;
      readonly id: number;
      readonly device: string;
      /** -1 for a stream, which has no deadline. */
      readonly remainingMs: number;
    }
  | { readonly type: 'cancel'; readonly from: string; readonly id: number }
  /** Somebody still waits for these. */
  | { readonly type: 'renew'; readonly from: string; readonly ids: readonly number[] };

/** What the node that holds the device sends back. `n` counts the messages of one request, from 0. */
export type ToAsker =
  | { readonly type: 'next' | 'reply' | 'complete'; readonly id: number; readonly n: number }
  | {
      readonly type: 'error';
      readonly id: number;
      readonly n: number;
      readonly code: FarErrorCode;
      readonly text: string;
    };

/** What nodes send each other about requests: a line of JSON, and behind it the term of `ask`, `next` and `reply`. */
export function encodeRequestMessage(head: ToHolder | ToAsker, term?: Term): Buffer {
  const line = Buffer.from(`${JSON.stringify(head)}\n`);
  if (term === undefined) return line;
  const bytes = encodeTermAfter(line.length, term);
  line.copy(bytes);
  return bytes;
}

/** @throws {Malformed} */
export function readRequestMessage(bytes: Uint8Array): {
  readonly head: ToHolder | ToAsker;
  readonly term: Buffer;
} {
  const all = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const end = all.subarray(0, MAX_HEAD_BYTES).indexOf(NEWLINE);
  const head = end < 0 ? undefined : parse(all.toString('utf8', 0, end));
  if (!isToHolder(head) && !isToAsker(head)) throw new Malformed('it is not what nodes say about requests');
  return { head, term: all.subarray(end + 1) };
}

/** Reads what is sent to a device. @throws {Malformed} */
export function readMessage(bytes: Buffer): Term {
  return decode(decodeToForward, bytes);
}

/** Reads a value of an answer. @throws {Malformed} */
export function readValue(bytes: Buffer): Term {
  return decode(decodeTerm, bytes);
}

/** What was read within the bounds of the endpoint has no others here: the link bounds its bytes. */
function decode(read: typeof decodeTerm, bytes: Buffer): Term {
  try {
    return read(bytes, { maxElements: Infinity, compressed: false });
  } catch {
    throw new Malformed('it holds no term');
  }
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

function isToHolder(value: unknown): value is ToHolder {
  const { type, from, id, ids, device, remainingMs } = (value ?? {}) as Record<string, unknown>;
  if (typeof from !== 'string') return false;
  if (type === 'renew') return Array.isArray(ids) && ids.length <= MAX_IDS && ids.every(isCount);
  if (type === 'cancel') return isCount(id);
  return (
    type === 'ask' &&
    isCount(id) &&
    typeof device === 'string' &&
    (isCount(remainingMs) || remainingMs === -1)
  );
}

function isToAsker(value: unknown): value is ToAsker {
  const { type, id, n, code, text } = (value ?? {}) as Record<string, unknown>;
  if (!isCount(id) || !isCount(n)) return false;
  if (type === 'error') return ERROR_CODES.includes(code) && typeof text === 'string';
  return type === 'next' || type === 'reply' || type === 'complete';
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

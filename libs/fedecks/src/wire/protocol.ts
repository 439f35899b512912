import { COMPRESSED, VERSION } from './tags.js';
import { Atom, type Term, Tuple } from './term.js';

/** Where an endpoint is mounted unless its options say otherwise (PROTOCOL.md §1). */
export const DEFAULT_PATH = '/fedecks';
/** What follows the path of an endpoint in the URL of its websocket (PROTOCOL.md §1). */
export const WEBSOCKET_SUFFIX = '/websocket';
/** The request header that carries device id and credentials or token, in lower case (PROTOCOL.md §1). */
export const AUTH_HEADER = 'x-fedecks-auth';
/** The longest that header may be, in characters of Base64 (PROTOCOL.md §1). */
export const MAX_AUTH_HEADER_LENGTH = 1023;
/** The longest a device id may be, in bytes: it is the payload of a ping, which holds no more (RFC 6455 §5.5). */
export const MAX_DEVICE_ID_BYTES = 125;
/** The key of the device id in the auth header. */
export const DEVICE_ID_KEY = 'fedecks-device-id';
/** The key of the token in the auth header. */
export const TOKEN_KEY = 'fedecks-token';

/** The frame that asks for a token: the charlist `'token_please'` (PROTOCOL.md §2). */
export const TOKEN_PLEASE: Buffer = Buffer.from('\x83\x6b\x00\x0ctoken_please', 'latin1');
/** All of the frame that carries a token but its length and the token: `{'token', ...}` (PROTOCOL.md §2). */
const TOKEN_HEAD = Buffer.from('\x83\x68\x02\x6b\x00\x05token\x6d', 'latin1');

/** Whether bytes begin as a term does, at an offset: what follows is not looked at. */
export function beginsAsTerm(bytes: Uint8Array, offset = 0): boolean {
  return bytes[offset] === VERSION;
}

/** Whether bytes are a term that Erlang has compressed. */
export function isCompressedTerm(bytes: Uint8Array): boolean {
  return bytes[0] === VERSION && bytes[1] === COMPRESSED;
}

/** Whether a frame asks for a token, in the spelling everybody uses: told without reading the term. */
export function isTokenPleaseFrame(bytes: Buffer): boolean {
  return bytes.length === TOKEN_PLEASE.length && TOKEN_PLEASE.equals(bytes);
}

/** Whether a term asks for a token, however it was spelt. The string `"token_please"` does not. */
export function isTokenPlease(term: Term): boolean {
  return isCharlist(term, 'token_please');
}

/** The frame that gives a device its token (PROTOCOL.md §2). */
export function encodeTokenMessage(token: string): Buffer {
  const length = Buffer.byteLength(token);
  const bytes = Buffer.allocUnsafe(TOKEN_HEAD.length + 4 + length);
  TOKEN_HEAD.copy(bytes);
  bytes.writeUInt32BE(length, TOKEN_HEAD.length);
  bytes.write(token, TOKEN_HEAD.length + 4);
  return bytes;
}

/** Whether a device would take a term for a new token: a pair whose first element is the charlist `'token'`. */
export function looksLikeTokenMessage(term: Term): boolean {
  return term instanceof Tuple && term.length === 2 && isCharlist(term[0], 'token');
}

/** The token a term gives a device, or undefined if it is another message. */
export function tokenIn(term: Term): string | undefined {
  const token: Term | undefined = looksLikeTokenMessage(term) ? (term as Tuple)[1] : undefined;
  return typeof token === 'string' ? token : undefined;
}

function isCharlist(term: Term | undefined, text: string): boolean {
  if (!Array.isArray(term) || term instanceof Tuple || term.length !== text.length) return false;
  return (term as readonly Term[]).every((code, index) => code === text.charCodeAt(index));
}

/** A message that says by a name what it is about. */
export interface EventMessage {
  /** The first of the pair, or `event` of the map. */
  readonly name: string;
  /** The second of the pair, or `data` of the map: null where there is none. */
  readonly payload: Term;
}

/**
 * The event a message is, or undefined: a pair (tuple or list of two) whose first element is a string or an atom,
 * or a map with a string `event` and optional `data`.
 */
export function eventOf(message: Term): EventMessage | undefined {
  if (typeof message !== 'object' || message === null) return undefined;
  if (Array.isArray(message)) {
    if (message.length !== 2) return undefined;
    const [name, payload] = message as unknown as readonly [Term, Term];
    if (typeof name === 'string') return { name, payload };
    return name instanceof Atom ? { name: name.name, payload } : undefined;
  }
  if (!Object.hasOwn(message, 'event')) return undefined;
  const { event, data = null } = message as { readonly event: Term; readonly data?: Term };
  return typeof event === 'string' ? { name: event, payload: data } : undefined;
}

/** The response header that says why an upgrade was refused, to a device that has named its attempt (PROTOCOL.md §1.8). */
export const REFUSAL_HEADER = 'x-fedecks-refusal';
/** The value of that header, and the reason of 4152, where two machines use one device id. */
export const CLONE_REASON = 'another machine uses this device id';

import { types } from 'node:util';
import { decodeOutermostMap } from './decode.js';
import { encodeTerm } from './encode.js';
import { TermEncodeError } from './errors.js';
import { DEVICE_ID_KEY, MAX_AUTH_HEADER_LENGTH, MAX_DEVICE_ID_BYTES, TOKEN_KEY } from './protocol.js';
import { type CannotBeSent, kindOf, type Sendable, type Term } from './term.js';

/** What is wrong with an auth header (PROTOCOL.md §1). */
export type AuthHeaderProblem =
  | 'missing'
  | 'too long'
  | 'not base64'
  | 'encoded binary auth was invalid or unsafe'
  | 'not a map'
  | 'no device id'
  | 'device id is not a string'
  | 'device id is too long';

/** The parsed auth header, or its problem. */
export type AuthHeader =
  | {
      readonly ok: true;
      readonly deviceId: string;
      /** Set if there is one, of whatever type: then only it counts. */
      readonly token?: Term;
      /** Everything beside device id and token. */
      readonly credentials: Readonly<Record<string, Term>>;
    }
  | { readonly ok: false; readonly info: AuthHeaderProblem };

/** Decoding limits for unauthenticated input. No known peer sends a compressed header. */
const LIMITS = { maxElements: 256, maxDepth: 16, compressed: false } as const;
/** Standard Base64 with its padding (RFC 4648 §4). */
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** What a device may log in with: an object of any type whose properties can be sent. */
export type CredentialsToSend<C extends object> = C extends OtherThanFields
  ? CannotBeSent<'not an object with the credentials as properties'>
  : Sendable<C>;

type OtherThanFields = readonly unknown[] | ReadonlyMap<unknown, unknown> | Date | ArrayBufferView;

/**
 * The value of the auth header.
 * @param fields of the protocol.
 * @throws {TermEncodeError} if a value is no term, or the header would be longer than 1,023 characters.
 */
export function encodeAuthHeader(fields: Readonly<Record<string, Term>>, credentials: object = {}): string {
  checkFields(credentials);
  const value = encodeTerm({ ...credentials, ...fields }).toString('base64');
  if (value.length <= MAX_AUTH_HEADER_LENGTH) return value;
  throw new TermEncodeError(
    'out-of-range',
    '$',
    `makes an auth header of ${value.length} characters, but at most ${MAX_AUTH_HEADER_LENGTH} are allowed: shorten the device id or the credentials`,
  );
}

/** Of what has no properties to send, nothing would be left without a word, and the device be refused. */
function checkFields(credentials: object): void {
  encodeTerm(credentials);
  const isOther =
    Array.isArray(credentials) ||
    types.isMap(credentials) ||
    types.isDate(credentials) ||
    ArrayBuffer.isView(credentials) ||
    kindOf(credentials) !== undefined;
  if (isOther)
    throw new TermEncodeError('unsupported-type', '$', 'is not an object with the credentials as properties');
}

/** Reads the auth header of an upgrade. Never throws: what a peer sends is a value. */
export function decodeAuthHeader(value: string | undefined): AuthHeader {
  if (value === undefined) return problem('missing');
  if (value.length > MAX_AUTH_HEADER_LENGTH) return problem('too long');
  if (!BASE64.test(value)) return problem('not base64');
  let term: Term;
  try {
    term = decodeOutermostMap(Buffer.from(value, 'base64'), LIMITS);
  } catch {
    return problem('encoded binary auth was invalid or unsafe');
  }
  if (!(term instanceof Map)) return problem('not a map');
  const fields = term as ReadonlyMap<Term, Term>;
  const deviceId: Term | undefined = fields.get(DEVICE_ID_KEY);
  if (deviceId === undefined || deviceId === '') return problem('no device id');
  if (typeof deviceId !== 'string') return problem('device id is not a string');
  if (Buffer.byteLength(deviceId) > MAX_DEVICE_ID_BYTES) return problem('device id is too long');
  const token: Term | undefined = fields.get(TOKEN_KEY);
  return { ok: true, deviceId, ...(token !== undefined && { token }), credentials: credentialsIn(fields) };
}

/** Everything beside device id and token. Keys of other types say nothing to an application. */
function credentialsIn(fields: ReadonlyMap<Term, Term>): Record<string, Term> {
  const entries: [string, Term][] = [];
  for (const [key, value] of fields) {
    if (typeof key === 'string' && key !== DEVICE_ID_KEY && key !== TOKEN_KEY) entries.push([key, value]);
  }
  return Object.fromEntries(entries);
}

function problem(info: AuthHeaderProblem): AuthHeader {
  return { ok: false, info };
}

import { createHmac, createSecretKey, type KeyObject, timingSafeEqual } from 'node:crypto';
import {
  DEVICE_ID_KEY,
  encodeTerm,
  MAX_AUTH_HEADER_LENGTH,
  MAX_DEVICE_ID_BYTES,
  TOKEN_KEY,
} from '../wire/internal.js';
import { type Claims } from './device.js';

/** Distinguishes these tokens from other JWTs that the app signs with the same secret. */
const AUDIENCE = 'fedecks';

/** The overhead of an auth header besides device id and token, in bytes of its term. */
const HEADER_OVERHEAD = encodeTerm({ [DEVICE_ID_KEY]: '', [TOKEN_KEY]: '' }).length;

/** A payload with the longest possible numbers: until 2286, `exp` has ten digits, and a time in ms thirteen. */
const LONGEST_NUMBERS = payloadJson('""', 1_234_567_890_123, 1_234_567_890, 1_234_567_890_123, '{}').length;

/** The last second a `Date` can hold. */
const LAST_SECOND = 8.64e12;

/** The grant of a connection: generation and expiry. Its tokens inherit both, independent of clocks and races. */
export interface Grant {
  /** The last revocation of the device when the connection was authenticated; 0 for none. */
  readonly generation: number;
  /** The latest expiry of the tokens that the device presented or received, in milliseconds since 1970; 0 for none. */
  expiresAt: number;
}

/** The verified contents of a token. */
export interface TokenContent extends Readonly<Grant> {
  readonly deviceId: string;
  readonly claims: Claims | undefined;
}

interface Payload {
  readonly sub: string;
  readonly aud: string;
  /** Seconds since 1970, with a fraction. Nothing depends on it. */
  readonly iat: number;
  /** Seconds since 1970. */
  readonly exp: number;
  /** {@link Grant.generation}, where it is not 0. */
  readonly gen?: number;
  readonly claims?: Claims;
}

/** A secret, and the encoded header of all tokens that it signs: Base64url and a dot. */
interface Key {
  readonly header: string;
  readonly key: KeyObject;
}

/** Issues and verifies the tokens of devices: JWT, HS256 (RFC 7519), with `kid` to select the key. */
export class Tokens {
  private readonly signing: Key;
  /** Keys by token header: a token with another header is rejected without parsing. */
  private readonly keys = new Map<string, Key>();
  private latest = 0;

  /**
   * @param secrets the first signs, all verify.
   * @param expiryMs the lifetime of a token.
   * @param foreign verifies tokens of another server, for devices that migrate from it.
   */
  constructor(
    secrets: readonly string[],
    private readonly expiryMs: number,
    private readonly foreign?: { verify(token: string): TokenContent | undefined },
  ) {
    const [signing, ...others] = secrets.map(keyOf);
    if (!signing) throw new RangeError("'secrets' must contain at least one secret");
    this.signing = signing;
    for (const key of [signing, ...others]) this.keys.set(key.header, key);
  }

  /** The latest expiry of all tokens issued and verified so far, in milliseconds since 1970. */
  get latestExpiry(): number {
    return this.latest;
  }

  /**
   * Issues a token for a connection, and raises `grant.expiresAt` to its expiry. It never expires before the token it
   * replaces: a cloud with a slow clock must not shorten the device's access.
   */
  issue(deviceId: string, claims: Claims | undefined, grant: Grant, now = Date.now()): string {
    const expiresAt = Math.max(now + this.expiryMs, grant.expiresAt);
    const exp = Math.min(Math.ceil(expiresAt / 1000), LAST_SECOND);
    grant.expiresAt = exp * 1000;
    this.latest = Math.max(this.latest, grant.expiresAt);
    const { header, key } = this.signing;
    const json = payloadJson(
      JSON.stringify(deviceId),
      now,
      exp,
      grant.generation,
      claims && JSON.stringify(claims),
    );
    const signed = header + Buffer.from(json).toString('base64url');
    return `${signed}.${createHmac('sha256', key).update(signed).digest('base64url')}`;
  }

  /** The contents of a token, or undefined if it is foreign, was changed, or has expired. */
  verify(token: string, now = Date.now()): TokenContent | undefined {
    const content = this.verifyOwn(token, now) ?? this.foreign?.verify(token);
    if (content) this.latest = Math.max(this.latest, content.expiresAt);
    return content;
  }

  /**
   * Whether the token of a device fits into the auth header together with the device id, now and after a revocation.
   */
  canBePresented(deviceId: string, claims?: Claims): boolean {
    // Without claims it always fits: 125 bytes of id and a token make a header of some 700.
    if (!claims) return true;
    let json: string;
    try {
      json = JSON.stringify(claims);
    } catch {
      return false;
    }
    // A value that JSON cannot represent, despite its type.
    if (typeof json !== 'string') return false;
    const payload =
      LONGEST_NUMBERS + Buffer.byteLength(JSON.stringify(deviceId)) + Buffer.byteLength(json) - '""{}'.length;
    const token = this.signing.header.length + base64urlLength(payload) + 1 + base64urlLength(32);
    const header = HEADER_OVERHEAD + Buffer.byteLength(deviceId) + token;
    return Math.ceil(header / 3) * 4 <= MAX_AUTH_HEADER_LENGTH;
  }

  /** Verifies the signature before it parses anything. */
  private verifyOwn(token: string, now: number): TokenContent | undefined {
    if (token.length > MAX_AUTH_HEADER_LENGTH) return undefined;
    const payloadAt = token.indexOf('.') + 1;
    const key = this.keys.get(token.slice(0, payloadAt));
    const signatureAt = token.indexOf('.', payloadAt) + 1;
    if (!key || signatureAt === 0) return undefined;
    const expected = createHmac('sha256', key.key).update(token.slice(0, signatureAt - 1));
    // Compared as text, so that alternative encodings are rejected.
    const signature = Buffer.from(token.slice(signatureAt));
    const wanted = Buffer.from(expected.digest('base64url'));
    if (signature.length !== wanted.length || !timingSafeEqual(signature, wanted)) return undefined;
    const payload = parse(token.slice(payloadAt, signatureAt - 1));
    if (!isPayload(payload) || payload.exp * 1000 <= now) return undefined;
    const { sub, claims, gen = 0, exp } = payload;
    return { deviceId: sub, claims, generation: gen, expiresAt: exp * 1000 };
  }
}

function keyOf(secret: string): Key {
  const header = JSON.stringify({ alg: 'HS256', typ: 'JWT', kid: keyId(secret) });
  // A KeyObject, because Node would try to parse a string as PEM at each signature, at forty times the cost.
  return {
    header: `${Buffer.from(header).toString('base64url')}.`,
    key: createSecretKey(Buffer.from(secret)),
  };
}

/** A key id that does not reveal the secret, and is stable across nodes and restarts. */
function keyId(secret: string): string {
  return createHmac('sha256', secret).update('fedecks kid').digest('base64url').slice(0, 6);
}

/** @param sub and `claims` as JSON. */
function payloadJson(
  sub: string,
  issuedAtMs: number,
  exp: number,
  generation: number,
  claims: string | undefined,
): string {
  const gen = generation > 0 ? `,"gen":${generation}` : '';
  const more = claims === undefined ? '' : `,"claims":${claims}`;
  return `{"sub":${sub},"aud":"${AUDIENCE}","iat":${issuedAtMs / 1000},"exp":${exp}${gen}${more}}`;
}

function parse(part: string): unknown {
  try {
    return JSON.parse(Buffer.from(part, 'base64url').toString());
  } catch {
    return undefined;
  }
}

/** Checks every field, as the app may sign other JWTs with the same secret. */
function isPayload(value: unknown): value is Payload {
  if (typeof value !== 'object' || value === null) return false;
  const { sub, aud, iat, exp, gen } = value as Record<string, unknown>;
  return (
    aud === AUDIENCE &&
    typeof sub === 'string' &&
    sub !== '' &&
    Buffer.byteLength(sub) <= MAX_DEVICE_ID_BYTES &&
    isTime(iat) &&
    isTime(exp) &&
    (gen === undefined || (Number.isSafeInteger(gen) && (gen as number) >= 0))
  );
}

function isTime(seconds: unknown): boolean {
  return typeof seconds === 'number' && seconds >= 0 && seconds <= LAST_SECOND;
}

function base64urlLength(bytes: number): number {
  return Math.ceil((bytes * 4) / 3);
}

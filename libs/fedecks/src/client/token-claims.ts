/** A decoded, unverified JWT (RFC 7519): its raw header, and its claims. */
interface Jwt {
  readonly header: string;
  readonly claims: Readonly<Record<string, unknown>>;
}

/** A renewal is worth a write to the disk when it adds a twentieth of its lifetime: 34 hours of 28 days. */
const WORTH_STORING = 1 / 20;

/**
 * When a token expires, in milliseconds since 1970. To a device its token is opaque: undefined unless it happens to be a
 * JWT with a plausible `exp`.
 */
export function expiryOf(token: string): number | undefined {
  const exp = readJwt(token)?.claims['exp'];
  const expiresAtMs = typeof exp === 'number' ? exp * 1000 : NaN;
  return Number.isNaN(new Date(expiresAtMs).getTime()) ? undefined : expiresAtMs;
}

/**
 * Whether a token differs from the stored one only in its times, and extends them only slightly. A token with other
 * contents is
 * no renewal: another key, other claims, or another generation. Nor is an opaque token.
 */
export function isRenewal(stored: string, token: string): boolean {
  const [before, after] = [readJwt(stored), readJwt(token)];
  if (!before || !after || before.header !== after.header) return false;
  const { iat, exp, nbf: _, ...claims } = after.claims;
  const { iat: _iat, exp: storedExp, nbf: _nbf, ...storedClaims } = before.claims;
  if (typeof iat !== 'number' || typeof exp !== 'number' || typeof storedExp !== 'number') return false;
  if (JSON.stringify(claims) !== JSON.stringify(storedClaims)) return false;
  return exp >= storedExp && exp - storedExp < (exp - iat) * WORTH_STORING;
}

function readJwt(token: string): Jwt | undefined {
  const [header, payload, signature] = token.split('.');
  if (header === undefined || payload === undefined || signature === undefined) return undefined;
  try {
    const claims: unknown = JSON.parse(Buffer.from(payload, 'base64url').toString());
    return isObject(claims) ? { header, claims } : undefined;
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

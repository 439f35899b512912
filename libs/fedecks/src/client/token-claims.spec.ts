import { expiryOf, isRenewal } from './token-claims.js';

const jwt = (payload: unknown, header = 'e30'): string =>
  `${header}.${Buffer.from(typeof payload === 'string' ? payload : JSON.stringify(payload)).toString('base64url')}.s`;

describe('expiryOf', () => {
  it('reads the expiry of a JWT', () => {
    expect(expiryOf(jwt({ exp: 1_700_000_000 }))).toBe(1_700_000_000_000);
  });

  it.each([
    'opaque',
    'v1.4.local',
    'a.b',
    jwt('null'),
    jwt('{}'),
    jwt('{"exp":"soon"}'),
    jwt('{"exp":1e300}'),
    jwt('{'),
  ])('returns undefined for %j', (token) => {
    expect(expiryOf(token)).toBeUndefined();
  });
});

describe('isRenewal', () => {
  const LIFETIME_S = 28 * 86_400;
  const issued = (iat: number, more: object = {}): string =>
    jwt({ sub: 'nerves-242a', iat, exp: iat + LIFETIME_S, gen: 1, ...more });
  const stored = issued(1_000);

  it('is true for a token that differs only in its times, by less than a twentieth of its lifetime', () => {
    expect(isRenewal(stored, issued(1_000))).toBe(true);
    expect(isRenewal(stored, issued(1_000 + LIFETIME_S / 20 - 100))).toBe(true);
    expect(isRenewal(stored, issued(1_000 + LIFETIME_S / 20 + 100))).toBe(false);
  });

  it.each([
    ['expires earlier', issued(900)],
    ['was issued after a revocation', issued(1_010, { gen: 2 })],
    ['has other claims', issued(1_010, { claims: { site: 'b' } })],
    ['has an id of its own', issued(1_010, { jti: '1' })],
    ['is signed with another key', `other${issued(1_010)}`],
    ['has no expiry', issued(1_010, { exp: undefined })],
    ['has no time of issue', issued(1_010, { iat: undefined })],
    ['is opaque', 'T2'],
  ])('is false for a token that %s', (_what, token) => {
    expect(isRenewal(stored, token)).toBe(false);
  });

  it('is false for opaque tokens', () => {
    expect(isRenewal('T1', 'T1')).toBe(false);
  });
});

import { createHmac } from 'node:crypto';
import { JwtService } from '@nestjs/jwt';
import { DEVICE_ID_KEY, encodeAuthHeader, TOKEN_KEY } from '../wire/internal.js';
import { type Claims } from './device.js';
import { type Grant, Tokens } from './token.js';

const HOUR = 3600 * 1000;
const [a, b, c] = ['a'.repeat(32), 'b'.repeat(32), 'c'.repeat(32)];

/** The grant of a device that has logged in and was never revoked. */
const login = (): Grant => ({ generation: 0, expiresAt: 0 });

/** A JWT made by hand. */
function jwt(secret: string, header: object, payload: object | string): string {
  const encode = (value: object | string): string =>
    Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');
  const signed = `${encode(header)}.${encode(payload)}`;
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
}

function parts(token: string): [Record<string, unknown>, Record<string, unknown>] {
  const [header, payload] = token
    .split('.', 2)
    .map((part) => JSON.parse(Buffer.from(part, 'base64url').toString()) as never);
  return [header!, payload!];
}

/** Encodes the header to check whether device id and token fit. */
function fitsTheHeader(deviceId: string, token: string): boolean {
  try {
    encodeAuthHeader({ [DEVICE_ID_KEY]: deviceId, [TOKEN_KEY]: token });
    return true;
  } catch {
    return false;
  }
}

describe('Tokens', () => {
  it('issues a token with device id and claims', () => {
    const tokens = new Tokens([a], HOUR);
    const now = Date.now();
    const grant = { generation: 7, expiresAt: 0 };
    expect(tokens.verify(tokens.issue('nerves-242a', { site: 'north' }, grant, now))).toEqual({
      deviceId: 'nerves-242a',
      claims: { site: 'north' },
      generation: 7,
      expiresAt: Math.ceil((now + HOUR) / 1000) * 1000,
    });
    expect(tokens.verify(tokens.issue('nerves-242a', undefined, login()))?.claims).toBeUndefined();
  });

  it.each([0, 1, 1_800_000_000_000])('carries the generation %i', (generation) => {
    const tokens = new Tokens([a], HOUR);
    expect(tokens.verify(tokens.issue('d', undefined, { generation, expiresAt: 0 }))).toMatchObject({
      generation,
    });
  });

  it('issues no token that ends after the last time there is', () => {
    const tokens = new Tokens([a], 8.64e15);
    const grant = login();
    expect(tokens.verify(tokens.issue('d', undefined, grant))?.expiresAt).toBe(8.64e15);
    expect(grant.expiresAt).toBe(8.64e15);
  });

  it('takes device ids of 125 bytes of UTF-8, and none that are longer', () => {
    const tokens = new Tokens([a], HOUR);
    const verified = (deviceId: string): string | undefined =>
      tokens.verify(tokens.issue(deviceId, undefined, login()))?.deviceId;
    expect(verified(`d${'é'.repeat(62)}`)).toBe(`d${'é'.repeat(62)}`);
    expect(verified('é'.repeat(63))).toBeUndefined();
  });

  it('refuses a token that no header holds, though its signature is good', () => {
    const tokens = new Tokens([a], HOUR);
    expect(tokens.verify(tokens.issue('d', { note: 'x'.repeat(500) }, login()))).toBeDefined();
    expect(tokens.verify(tokens.issue('d', { note: 'x'.repeat(1_000) }, login()))).toBeUndefined();
  });

  it('asks about tokens of another server only where it does not know them', () => {
    const asked: string[] = [];
    const theirs = { deviceId: 'd', claims: undefined, generation: 0, expiresAt: 8.64e15 };
    const verify = (token: string) => {
      asked.push(token);
      return token === 'theirs' ? theirs : undefined;
    };
    const tokens = new Tokens([a], HOUR, { verify });
    expect(tokens.verify(tokens.issue('d', undefined, login()))).toBeDefined();
    expect(asked).toEqual([]);
    expect(tokens.verify('theirs')).toBe(theirs);
    expect(tokens.latestExpiry).toBe(8.64e15);
    expect(tokens.verify('of nobody')).toBeUndefined();
  });

  it('refuses a token from the second on in which it expires', () => {
    const tokens = new Tokens([a], HOUR);
    const now = 1_800_000_000_000;
    const token = tokens.issue('d', undefined, login(), now);
    expect(tokens.verify(token, now + HOUR - 1)).toBeDefined();
    expect(tokens.verify(token, now + HOUR)).toBeUndefined();
  });

  it('never issues a token that expires before the presented or the previous one, and records the latest expiry', () => {
    const tokens = new Tokens([a], HOUR);
    const now = Date.now();
    const expiryOf = (token: string): unknown => parts(token)[1]['exp'];
    const grant = { generation: 0, expiresAt: now + HOUR / 2 };
    const first = expiryOf(tokens.issue('d', undefined, grant, now));
    expect(first).toBe(Math.ceil((now + HOUR) / 1000));
    expect(expiryOf(tokens.issue('d', undefined, grant, now - 40 * 24 * HOUR))).toBe(first);
    expect(expiryOf(tokens.issue('d', undefined, grant, now + HOUR))).toBe((first as number) + 3600);
    expect(tokens.latestExpiry).toBe(((first as number) + 3600) * 1000);
    const far = tokens.issue('d', undefined, { generation: 0, expiresAt: now + 99 * HOUR });
    const other = new Tokens([a], HOUR);
    expect(other.verify(far)?.expiresAt).toBe(other.latestExpiry);
    expect(other.latestExpiry).toBeGreaterThanOrEqual(now + 99 * HOUR);
  });

  it('signs with the first secret and verifies with all: rotation keeps devices logged in', () => {
    const old = new Tokens([a], HOUR).issue('d', undefined, login());
    const middle = new Tokens([b, a], HOUR).issue('d', undefined, login());
    const all = new Tokens([c, b, a], HOUR);
    for (const token of [old, middle, all.issue('d', undefined, login())])
      expect(all.verify(token)?.deviceId).toBe('d');
    expect(new Tokens([c, b], HOUR).verify(old)).toBeUndefined();
    expect(new Tokens([c], HOUR).verify(middle)).toBeUndefined();
  });

  it('interoperates with another JWT implementation in both directions', () => {
    const tokens = new Tokens([a], HOUR);
    const claims = { site: 'nörd', deep: { list: [1, null, '"\\'] } };
    const ours = tokens.issue('lamp "1" ✓', claims, { generation: 5, expiresAt: 0 });
    const other = new JwtService({ secret: a });
    const options = { algorithms: ['HS256' as const], audience: 'fedecks' };
    expect(other.verify(ours, options)).toMatchObject({ sub: 'lamp "1" ✓', gen: 5, claims });
    const keyid = parts(ours)[0]['kid'] as string;
    const theirs = other.sign(
      { claims },
      { keyid, algorithm: 'HS256', audience: 'fedecks', subject: 'lamp', expiresIn: 60 },
    );
    expect(tokens.verify(theirs)).toMatchObject({ deviceId: 'lamp', claims, generation: 0 });
  });

  it('verifies a token of the previous release, which has no generation', () => {
    const [header] = parts(new Tokens([a], HOUR).issue('d', undefined, login()));
    const exp = Math.ceil(Date.now() / 1000) + 60;
    const payload = { sub: 'd', aud: 'fedecks', iat: 1_700_000_000.123, exp, claims: { site: 'north' } };
    expect(new Tokens([a], HOUR).verify(jwt(a, header, payload))).toEqual({
      deviceId: 'd',
      claims: { site: 'north' },
      generation: 0,
      expiresAt: exp * 1000,
    });
  });

  it('accepts only HS256 with its own audience, whatever the header says', () => {
    const tokens = new Tokens([a], HOUR);
    const token = tokens.issue('d', undefined, login());
    const [header, payload] = parts(token);
    expect(tokens.verify(jwt(a, header, payload))?.deviceId).toBe('d');
    expect(tokens.verify(jwt(a, { ...header, alg: 'none' }, payload))).toBeUndefined();
    expect(tokens.verify(jwt(a, { ...header, alg: 'HS512' }, payload))).toBeUndefined();
    expect(tokens.verify(jwt(a, { ...header, kid: undefined }, payload))).toBeUndefined();
    expect(tokens.verify(jwt(a, header, { ...payload, aud: 'the-app-itself' }))).toBeUndefined();
    expect(tokens.verify(jwt(a, header, { ...payload, aud: ['fedecks'] }))).toBeUndefined();
    expect(tokens.verify(jwt(b, header, payload))).toBeUndefined();
  });

  it('rejects every other encoding of a token', () => {
    const tokens = new Tokens([a], HOUR);
    const token = tokens.issue('d', undefined, login());
    for (let at = 0; at < token.length; at++) {
      for (const other of ['A', 'B', '.', '=', ' ', 'é']) {
        if (token[at] === other) continue;
        expect(tokens.verify(token.slice(0, at) + other + token.slice(at + 1))).toBeUndefined();
        expect(tokens.verify(token.slice(0, at) + other + token.slice(at))).toBeUndefined();
      }
      expect(tokens.verify(token.slice(0, at))).toBeUndefined();
    }
    for (const more of ['=', '.', 'A', ' ', '\n', '.A']) expect(tokens.verify(token + more)).toBeUndefined();
  });

  it.each(['', '.', '..', 'a.b.c', '{}', 'eyJhbGciOiJIUzI1NiJ9..', 'x'.repeat(900), '.'.repeat(1_000_000)])(
    'rejects %.20s',
    (token) => {
      expect(new Tokens([a], HOUR).verify(token)).toBeUndefined();
    },
  );

  it.each<[string, string]>([
    ['no JSON', '{"sub":'],
    ['null', 'null'],
    ['a list', '["d"]'],
    ['nested as deep as a token can be', '['.repeat(600)],
    ['members of its prototype', '{"__proto__":{"sub":"d","aud":"fedecks","iat":1,"exp":9999999999}}'],
    ['no device id', '{"aud":"fedecks","iat":1,"exp":9999999999}'],
    ['an empty device id', '{"sub":"","aud":"fedecks","iat":1,"exp":9999999999}'],
    ['a device id that is too long', `{"sub":"${'d'.repeat(126)}","aud":"fedecks","iat":1,"exp":9999999999}`],
    ['a device id that is no string', '{"sub":["d"],"aud":"fedecks","iat":1,"exp":9999999999}'],
    ['no expiry', '{"sub":"d","aud":"fedecks","iat":1}'],
    ['an infinite expiry', '{"sub":"d","aud":"fedecks","iat":1,"exp":1e999}'],
    ['an expiry that no Date holds', '{"sub":"d","aud":"fedecks","iat":1,"exp":8640000000001}'],
    ['an expiry as text', '{"sub":"d","aud":"fedecks","iat":1,"exp":"9999999999"}'],
    ['a negative time of issue', '{"sub":"d","aud":"fedecks","iat":-1,"exp":9999999999}'],
    ['no time of issue', '{"sub":"d","aud":"fedecks","iat":null,"exp":9999999999}'],
    ['a negative generation', '{"sub":"d","aud":"fedecks","iat":1,"exp":9999999999,"gen":-1}'],
    ['a generation with a fraction', '{"sub":"d","aud":"fedecks","iat":1,"exp":9999999999,"gen":1.5}'],
    ['a huge generation', '{"sub":"d","aud":"fedecks","iat":1,"exp":9999999999,"gen":1e300}'],
  ])('rejects a token that the app signed with the same secret and that has %s', (_, payload) => {
    const tokens = new Tokens([a], HOUR);
    const [header] = parts(tokens.issue('d', undefined, login()));
    const good = '{"sub":"d","aud":"fedecks","iat":1,"exp":9999999999,"gen":1}';
    expect(tokens.verify(jwt(a, header, good))?.deviceId).toBe('d');
    expect(tokens.verify(jwt(a, header, payload))).toBeUndefined();
  });

  it('treats a claim called __proto__ as data', () => {
    const tokens = new Tokens([a], HOUR);
    const claims = JSON.parse('{"__proto__":{"admin":true}}') as Claims;
    const read = tokens.verify(tokens.issue('d', claims, login()))?.claims;
    expect(JSON.stringify(read)).toBe('{"__proto__":{"admin":true}}');
    expect(({} as Record<string, unknown>)['admin']).toBeUndefined();
  });

  it('computes whether a device can present its longest token, without issuing one (§1.2)', () => {
    const tokens = new Tokens([a], HOUR);
    // All numbers have their maximum length.
    const longest = { generation: 1_799_999_999_999, expiresAt: 0 };
    for (const deviceId of ['d', 'dé"\n', 'd'.repeat(125)]) {
      for (let length = 0; length < 500; length++) {
        const claims = { note: 'é'.repeat(length % 7) + 'x'.repeat(length) };
        const token = tokens.issue(deviceId, claims, { ...longest }, 1_799_999_999_123);
        expect([length, tokens.canBePresented(deviceId, claims)]).toEqual([
          length,
          fitsTheHeader(deviceId, token),
        ]);
      }
    }
    expect(tokens.canBePresented('d'.repeat(125))).toBe(true);
  });

  it('reports that claims that do not serialize to JSON cannot be presented', () => {
    const tokens = new Tokens([a], HOUR);
    const cyclic: Record<string, unknown> = {};
    cyclic['self'] = cyclic;
    for (const claims of [cyclic, { big: 1n }, () => undefined])
      expect(tokens.canBePresented('d', claims as unknown as Claims)).toBe(false);
  });

  it('does not reveal the secret in its key id', () => {
    const [header] = parts(new Tokens([a], HOUR).issue('d', undefined, login()));
    expect(String(header['kid'])).toMatch(/^[\w-]{6}$/);
    expect(a).not.toContain(String(header['kid']));
  });
});

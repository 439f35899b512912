import { jest } from '@jest/globals';
import { createHmac } from 'node:crypto';
import { DEVICE_ID_KEY, encodeAuthHeader, TOKEN_KEY } from '../wire/index.js';
import { Tokens } from './token.js';

const HOUR = 3600 * 1000;
const [a, b, c] = ['a'.repeat(32), 'b'.repeat(32), 'c'.repeat(32)];

/** A JWT made by hand. */
function jwt(secret: string, header: object, payload: object): string {
  const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const signed = `${encode(header)}.${encode(payload)}`;
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
}

function parts(token: string): [Record<string, unknown>, Record<string, unknown>] {
  const [header, payload] = token
    .split('.', 2)
    .map((part) => JSON.parse(Buffer.from(part, 'base64url').toString()) as never);
  return [header!, payload!];
}

describe('Tokens', () => {
  it('issues a token that says which device it is of, with its claims', () => {
    const tokens = new Tokens([a], HOUR);
    const now = Date.now();
    expect(tokens.verify(tokens.issue('nerves-242a', { site: 'north' }, now))).toEqual({
      deviceId: 'nerves-242a',
      claims: { site: 'north' },
      issuedAt: expect.closeTo(now, 0) as number,
    });
    expect(tokens.verify(tokens.issue('nerves-242a'))?.claims).toBeUndefined();
  });

  it('refuses a token that has expired', () => {
    const tokens = new Tokens([a], HOUR);
    expect(tokens.verify(tokens.issue('d', undefined, Date.now() - HOUR - 2000))).toBeUndefined();
    expect(tokens.verify(tokens.issue('d', undefined, Date.now() - HOUR + 5000))).toBeDefined();
  });

  it('signs with the first secret and verifies with all: a rotation keeps devices logged in', () => {
    const old = new Tokens([a], HOUR).issue('d');
    const middle = new Tokens([b, a], HOUR).issue('d');
    const all = new Tokens([c, b, a], HOUR);
    for (const token of [old, middle, all.issue('d')]) expect(all.verify(token)?.deviceId).toBe('d');
    expect(new Tokens([c, b], HOUR).verify(old)).toBeUndefined();
    expect(new Tokens([c], HOUR).verify(middle)).toBeUndefined();
  });

  it('accepts nothing but HS256 with its own audience, whatever the header says', () => {
    const tokens = new Tokens([a], HOUR);
    const [header, payload] = parts(tokens.issue('d'));
    expect(tokens.verify(jwt(a, header, payload))?.deviceId).toBe('d');
    expect(tokens.verify(jwt(a, { ...header, alg: 'none' }, payload))).toBeUndefined();
    expect(tokens.verify(jwt(a, { ...header, alg: 'HS512' }, payload))).toBeUndefined();
    expect(tokens.verify(jwt(a, { ...header, kid: undefined }, payload))).toBeUndefined();
    expect(tokens.verify(jwt(a, header, { ...payload, aud: 'the-app-itself' }))).toBeUndefined();
    expect(tokens.verify(jwt(b, header, payload))).toBeUndefined();
  });

  it.each(['', '.', 'a.b.c', '{}', 'eyJhbGciOiJIUzI1NiJ9..', 'x'.repeat(900)])('refuses %p', (token) => {
    expect(new Tokens([a], HOUR).verify(token)).toBeUndefined();
  });

  it('fits a device at any time, or never: whatever the digits of the clock (§1.2)', () => {
    jest.useFakeTimers();
    try {
      const tokens = new Tokens([a], HOUR);
      const second = Date.UTC(2026, 10, 24);
      const verdicts = [0, 100, 120, 123].map((ms) => {
        jest.setSystemTime(second + ms);
        return Array.from({ length: 800 }, (_, length) => tokens.fits('d', { note: 'x'.repeat(length) }));
      });
      for (const each of verdicts) expect(each).toEqual(verdicts[0]);
      const longest = { note: 'x'.repeat(verdicts[0]!.lastIndexOf(true)) };
      const token = tokens.issue('d', longest, second + 123);
      expect(encodeAuthHeader({ [DEVICE_ID_KEY]: 'd', [TOKEN_KEY]: token }).length).toBeGreaterThan(1_010);
    } finally {
      jest.useRealTimers();
    }
  });

  it('does not tell anything of the secret in its key id', () => {
    const [header] = parts(new Tokens([a], HOUR).issue('d'));
    expect(String(header['kid'])).toMatch(/^[\w-]{6}$/);
    expect(a).not.toContain(String(header['kid']));
  });
});

import { readFileSync } from 'node:fs';
import { PhoenixTokens } from './phoenix-token.js';

interface Vector {
  readonly token: string;
  readonly secret: string;
  readonly salt: string;
  /** In seconds. */
  readonly max_age: number;
  readonly plug_crypto: string;
  /** What the Elixir server reads from it, as Elixir prints it. */
  readonly identifier: string;
}

const vectors = JSON.parse(
  readFileSync(new URL('../../test/vectors/phoenix-tokens.json', import.meta.url), 'utf8'),
) as Vector[];
const strings = vectors.filter(({ identifier }) => identifier.startsWith('"'));
const others = vectors.filter(({ identifier }) => !identifier.startsWith('"'));
const named = (some: Vector[]): [string, string, Vector][] =>
  some.map((vector) => [vector.plug_crypto, vector.identifier, vector]);

describe('PhoenixTokens', () => {
  it('has vectors of both formats, with strings and with other terms', () => {
    for (const some of [strings, others]) {
      expect(new Set(some.map(({ token }) => token.split('.')[0]))).toEqual(new Set(['QTEyOEdDTQ', 'XCP']));
    }
  });

  it.each(named(strings))('reads the token of plug_crypto %s for %s', (_version, identifier, vector) => {
    const content = new PhoenixTokens(vector, Infinity).verify(vector.token);
    expect(content).toMatchObject({ deviceId: JSON.parse(identifier) as string, claims: undefined });
    expect(content?.generation).toBe(0);
    expect(content?.expiresAt).toBeGreaterThan(Date.parse('2020-01-01'));
  });

  it.each(named(others))(
    'refuses the token of plug_crypto %s for %s, which is no string',
    (_v, _i, vector) => {
      expect(new PhoenixTokens(vector, Infinity).verify(vector.token)).toBeUndefined();
    },
  );

  it.each(named(strings))(
    'lets the token of plug_crypto %s for %s expire',
    (_version, _identifier, vector) => {
      const tokens = new PhoenixTokens(vector, Infinity);
      const { expiresAt } = tokens.verify(vector.token)!;
      expect(tokens.verify(vector.token, expiresAt)).toBeDefined();
      expect(tokens.verify(vector.token, expiresAt + 1)).toBeUndefined();
    },
  );

  it.each(named(strings))(
    'refuses the token of plug_crypto %s for %s with one character changed',
    (_v, _i, vector) => {
      const tokens = new PhoenixTokens(vector, Infinity);
      for (let at = 0; at < vector.token.length; at++) {
        const other = vector.token[at] === 'A' ? 'B' : 'A';
        const changed = vector.token.slice(0, at) + other + vector.token.slice(at + 1);
        expect(tokens.verify(changed)).toBeUndefined();
      }
    },
  );

  it.each(named(strings))(
    'refuses the token of plug_crypto %s for %s with a part missing, cut or repeated',
    (_v, _i, vector) => {
      const tokens = new PhoenixTokens(vector, Infinity);
      const parts = vector.token.split('.');
      for (let part = 0; part < parts.length; part++) {
        const [before, it, after] = [parts.slice(0, part), parts[part]!, parts.slice(part + 1)];
        for (const put of [[], [''], [it.slice(0, -4)], [it, it]]) {
          expect(tokens.verify([...before, ...put, ...after].join('.'))).toBeUndefined();
        }
      }
    },
  );

  it('refuses what was made with another secret or salt', () => {
    for (const { token, secret, salt } of strings) {
      expect(new PhoenixTokens({ secret: `${secret}x`, salt }, Infinity).verify(token)).toBeUndefined();
      expect(new PhoenixTokens({ secret, salt: `${salt}x` }, Infinity).verify(token)).toBeUndefined();
    }
  });

  it.each([
    '',
    '.',
    'XCP',
    'XCP.',
    'XCP.AAAA',
    'QTEyOEdDTQ....',
    'QTEyOEdDTQ.A.A.A.A',
    'QTI1NkdDTQ.a.b.c.d',
    'x'.repeat(900),
  ])('refuses %p', (token) => {
    expect(new PhoenixTokens(vectors[0]!, Infinity).verify(token)).toBeUndefined();
  });
});

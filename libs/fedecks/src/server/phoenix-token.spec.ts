import { readFileSync } from 'node:fs';
import { openXChaCha, PhoenixTokens } from './phoenix-token.js';

interface Vector {
  readonly token: string;
  readonly secret: string;
  readonly salt: string;
  /** In seconds. */
  readonly max_age: number;
  readonly plug_crypto: string;
  /** The term that the Elixir server decodes, as Elixir prints it. */
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
  it('has vectors of both formats, with strings and other terms', () => {
    for (const some of [strings, others]) {
      expect(new Set(some.map(({ token }) => token.split('.')[0]))).toEqual(new Set(['QTEyOEdDTQ', 'XCP']));
    }
  });

  it.each(named(strings))('accepts the token of plug_crypto %s for %s', (_version, identifier, vector) => {
    const content = new PhoenixTokens(vector, Infinity).verify(vector.token);
    expect(content).toMatchObject({ deviceId: JSON.parse(identifier) as string, claims: undefined });
    expect(content?.generation).toBe(0);
    expect(content?.expiresAt).toBeGreaterThan(Date.parse('2020-01-01'));
  });

  it.each(named(others))(
    'rejects the token of plug_crypto %s for %s, which is not a string',
    (_v, _i, vector) => {
      expect(new PhoenixTokens(vector, Infinity).verify(vector.token)).toBeUndefined();
    },
  );

  it.each(named(strings))('expires the token of plug_crypto %s for %s', (_version, _identifier, vector) => {
    const tokens = new PhoenixTokens(vector, Infinity);
    const { expiresAt } = tokens.verify(vector.token)!;
    expect(tokens.verify(vector.token, expiresAt)).toBeDefined();
    expect(tokens.verify(vector.token, expiresAt + 1)).toBeUndefined();
  });

  it.each(named(strings))(
    'rejects the token of plug_crypto %s for %s with one character changed',
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
    'rejects the token of plug_crypto %s for %s with a part missing, truncated or repeated',
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

  it('rejects a token with another secret or salt', () => {
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
  ])('rejects %p', (token) => {
    expect(new PhoenixTokens(vectors[0]!, Infinity).verify(token)).toBeUndefined();
  });
});

describe('openXChaCha', () => {
  const bytes = (hex: string): Buffer => Buffer.from(hex, 'hex');

  // draft-irtf-cfrg-xchacha-03, appendix A.3.1.
  const key = bytes('808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f');
  const nonce = bytes('404142434445464748494a4b4c4d4e4f5051525354555657');
  const aad = bytes('50515253c0c1c2c3c4c5c6c7');
  const tag = bytes('c0875924c1c7987947deafd8780acf49');
  const text = bytes(
    'bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb731c7f1b0b4aa6440bf3a82f4eda7e39' +
      'ae64c6708c54c216cb96b72e1213b4522f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9' +
      '21f9664c97637da9768812f615c68b13b52e',
  );

  it('decrypts the example of the draft', () => {
    expect(openXChaCha(key, nonce, aad, text, tag).toString()).toBe(
      "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, " +
        'sunscreen would be it.',
    );
  });

  it.each<[string, Buffer[]]>([
    ['key', [bytes('00'.repeat(32)), nonce, aad, text, tag]],
    ['nonce', [key, Buffer.concat([nonce.subarray(0, 23), bytes('00')]), aad, text, tag]],
    ['additional data', [key, nonce, Buffer.alloc(0), text, tag]],
    ['text', [key, nonce, aad, text.subarray(1), tag]],
    ['length of tag', [key, nonce, aad, text, tag.subarray(0, 12)]],
    ['length of nonce', [key, nonce.subarray(1), aad, text, tag]],
  ])('throws for a wrong %s', (_, [key, nonce, aad, text, tag]) => {
    expect(() => openXChaCha(key!, nonce!, aad!, text!, tag!)).toThrow();
  });
});

import { atom, BitString, decodeTerm, float, ImproperList, type Term, tuple } from '@fedecks/nest/wire';
import { type Json, toJson } from './term-json.js';

describe('toJson', () => {
  it.each<[string, Term, Json]>([
    ['nil', null, null],
    ['text', 'hé', 'hé'],
    ['numbers', [1, 2.5, -0.25], [1, 2.5, -0.25]],
    ['an integer too large for JSON', 2n ** 64n, '18446744073709551616'],
    ['an atom', atom('ok'), 'ok'],
    ['a tuple', tuple('hello', tuple('matey')), ['hello', ['matey']]],
    ['bytes', Uint8Array.of(1, 2, 3), { bytes: 'AQID' }],
    ['a date', new Date(0), '1970-01-01T00:00:00.000Z'],
    ['a whole float', float(1), 1],
    ['a bit string', new BitString(Uint8Array.of(160), 3), { bytes: 'oA==', bits: 3 }],
    ['an improper list', new ImproperList([1], atom('x')), { elements: [1], tail: 'x' }],
    ['a map of strings', { a: { b: Uint8Array.of() } }, { a: { b: { bytes: '' } } }],
    ['a map with a field called bytes', { bytes: [1] }, { bytes: [1] }],
    ['a map of other keys', new Map<Term, Term>([[1, atom('one')]]), [[1, 'one']]],
    ['undefined', { gone: undefined }, { gone: null }],
  ])('shows %s', (_what, term, json) => {
    expect(toJson(term)).toEqual(json);
    expect(JSON.parse(JSON.stringify(toJson(term)))).toEqual(json);
  });

  it('shows a process id by its bytes', () => {
    const pid = Buffer.from('8358770161000000010000000200000003', 'hex');
    expect(toJson(decodeTerm(pid))).toEqual({ bytes: pid.subarray(1).toString('base64') });
  });

  it('keeps a key __proto__ as data', () => {
    const json = toJson(JSON.parse('{"__proto__":{"admin":true}}') as Term);
    expect(JSON.stringify(json)).toBe('{"__proto__":{"admin":true}}');
  });

  it.each<[string, Term, string]>([
    ['in decimal below 128 bits', 2n ** 128n - 1n, '340282366920938463463374607431768211455'],
    ['in hexadecimal from 128 bits on', 2n ** 128n, `0x1${'0'.repeat(32)}`],
    ['in hexadecimal with their sign', -(2n ** 128n) - 10n, `-0x1${'0'.repeat(31)}a`],
  ])('shows integers %s', (_what, term, json) => {
    expect(toJson(term)).toBe(json);
  });

  it.each<[string, Term, Json]>([
    ['text', 'abcdefghijkl', 'abcdefghi...'],
    ['an atom', atom('abcdefghijkl'), 'abcdefghi...'],
    ['a large integer', 2n ** 256n, '0x1000000...'],
    ['bytes', new Uint8Array(20), { bytes: 'AAAAAAAAAAAA...' }],
    ['a list', Array<Term>(20).fill(1), [1, 1, 1, 1, 1, 1, 1, 1, 1, '...']],
    ['a map', { abcd: 1, efgh: 2, ij: 3 }, { abcd: 1, efgh: 2, '...': '...' }],
    [
      'a map of other keys',
      new Map<Term, Term>([
        [1, 2],
        [3, 4],
        [5, 6],
        [7, 8],
      ]),
      [[1, 2], [3, 4], [5, 6], '...'],
    ],
    ['a list in a list', [[[Array<Term>(20).fill(1)]], 2], [[[[1, 1, 1, 1, 1, 1, '...']]], '...']],
    [
      'an improper list',
      new ImproperList(Array<Term>(20).fill(1), 2),
      { elements: [...Array<Json>(9).fill(1), '...'], tail: '...' },
    ],
  ])('truncates %s to the available length', (_what, term, json) => {
    expect(toJson(term, 10)).toEqual(json);
  });

  it('reads only as many list elements as the length allows', () => {
    let looks = 0;
    const list = new Proxy(Array<Term>(100_000).fill(1), {
      get(target, key, receiver) {
        if (typeof key === 'string' && /^\d+$/.test(key)) looks++;
        return Reflect.get(target, key, receiver) as unknown;
      },
    });
    toJson(list, 100);
    expect(looks).toBeLessThan(110);
  });

  it('takes linear time for a long integer', () => {
    const large = (1n << 2_000_000n) - 1n;
    const begun = performance.now();
    for (let times = 0; times < 10; times++) toJson(large);
    // As decimal text this would take several seconds each.
    expect(performance.now() - begun).toBeLessThan(2_000);
  });
});

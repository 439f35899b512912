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
    ['what is not there', { gone: undefined }, { gone: null }],
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
});

import { atom, float, type Term, tuple } from '@fedecks/nest/wire';
import { TaggedJsonError, termOf } from './tagged-json.js';
import { type Json } from './term-json.js';

describe('termOf', () => {
  it.each<[string, Json, Term]>([
    ['plain JSON', { a: [1, 'x', null, true] }, { a: [1, 'x', null, true] }],
    ['an atom', { $atom: 'ok' }, atom('ok')],
    ['a tuple in a list', [{ $tuple: ['hello', { $atom: 'x' }] }], [tuple('hello', atom('x'))]],
    ['bytes', { $bytes: 'AQID' }, Buffer.from([1, 2, 3])],
    ['a large integer', { $integer: '-18446744073709551616' }, -(2n ** 64n)],
    ['a whole float', { $float: 2 }, float(2)],
    ['a date', { $date: '2026-01-31T12:00:00Z' }, new Date('2026-01-31T12:00:00Z')],
    ['a map of other keys', { $map: [[1, { $atom: 'one' }]] }, new Map([[1, atom('one')]])],
    ['a map with a field that is a tag', { $map: [['$atom', 'x']] }, new Map([['$atom', 'x']])],
    ['two fields, of which one is a tag', { $atom: 'x', b: 1 }, { $atom: 'x', b: 1 }],
    ['a field that objects inherit', { constructor: 'x' }, { constructor: 'x' }],
  ])('reads %s', (_what, json, term) => {
    expect(termOf(json)).toEqual(term);
  });

  it.each<[string, Json]>([
    ['an atom that is no text', { $atom: 1 }],
    ['a tuple that is no array', { $tuple: 'x' }],
    ['bytes that are not Base64', { $bytes: 'AQI' }],
    ['an integer with a point', { $integer: '1.5' }],
    ['an integer of 1,001 digits', { $integer: '9'.repeat(1_001) }],
    ['a float that is no number', { $float: '1' }],
    ['a date without time', { $date: '2026' }],
    ['a map of single values', { $map: [[1]] }],
    ['what is nested too deeply', JSON.parse(`${'['.repeat(200)}${']'.repeat(200)}`) as Json],
  ])('refuses %s', (_what, json) => {
    expect(() => termOf(json)).toThrow(TaggedJsonError);
  });

  it('keeps a key __proto__ as data', () => {
    const term = termOf(JSON.parse('{"__proto__":{"admin":true}}') as Json);
    expect(Object.keys(term as object)).toEqual(['__proto__']);
    expect((term as { admin?: unknown }).admin).toBeUndefined();
  });
});

import { readFileSync } from 'node:fs';
import { decodeTerm, encodeTerm, float, tuple } from '../wire/internal.js';
import { fromJson, type Json, toJson } from './term-json.js';

/** Bytes that Erlang wrote, by the name of the term: see vectors/README.md. */
const vectors = new Map(
  (
    JSON.parse(readFileSync(new URL('../../test/vectors/accepted.json', import.meta.url), 'utf8')) as {
      name: string;
      etf_hex: string;
      etf_minor2_hex?: string;
    }[]
  ).map((vector) => [vector.name, vector]),
);

/** Erlang terms in the notation, written by hand. */
const NOTATION: readonly (readonly [string, string])[] = [
  ['int 255', '255'],
  ['int -2^31', '-2147483648'],
  ['int 2^53+1', '{"$integer":"9007199254740993"}'],
  ['int -2^64', '{"$integer":"-18446744073709551616"}'],
  ['float 0.1', '0.1'],
  ['float -0.0', '{"$float":"-0"}'],
  ['atom nil', 'null'],
  ['atom false', 'false'],
  ['atom :ok', '{"$atom":"ok"}'],
  ['atom utf8 mixed', '{"$atom":"naïve 日本"}'],
  ['binary hello matey', '"hello matey"'],
  ['bitstring 19 bits', '{"$bits":["AQKg",3]}'],
  ['list empty', '[]'],
  ['list strings', '["a","b"]'],
  ['list [256]', '[256]'],
  ['improper [1, 2 | 3]', '{"$improper":[1,2,3]}'],
  ['improper [1 | "tail"]', '{"$improper":[1,"tail"]}'],
  ['keyword list', '[{"$tuple":[{"$atom":"a"},1]},{"$tuple":[{"$atom":"b"},"two"]}]'],
  ['tuple empty', '{"$tuple":[]}'],
  ['map empty', '{}'],
  ['map token auth', '{"fedecks-device-id":"device-123","fedecks-token":"QTEyOEdDTQ.a.b.c.d"}'],
  ['map integer keys', '{"$map":[[-5,"minus"],[1,"one"],[2,"two"]]}'],
  ['map 1 and 1.0 keys', '{"$map":[[1,{"$atom":"int"}],[{"$float":1},{"$atom":"float"}]]}'],
  ['map atom and string of one name', '{"$map":[[{"$atom":"a"},1],["a",2]]}'],
];

describe('the notation of terms in JSON', () => {
  it.each(NOTATION)('prints a term of Erlang: %s', (name, json) => {
    const { etf_hex } = vectors.get(name)!;
    expect(JSON.stringify(toJson(decodeTerm(Buffer.from(etf_hex, 'hex'))))).toBe(json);
  });

  it.each(NOTATION)('parses a term of Erlang: %s', (name, json) => {
    const { etf_hex, etf_minor2_hex } = vectors.get(name)!;
    const bytes = encodeTerm(fromJson(JSON.parse(json) as Json)).toString('hex');
    expect([etf_hex, etf_minor2_hex]).toContain(bytes);
  });

  it('prints bytes, and marks them when parsed, so that they decode as bytes (PROTOCOL.md §4)', () => {
    const { etf_hex } = vectors.get('binary starting 131')!;
    expect(toJson(decodeTerm(Buffer.from(etf_hex, 'hex')))).toEqual({ $bytes: 'g2EB' });
    expect(encodeTerm(fromJson({ $bytes: 'g2EB' })).toString('hex')).toBe('834d0000000308836101');
  });

  it.each(['pid <0.100.5>', 'ref big words'])('preserves terms that only Erlang understands: %s', (name) => {
    const { etf_hex } = vectors.get(name)!;
    const json = toJson(decodeTerm(Buffer.from(etf_hex, 'hex')));
    expect(Object.keys(json as object)).toEqual([name.startsWith('pid') ? '$pid' : '$reference']);
    expect(encodeTerm(fromJson(json)).toString('hex')).toBe(etf_hex);
  });

  it('prints a DateTime as a date, and parses it as one', () => {
    const date = new Date('2026-01-31T12:00:00.123Z');
    expect(toJson(date)).toEqual({ $date: '2026-01-31T12:00:00.123Z' });
    expect(fromJson({ $date: '2026-01-31T12:00:00.123Z' })).toEqual(date);
    expect(fromJson({ $date: '2026-01-31T12:00:00Z' })).toEqual(new Date('2026-01-31T12:00:00.000Z'));
    const far = { $date: '+012026-01-31T12:00:00.000Z' };
    expect(toJson(fromJson(far))).toEqual(far);
  });

  it('escapes a map with a key that begins with $', () => {
    expect(toJson({ $atom: 'ok' })).toEqual({ $map: [['$atom', 'ok']] });
    expect(fromJson({ $map: [['$atom', 'ok']] })).toEqual(new Map([['$atom', 'ok']]));
  });

  it('keeps a key __proto__ as data', () => {
    const json = JSON.parse('{"__proto__":{"admin":true}}') as Json;
    expect(JSON.stringify(fromJson(json))).toBe('{"__proto__":{"admin":true}}');
    expect(JSON.stringify(toJson(json))).toBe('{"__proto__":{"admin":true}}');
  });

  it('prints whole-number floats as numbers, as JavaScript cannot distinguish them', () => {
    expect(toJson(decodeTerm(Buffer.from('83463ff0000000000000', 'hex')))).toBe(1);
    expect(toJson(float(1))).toEqual({ $float: 1 });
  });

  it.each(['float 1.0e100', 'float 2^53'])('shows a float that no JSON number stands for: %s', (name) => {
    const { etf_hex } = vectors.get(name)!;
    const json = toJson(decodeTerm(Buffer.from(etf_hex, 'hex')));
    expect(Object.keys(json as object)).toEqual(['$float']);
    expect(encodeTerm(fromJson(json)).toString('hex')).toBe(etf_hex);
  });

  it('reads as much as it shows', () => {
    const bytes = new Uint8Array(8_000_000);
    const integer = 2n ** 200_000n;
    const large = tuple(bytes, integer, -integer, tuple(...Array<number>(90_000).fill(1)));
    expect(encodeTerm(fromJson(toJson(large))).equals(encodeTerm(large))).toBe(true);
    const elements = Array<number>(300_000).fill(1);
    expect(fromJson({ $tuple: elements })).toHaveLength(elements.length);
    expect(fromJson({ $tuple: [3] })).toEqual(tuple(3));
  });

  it.each<[string, string, string]>([
    ['an unknown key with $', '{"a":{"$atm":"ok"}}', '$.a.$atm is a reserved key'],
    ['a key with $ beside another', '{"$atom":"ok","b":1}', '$.$atom is a reserved key'],
    ['an inherited name', '{"$toString":1}', '$.$toString is a reserved key'],
    ['Base64 without padding', '[[1,{"$bytes":"AQ"}]]', '$[0][1].$bytes must be bytes in Base64'],
    ['Base64 that is too short', '{"$bytes":"AQIDB"}', '$.$bytes must be bytes in Base64'],
    ['bytes that are no text', '{"$bytes":[1]}', '$.$bytes must be bytes in Base64, in quotes'],
    ['a number that JSON has rounded', '{"n":9007199254740993}', '$.n is beyond 2^53'],
    ['an integer with a point', '{"$integer":"1.5"}', '$.$integer must be an integer'],
    [
      'an integer that is enormous',
      `{"$integer":"${'9'.repeat(20_001)}"}`,
      '$.$integer must be an integer of at most',
    ],
    ['a date that is none', '{"a b":{"$date":"soon"}}', '$["a b"].$date must be a date'],
    ['a date without an offset', '{"$date":"2026-01-31T12:00:00"}', '$.$date must be a date in UTC'],
    ['a number as a date', '{"$date":"1"}', '$.$date must be a date in UTC'],
    ['a day that is none', '{"$date":"2026-02-30T12:00:00Z"}', '$.$date must be a date in UTC'],
    ['an entry of three', '{"$map":[[1,2],[1,2,3]]}', '$.$map[1] must be a list of two'],
    ['nine bits', '{"$bits":["oA==",9]}', '$.$bits must be bytes in Base64, and the number of bits'],
    ['an improper list that is one', '{"$improper":[1,[2]]}', '$.$improper must be'],
    ['a pid of other bytes', '{"$pid":"YQE="}', '$.$pid does not contain the bytes of a pid'],
    ['a tuple that is no list', '{"$tuple":{"a":1}}', '$.$tuple must be a list'],
    ['nesting without end', `${'['.repeat(300)}${']'.repeat(300)}`, '$ is nested more than 256 levels deep'],
  ])('rejects %s, and says where', (_what, json, message) => {
    expect(() => fromJson(JSON.parse(json) as Json)).toThrow(message);
  });
});

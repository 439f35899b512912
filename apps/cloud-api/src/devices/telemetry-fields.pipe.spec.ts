import 'reflect-metadata';
import { BadRequestException } from '@nestjs/common';
import { type Term } from '@fedecks/nest/wire';
import { TelemetryFields } from './telemetry-fields.pipe.js';

describe('TelemetryFields', () => {
  const pipe = new TelemetryFields();

  it('keeps only the fields of TelemetryDto', () => {
    const known = { loadAverages: [0.5, 0.25, 0.125], uptimeS: 5, temperatureCelsius: 'hot' };
    expect(pipe.transform({ ...known, unknown: 1, toString: 2 })).toEqual(known);
  });

  it('accepts a map without any of them as an empty reading', () => {
    expect(pipe.transform({ nonsense: true })).toEqual({});
    expect(pipe.transform(new Map<Term, Term>([[1, 2]]))).toEqual({});
  });

  it.each<[string, Term]>([
    ['nil', null],
    ['text', 'uptimeS'],
    ['a list of maps', [{}, {}]],
    ['a map in a field', { uptimeS: { a: 1 } }],
    ['a map that looks like a list in a field', { loadAverages: { 0: 1, 1: 1, 2: 1, length: 3 } }],
    ['a longer list in a field', { loadAverages: [1, 1, 1, 1] }],
    ['a list of lists in a field', { loadAverages: [[], [], []] }],
  ])('rejects %s', (_what, payload) => {
    expect(() => pipe.transform(payload)).toThrow(BadRequestException);
  });

  it('does not read other fields, however large', () => {
    const looks: string[] = [];
    const watched = (name: string, target: object): Term =>
      new Proxy(target, {
        get: (_target, key) => {
          looks.push(`${name}.${String(key)}`);
          return Reflect.get(target, key) as unknown;
        },
        ownKeys: () => {
          looks.push(`keys of ${name}`);
          return Reflect.ownKeys(target);
        },
      }) as Term;
    pipe.transform(watched('map', { uptimeS: 5, x: watched('x', Array(50_000).fill({})) }));
    expect(looks).toEqual(['map.uptimeS']);
  });
});

import { BadRequestException } from '@nestjs/common';
import { atom, tuple } from '@fedecks/nest/wire';
import { termIn } from './terms-query.js';

describe('termIn', () => {
  it('reads tags where they are asked for, and otherwise leaves JSON as it is', () => {
    const json = { $tuple: [{ $atom: 'ok' }] };
    expect(termIn(json, { terms: 'tagged' })).toEqual(tuple(atom('ok')));
    expect(termIn(json, {})).toBe(json);
  });

  it('names the payload where a tag is wrong', () => {
    expect(() => termIn({ $bytes: 1 }, { terms: 'tagged' })).toThrow(BadRequestException);
  });
});

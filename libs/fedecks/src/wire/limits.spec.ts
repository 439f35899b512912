import { decodeLimits, encodeLimits } from './limits.js';

describe('the limits header (§1.9)', () => {
  it('parses what was formatted', () => {
    expect(encodeLimits({ framesPerSecond: 1_000 })).toBe('frames-per-second=1000');
    expect(decodeLimits('frames-per-second=1000')).toEqual({ framesPerSecond: 1_000 });
    expect(decodeLimits(encodeLimits({ framesPerSecond: undefined }))).toEqual({
      framesPerSecond: undefined,
    });
  });

  it('may contain unknown limits', () => {
    expect(decodeLimits('colour=blue, frames-per-second=5 ,x=1')).toEqual({ framesPerSecond: 5 });
  });

  it.each([
    undefined,
    '',
    'frames-per-second',
    'frames-per-second=0',
    'frames-per-second=-1',
    'frames-per-second=1e3',
    'frames-per-second=12345678901',
  ])('sets no limit if it is %j', (value) => {
    expect(decodeLimits(value)).toEqual({ framesPerSecond: undefined });
  });
});

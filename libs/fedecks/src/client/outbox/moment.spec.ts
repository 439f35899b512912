import { ageOf, deriveBootId, type Moment, momentNow } from './moment.js';

const [BOOT, LATER] = ['ab'.repeat(16), 'cd'.repeat(16)];
const [Y1970, JUNE] = [5_000, Date.UTC(2026, 5, 1)];
const at = (bootId: string, monotonicMs: number, wallMs: number): Moment => ({ bootId, monotonicMs, wallMs });

describe('ageOf', () => {
  it.each<[string, Moment, Moment, number]>([
    ['in the same boot is exact', at(BOOT, 1_000, JUNE), at(BOOT, 4_500, JUNE + 3_500), 3_500],
    ['in the same boot ignores a set clock', at(BOOT, 1_000, Y1970), at(BOOT, 4_500, JUNE), 3_500],
    ['in the same boot needs no clock', at(BOOT, 1_000, Y1970), at(BOOT, 4_500, Y1970 + 3_500), 3_500],
    ['in the same moment is 0', at(BOOT, 1_000, JUNE), at(BOOT, 1_000, JUNE), 0],
    ['across boots is the wall difference', at(BOOT, 9_000, JUNE), at(LATER, 10, JUNE + 60_000), 60_000],
    [
      'with a monotonic clock that went back is the wall difference',
      at(BOOT, 9, JUNE),
      at(BOOT, 1, JUNE + 5),
      5,
    ],
    ['is unknown if it was put in without a clock', at(BOOT, 9_000, Y1970), at(LATER, 10, JUNE), -1],
    ['is unknown while the clock is not set', at(BOOT, 9_000, JUNE), at(LATER, 10, Y1970), -1],
    ['is unknown if neither had a clock', at(BOOT, 9_000, Y1970), at(LATER, 10, Y1970 + 9_000), -1],
    ['is unknown if the clock went back', at(BOOT, 9_000, JUNE), at(LATER, 10, JUNE - 1), -1],
    ['is unknown if the clock is far ahead', at(BOOT, 9_000, JUNE), at(LATER, 10, Date.UTC(2100, 0, 1)), -1],
  ])('%s', (_title, put, now, age) => {
    expect(ageOf(put, now)).toBe(age);
  });
});

describe('momentNow', () => {
  it('stays in a boot, and never goes back', () => {
    const moments = Array.from({ length: 1_000 }, () => momentNow());
    expect(new Set(moments.map(({ bootId }) => bootId)).size).toBe(1);
    expect(moments[0]?.bootId).toMatch(/^[0-9a-f]{32}$/);
    expect(moments.every((each, index) => ageOf(moments[Math.max(0, index - 1)] ?? each, each) >= 0)).toBe(
      true,
    );
  });
});

describe('deriveBootId', () => {
  it('is the same for two processes of a boot, and differs for another boot', () => {
    expect(deriveBootId(JUNE + 100_000, 160)).toBe(deriveBootId(JUNE, 60));
    expect(deriveBootId(JUNE + 100_000, 60)).not.toBe(deriveBootId(JUNE, 60));
  });

  it('never repeats without a plausible clock, as each boot would seem the same', () => {
    expect(deriveBootId(Y1970, 5)).not.toBe(deriveBootId(Y1970, 5));
  });
});

import { Flapping } from './flapping.js';

describe('Flapping', () => {
  it('is reported once, at the fifth replacement within a minute', () => {
    const flapping = new Flapping();
    const noticed = Array.from({ length: 20 }, (_, index) => flapping.notice('a', index * 1_000));
    expect(noticed.flatMap((yes, index) => (yes ? [index] : []))).toEqual([4]);
  });

  it('is reported again in the next minute in which it continues', () => {
    const flapping = new Flapping();
    const times = Array.from({ length: 120 }, (_, index) => index * 1_000);
    expect(times.filter((time) => flapping.notice('a', time))).toEqual([4_000, 64_000]);
  });

  it('is not reported for a device that reconnects now and then', () => {
    const flapping = new Flapping();
    const times = Array.from({ length: 100 }, (_, index) => index * 20_000);
    expect(times.filter((time) => flapping.notice('a', time))).toEqual([]);
  });

  it('is counted per device', () => {
    const flapping = new Flapping();
    const ids = ['a', 'b', 'c', 'd', 'e', 'f'];
    expect(ids.filter((id) => flapping.notice(id, 0))).toEqual([]);
  });
});

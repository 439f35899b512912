import { LaneIndex } from './lane-index.js';

const place = { segment: 1, offset: 8, bytes: 100 };
let index: LaneIndex;
beforeEach(() => (index = new LaneIndex()));

describe('LaneIndex', () => {
  it('has no record next to those that it has', () => {
    for (let seq = 1; seq <= 1_023; seq++) {
      expect(index.at(seq)).toBeUndefined();
      index.delete(seq);
      index.add(seq, place, 5);
    }
    expect([index.at(0), index.at(1_024), index.at(2 ** 52)]).toEqual([undefined, undefined, undefined]);
    expect([index.count, index.bytes, index.at(1_023)]).toEqual([1_023, 102_300, place]);
  });

  it('finds what follows across gaps, and lists ranges', () => {
    for (const seq of [2 ** 40, 3, 70_000, 255, 256]) index.add(seq, place, 5);
    const seqs = [0, 3, 255, 256, 70_000, 2 ** 40];
    expect(seqs.map((seq) => index.following(seq))).toEqual([3, 255, 256, 70_000, 2 ** 40, undefined]);
    const [big] = seqs.slice(-1) as [number];
    expect(index.ranges()).toEqual([
      { from: 3, to: 3 },
      { from: 255, to: 256 },
      { from: 70_000, to: 70_000 },
      { from: big, to: big },
    ]);
    index.delete(255);
    index.delete(255);
    expect([index.following(3), index.count, index.bytes]).toEqual([256, 4, 400]);
  });
});

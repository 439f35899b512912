import { rotate, unmask } from './mask.js';

const KEY = [0x37, 0xfa, 0x21, 0x9d];
const MASK = Buffer.from(KEY).readInt32LE();

describe('unmask', () => {
  it('unmasks each byte by RFC 6455 §5.3, at all lengths and alignments', () => {
    for (const start of [0, 1, 2, 3]) {
      for (let length = 0; length < 300; length++) {
        const bytes = Buffer.alloc(length + 8, 0x55);
        unmask(bytes, start, start + length, MASK);
        const expected = Buffer.alloc(length + 8, 0x55);
        for (let at = 0; at < length; at++) expected[start + at]! ^= KEY[at % 4]!;
        expect(bytes).toEqual(expected);
      }
    }
  });

  it('works on a view with an offset into its buffer', () => {
    const memory = Buffer.alloc(400);
    unmask(memory.subarray(5), 3, 203, MASK);
    expect(memory.subarray(0, 8).every((byte) => byte === 0)).toBe(true);
    expect([...memory.subarray(8, 12)]).toEqual(KEY);
    expect(memory.subarray(208).every((byte) => byte === 0)).toBe(true);
  });
});

describe('rotate', () => {
  it('returns the key for the rest of a payload', () => {
    const whole = Buffer.alloc(20);
    unmask(whole, 0, 20, MASK);
    for (let count = 0; count < 20; count++) {
      const parts = Buffer.alloc(20);
      unmask(parts, 0, count, MASK);
      unmask(parts, count, 20, rotate(MASK, count));
      expect(parts).toEqual(whole);
    }
  });
});

import { compareReaders } from './support/compare-readers.js';

/** Takes about a second. `node scripts/fuzz/frames.mjs` compares more. */
const BYTES = 2_000_000;

describe('The frame reader, compared with the Receiver of ws', () => {
  it('emits the same events with the same payloads after each chunk, and ends with the same code', async () => {
    const compared = await compareReaders(20_261_126, BYTES);

    expect(compared.bytes).toBeGreaterThanOrEqual(BYTES);
    // The streams include all kinds.
    expect(compared.messages).toBeGreaterThan(1_000);
    expect(compared.controls).toBeGreaterThan(500);
    for (const code of [1000, 1002, 1005, 1007, 1008, 1009, 3000]) {
      expect(compared.ends.get(code)).toBeGreaterThan(0);
    }
  }, 60_000);
});

import { partsOf } from '../console/src/pages/devices/bulk.js';

/** The least that a request of the API may have. */
const MAX_BODY_BYTES = 100 * 1_024;

it('splits the ids of a bulk action of the console into requests that the API takes, and loses none', () => {
  // Six bytes each in JSON.
  const ids = Array.from({ length: 10_000 }, (_, index) => `${index}${'\u0001'.repeat(20)}`);
  const parts = partsOf(ids);
  for (const part of parts)
    expect(Buffer.byteLength(JSON.stringify(part))).toBeLessThan(MAX_BODY_BYTES - 2_000);
  expect(parts.flat()).toEqual(ids);
  expect(parts.length).toBeLessThan(30);
  expect(partsOf(['a'])).toEqual([['a']]);
});

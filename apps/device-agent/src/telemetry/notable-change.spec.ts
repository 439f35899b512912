import { isNotable } from './notable-change.js';

const GB = 1e9;
const QUIET = {
  loadAverages: [0.5, 0.4, 0.3],
  uptimeS: 100,
  memoryTotalBytes: GB,
  memoryAvailableBytes: 0.5 * GB,
  diskTotalBytes: 8 * GB,
  diskFreeBytes: 4 * GB,
  temperatureCelsius: 45,
  networkReceivedBytes: 1,
};

describe('isNotable', () => {
  it.each([
    ['nothing has changed', {}],
    ['time and traffic go on', { uptimeS: 110, networkReceivedBytes: GB }],
    ['it is a little warmer', { temperatureCelsius: 49.9 }],
    ['some memory is taken', { memoryAvailableBytes: 0.41 * GB }],
    ['some of the disk is taken', { diskFreeBytes: 3.3 * GB }],
    ['it has a little to do', { loadAverages: [1.4, 0.4, 0.3] }],
  ])('is false if %s', (_what, change) => {
    expect(isNotable(QUIET, { ...QUIET, ...change })).toBe(false);
  });

  it.each([
    ['it is much warmer', { temperatureCelsius: 50 }],
    ['its sensor has failed', { temperatureCelsius: undefined as never }],
    ['memory is taken', { memoryAvailableBytes: 0.4 * GB }],
    ['the disk fills', { diskFreeBytes: 3.2 * GB }],
    ['it has much to do', { loadAverages: [1.5, 0.4, 0.3] }],
  ])('is true if %s, and if it reverts', (_what, change) => {
    expect(isNotable(QUIET, { ...QUIET, ...change })).toBe(true);
    expect(isNotable({ ...QUIET, ...change }, QUIET)).toBe(true);
  });

  it('is false for a machine without readings', () => {
    expect(isNotable({ uptimeS: 1 }, { uptimeS: 2 })).toBe(false);
  });
});

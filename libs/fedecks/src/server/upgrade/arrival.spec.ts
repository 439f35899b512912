import { type Arrival, isOlder } from './arrival.js';

const asked = (askedAt: number, process?: string, number = 1): Arrival => ({
  askedAt,
  attempt: process === undefined ? undefined : { process, number },
});

describe('isOlder', () => {
  it('goes by the number of the attempt within one process, whenever the cloud was asked', () => {
    expect(isOlder(asked(20, 'a', 1), asked(10, 'a', 2))).toBe(true);
    expect(isOlder(asked(10, 'a', 2), asked(20, 'a', 1))).toBe(false);
  });

  it('takes an attempt that arrives twice, as through a proxy that tries again, for as new as itself', () => {
    expect(isOlder(asked(10, 'a', 1), asked(20, 'a', 1))).toBe(false);
    expect(isOlder(asked(20, 'a', 1), asked(10, 'a', 1))).toBe(false);
  });

  it('goes by when the cloud was asked between two processes, or where no attempt is named', () => {
    expect(isOlder(asked(10, 'a', 9), asked(20, 'b', 1))).toBe(true);
    expect(isOlder(asked(20, 'a', 1), asked(10, 'b', 9))).toBe(false);
    expect(isOlder(asked(10), asked(20))).toBe(true);
    expect(isOlder(asked(20), asked(10, 'a'))).toBe(false);
  });
});

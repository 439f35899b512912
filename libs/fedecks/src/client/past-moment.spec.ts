import { setTimeout as pause } from 'node:timers/promises';
import { PastMoment } from './past-moment.js';

const YEAR_MS = 365 * 86_400_000;

describe('PastMoment', () => {
  const realNow = Date.now;
  afterEach(() => (Date.now = realNow));

  it('equals its creation time', async () => {
    const before = Date.now();
    const moment = new PastMoment();
    const shown = moment.date.getTime();
    expect(shown).toBeGreaterThanOrEqual(before);
    expect(shown).toBeLessThanOrEqual(Date.now());
    await pause(30);
    expect(moment.date.getTime()).toBe(shown);
  });

  it.each([50 * YEAR_MS, -YEAR_MS])('shifts with a clock that is set by %d ms', (stepMs) => {
    const moment = new PastMoment();
    const shown = moment.date.getTime();
    Date.now = () => realNow() + stepMs;
    expect(Math.abs(moment.date.getTime() - (shown + stepMs))).toBeLessThan(10_000);
    Date.now = realNow;
    expect(Math.abs(moment.date.getTime() - shown)).toBeLessThan(10_000);
  });
});

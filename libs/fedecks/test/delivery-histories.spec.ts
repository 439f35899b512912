import { playHistory } from './support/delivery-history.js';

/** `HISTORIES=100000` plays more of them, `HISTORY_SEED=...` plays one. */
const COUNT = Number(process.env['HISTORIES'] ?? 1_000);
const ONE = process.env['HISTORY_SEED'];

describe('deliveries in random histories', () => {
  it('have one true outcome each, in order, and are handled once', () => {
    if (ONE !== undefined) playHistory(Number(ONE));
    else for (let seed = 1; seed <= COUNT; seed++) playHistory(seed);
  });
});

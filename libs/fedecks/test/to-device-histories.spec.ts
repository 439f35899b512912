import { playQueueHistory } from './support/queue-history.js';

/** `HISTORIES=100000` plays more of them, from `HISTORY_FIRST` on; `HISTORY_SEED=...` plays one. */
const COUNT = Number(process.env['HISTORIES'] ?? 1_000);
const FIRST = Number(process.env['HISTORY_FIRST'] ?? 1);
const ONE = process.env['HISTORY_SEED'];

describe('deliveries to a device in random histories', () => {
  it('have one true final state each, in order, and are handled once', async () => {
    if (ONE !== undefined) await playQueueHistory(Number(ONE));
    else for (let seed = FIRST; seed < FIRST + COUNT; seed++) await playQueueHistory(seed);
  }, 3_600_000);
});

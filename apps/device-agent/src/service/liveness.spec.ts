import { type ClientEvent } from '@fedecks/nest/client-nest';
import { Liveness } from './liveness.js';

const scheduled: ClientEvent = { type: 'connection_scheduled', delayMs: 3_600_000, cause: 'upgrade_failed' };
const connecting: ClientEvent = { type: 'connecting', url: 'wss://cloud.example.com', with: 'token' };
const YEAR_MS = 365 * 86_400_000;

/** Whether a client is alive this long after the last of these events, which all happened at second 1. */
function aliveAfter(ms: number, ...events: ClientEvent[]): boolean {
  const liveness = new Liveness();
  for (const event of events) liveness.onEvent(event, 1_000);
  return liveness.alive(1_000 + ms);
}

describe('Liveness', () => {
  it('treats a client that waits for a login as alive', () => {
    expect(aliveAfter(YEAR_MS)).toBe(true);
    expect(aliveAfter(YEAR_MS, connecting, { type: 'unregistered', cause: 'login_failed' })).toBe(true);
  });

  it('treats a connected client as alive', () => {
    expect(aliveAfter(YEAR_MS, connecting, { type: 'connected' })).toBe(true);
  });

  it('treats a client as dead whose next attempt is overdue', () => {
    expect(aliveAfter(scheduled.delayMs, scheduled)).toBe(true);
    expect(aliveAfter(scheduled.delayMs + 60_000, scheduled)).toBe(false);
  });

  it('treats a client as dead whose attempt does not end', () => {
    expect(aliveAfter(120_000, scheduled, connecting)).toBe(true);
    expect(aliveAfter(180_000, scheduled, connecting)).toBe(false);
  });

  it('treats a stopped client as dead', () => {
    expect(aliveAfter(0, { type: 'connected' }, { type: 'stopped' })).toBe(false);
  });

  it('does not extend its deadline for an event without a change', () => {
    const failed: ClientEvent = { type: 'connection_failed', reason: 'no route to host' };
    expect(aliveAfter(180_000, connecting, failed)).toBe(false);
  });
});

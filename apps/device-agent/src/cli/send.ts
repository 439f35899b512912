import { ask } from '../control/control-client.js';

/** Of a stalled link: the client rejects when its connection ends. */
const TIMEOUT_MS = 60_000;

/** Sends an event, and says so. @throws {CommandError} (rejects) with the reason if it was not sent. */
export async function send(socketPath: string, event: string, payload: unknown): Promise<void> {
  await ask(socketPath, { method: 'POST', path: '/send', body: { event, payload }, timeoutMs: TIMEOUT_MS });
  process.stdout.write('Sent.\n');
}

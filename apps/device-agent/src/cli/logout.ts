import { ask } from '../control/control-client.js';

const TIMEOUT_MS = 10_000;

/** Logs the device out, and says so. @throws {CommandError} (rejects) if the token is still stored. */
export async function logout(socketPath: string): Promise<void> {
  await ask(socketPath, { method: 'POST', path: '/logout', timeoutMs: TIMEOUT_MS });
  process.stdout.write('Logged out. The agent has deleted the token and waits for the next login.\n');
}

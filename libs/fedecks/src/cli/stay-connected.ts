import { type FedecksClient } from '../client/index.js';
import { explainFailure } from './device.js';
import { CommandError } from './exit.js';
import { type Login } from './logins.js';

/**
 * Keeps a device connected until `signal` aborts, then closes the connection.
 * @throws {CommandError} (rejects) if the device must log in again.
 */
export async function stayConnected(device: FedecksClient, login: Login, signal: AbortSignal): Promise<void> {
  try {
    await new Promise<void>((resolve, reject) => {
      device.events$.subscribe((event) => {
        if (event.type === 'unregistered' || event.type === 'token_refused')
          reject(new CommandError(explainFailure(event, login)));
      });
      signal.addEventListener('abort', () => resolve());
      if (signal.aborted) return resolve();
      device.start().catch(reject);
    });
  } finally {
    await device.stop();
  }
}

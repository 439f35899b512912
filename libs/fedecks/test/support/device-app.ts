/**
 * A device as a separate process. Its arguments are JSON: the options of the client, credentials to log in with or
 * null, and the user to run as (when started by root). Writes each event as a line of JSON to its standard output,
 * and `{"type":"logged_in"}`. At the end of its input it only stops the client: if anything is left open, the
 * process goes on.
 */
import { writeSync } from 'node:fs';
import { type Credentials, FedecksClient, type FedecksClientOptions } from '@fedecks/nest/client';

const [options, credentials, user] = process.argv.slice(2).map((each) => JSON.parse(each) as unknown) as [
  Omit<FedecksClientOptions, 'deviceId'>,
  Credentials | null,
  number | undefined,
];
if (user !== undefined && process.geteuid?.() === 0) {
  process.setgid?.(user);
  process.setuid?.(user);
}

/** Synchronous: asynchronous writes are lost when a signal ends the process. */
function tell(event: object): void {
  writeSync(1, `${JSON.stringify(event)}\n`);
}

const client = new FedecksClient({
  deviceId: 'nerves-242a',
  startDelayMs: 0,
  retryMinMs: 1,
  retryMaxMs: 20,
  closeTimeoutMs: 30,
  ...options,
});
client.events$.subscribe(tell);
process.stdin.resume().once('end', () => void client.stop());
await client.start();
if (credentials !== null) {
  await client.login(credentials);
  tell({ type: 'logged_in' });
}

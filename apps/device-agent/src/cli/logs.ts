import { listen } from '../control/control-client.js';
import { CommandError, EXIT } from './exit.js';

const TIMEOUT_MS = 5_000;

/** Shows the log. @throws {CommandError} (rejects) if the agent ends while it is followed. */
export async function logs(
  socketPath: string,
  { lines, follow }: { readonly lines: number; readonly follow?: boolean },
): Promise<void> {
  const path = `/logs?lines=${lines}${follow ? '&follow' : ''}`;
  const answer = await listen(socketPath, { method: 'GET', path, timeoutMs: TIMEOUT_MS });
  // The reader has closed the pipe, as `head` does.
  process.stdout.on('error', () => process.exit(EXIT.ok));
  try {
    for await (const chunk of answer as AsyncIterable<Buffer>) process.stdout.write(chunk);
  } catch {
    // Told below.
  }
  if (follow) throw new CommandError(EXIT.notRunning, 'The agent has stopped.');
}

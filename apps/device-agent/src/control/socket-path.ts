import { join } from 'node:path';

/** The longest path a unix socket can have on Linux; macOS and BSD have 103. */
export const MAX_SOCKET_PATH_BYTES = process.platform === 'linux' ? 107 : 103;

/** Where a running agent is talked to. */
export function socketPath(stateDir: string): string {
  return join(stateDir, 'agent.sock');
}

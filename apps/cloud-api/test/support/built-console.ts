import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { fileOfRun, makeOnce } from '../../../../libs/fedecks/test/support/test-run.js';

const VITE = 'node_modules/vite/bin/vite.js';
const CONFIG = 'apps/cloud-api/console/vite.config.ts';

/** The directory of the console, as it is shipped. It is built once in each run of Jest. */
export async function builtConsole(): Promise<string> {
  const directory = fileOfRun('console');
  await makeOnce('console', async () => {
    const args = ['build', '--config', CONFIG, '--logLevel', 'warn', '--outDir', directory];
    // Jest sets another one, with which Vite builds something else.
    const env = { ...process.env, NODE_ENV: 'production' };
    await promisify(execFile)(process.execPath, [VITE, ...args], { env });
  });
  return directory;
}

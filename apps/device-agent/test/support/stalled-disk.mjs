// Preloaded into an agent, makes its disk hang: once a FIFO `stalled` is in the state directory, open and stat of
// the file named by STALLED_FILE block on it for ever, in one of Node's threads.
import { existsSync } from 'node:fs';
import promises from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { basename, dirname, join } from 'node:path';

const { open } = promises;
for (const name of ['open', 'stat']) {
  const original = promises[name];
  promises[name] = async (path, ...rest) => {
    const fifo = join(dirname(String(path)), 'stalled');
    if (basename(String(path)) === process.env.STALLED_FILE && existsSync(fifo)) await open(fifo, 'r');
    return original(path, ...rest);
  };
}
syncBuiltinESMExports();

#!/usr/bin/env node
import { EXIT } from './exit.js';
import { complain } from './printable.js';
import { runProgram } from './program.js';

const cancelling = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  // The second one ends the process at once.
  process.once(signal, () => cancelling.abort());
}
process.stdout.on('error', ({ code = 'unknown error' }: NodeJS.ErrnoException) => {
  // The reader has closed the pipe, as `head` does.
  if (code === 'EPIPE') process.exit(EXIT.ok);
  complain(`Standard output cannot be written (${code}).`);
  process.exit(EXIT.failure);
});
// There is nowhere to complain of it.
process.stderr.on('error', () => undefined);

const status = await runProgram(process.argv.slice(2), cancelling.signal);
// A name server that does not answer would keep the process for minutes: a lookup cannot be cancelled.
process.stdout.write('', (error) => {
  // What has failed is the business of the handler above.
  if (!error) process.exit(status);
});

#!/usr/bin/env node
import { EXIT } from './exit.js';
import { printError } from './printable.js';
import { runProgram } from './program.js';

const cancelling = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  // The second one ends the process at once.
  process.once(signal, () => cancelling.abort());
}
process.stdout.on('error', ({ code = 'unknown error' }: NodeJS.ErrnoException) => {
  // The reader has closed the pipe, as `head` does.
  if (code === 'EPIPE') process.exit(EXIT.ok);
  printError(`Cannot write to standard output (${code}).`);
  process.exit(EXIT.failure);
});
// There is nowhere left to report it.
process.stderr.on('error', () => undefined);

const status = await runProgram(process.argv.slice(2), cancelling.signal);
// Exits explicitly: a DNS lookup cannot be cancelled, and could keep the process alive for minutes.
process.stdout.write('', (error) => {
  // The handler above handles a failure.
  if (!error) process.exit(status);
});

#!/usr/bin/env node
import { EXIT } from './exit.js';
import { runProgram } from './program.js';

const cancelling = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  // The second one ends the process at once.
  process.once(signal, () => cancelling.abort());
}
// Whoever reads this has seen enough, as `head` does.
process.stdout.on('error', () => process.exit(EXIT.ok));

process.exitCode = await runProgram(process.argv.slice(2), cancelling.signal);

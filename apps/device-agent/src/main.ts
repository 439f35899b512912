#!/usr/bin/env node
import './require-node.js';
import { statusOf } from './cli/exit.js';

process.exitCode = await main(process.argv).catch(statusOf);

/** As a service manager starts it, the agent needs no parser of command lines: a slow device starts sooner so. */
async function main(argv: readonly string[]) {
  if (argv.length === 3 && argv[2] === 'run') {
    const { run } = await import('./cli/run.js');
    return run(undefined);
  }
  const { runCommand } = await import('./cli/program.js');
  return runCommand(argv);
}

import { readFileSync } from 'node:fs';
import { type Command, helpOf, parse } from './command.js';
import { CommandError, EXIT, exitHelp, type ExitStatus, UsageError } from './exit.js';
import { printError } from './printable.js';

/** Commands are loaded on demand, so `decode` loads no websocket. */
const COMMANDS: Readonly<
  Record<string, { readonly summary: string; readonly load: () => Promise<Command> }>
> = {
  login: {
    summary: 'log in, and store the token',
    load: async () => (await import('./commands/login.js')).login,
  },
  logout: {
    summary: 'delete the token',
    load: async () => (await import('./commands/logout.js')).logout,
  },
  send: {
    summary: 'send an event, and print the reply if you wait for it',
    load: async () => (await import('./commands/send.js')).send,
  },
  request: {
    summary: 'send a request, and print the answer',
    load: async () => (await import('./commands/request.js')).request,
  },
  deliver: {
    summary: 'deliver an event until the cloud has handled it, and print what became of it',
    load: async () => (await import('./commands/deliver.js')).deliver,
  },
  listen: {
    summary: 'print each message as a line of JSON, for other programs',
    load: async () => (await import('./commands/listen.js')).listen,
  },
  tail: {
    summary: 'print everything that happens on the connection, with times, for people',
    load: async () => (await import('./commands/tail.js')).tail,
  },
  decode: {
    summary: 'print a term from its bytes',
    load: async () => (await import('./commands/decode.js')).decode,
  },
  encode: {
    summary: 'print the bytes of a term',
    load: async () => (await import('./commands/encode.js')).encode,
  },
  check: {
    summary: 'test a connection step by step, and say what to fix',
    load: async () => (await import('./commands/check.js')).check,
  },
};

/**
 * Runs a command line, and resolves with the exit status. Writes errors to standard error.
 * @param signal is aborted by Ctrl-C.
 */
export async function runProgram(argv: readonly string[], signal: AbortSignal): Promise<ExitStatus> {
  const [name = '--help', ...rest] = argv;
  try {
    if (name === '--version' || name === '-V') return print(version());
    if (name === '--help' || name === '-h')
      return print(overview(), argv.length === 0 ? EXIT.usage : EXIT.ok);
    const known = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
    if (known === undefined) {
      throw new UsageError(
        `Command '${name.slice(0, 40)}' does not exist (have: ${Object.keys(COMMANDS).join(', ')}).`,
      );
    }
    const command = await known.load();
    const args = parse(command, rest);
    return args === undefined ? print(helpOf(command)) : await command.run(args, signal);
  } catch (error) {
    if (!isForUser(error)) throw error;
    const status = error instanceof CommandError ? error.status : EXIT.failure;
    const help = Object.hasOwn(COMMANDS, name) ? `${name} --help` : '--help';
    printError(status === EXIT.usage ? `${error.message}\nSee: fedecks ${help}` : error.message);
    return status;
  }
}

/** A refused system call, such as a write to a file, is not a defect of this program either. */
function isForUser(error: unknown): error is Error {
  return error instanceof CommandError || (error instanceof Error && 'syscall' in error);
}

function print(text: string, status: ExitStatus = EXIT.ok): ExitStatus {
  (status === EXIT.ok ? process.stdout : process.stderr).write(text.endsWith('\n') ? text : `${text}\n`);
  return status;
}

function overview(): string {
  const lines = Object.entries(COMMANDS).map(([name, { summary }]) => `  ${name.padEnd(10)}${summary}`);
  return [
    'Usage: fedecks COMMAND [options]',
    'Connects to a fedecks cloud as a device, to try things out and to find faults.',
    ['Commands:', ...lines].join('\n'),
    'Help on a command, with examples: fedecks COMMAND --help',
    exitHelp(),
  ].join('\n\n');
}

function version(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { readonly version: string }).version;
}

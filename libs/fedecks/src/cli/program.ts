import { readFileSync } from 'node:fs';
import { type Command, helpOf, parse } from './command.js';
import { CommandError, EXIT, exitHelp, type ExitStatus, UsageError } from './exit.js';
import { complain } from './printable.js';

/** Each command is loaded when it is asked for: `decode` loads no websocket. */
const COMMANDS: Readonly<
  Record<string, { readonly summary: string; readonly load: () => Promise<Command> }>
> = {
  login: {
    summary: 'log in at a cloud, and keep the token',
    load: async () => (await import('./commands/login.js')).login,
  },
  logout: {
    summary: 'forget the token',
    load: async () => (await import('./commands/logout.js')).logout,
  },
  send: {
    summary: 'send an event, and show what comes back',
    load: async () => (await import('./commands/send.js')).send,
  },
  request: {
    summary: 'ask the cloud, and print its answer',
    load: async () => (await import('./commands/request.js')).request,
  },
  listen: {
    summary: 'print the messages of the cloud, a line of JSON each, for other programs',
    load: async () => (await import('./commands/listen.js')).listen,
  },
  tail: {
    summary: 'show all that happens on the connection, with times, for people',
    load: async () => (await import('./commands/tail.js')).tail,
  },
  decode: {
    summary: 'show what the bytes of a term say',
    load: async () => (await import('./commands/decode.js')).decode,
  },
  encode: {
    summary: 'write the bytes of a term',
    load: async () => (await import('./commands/encode.js')).encode,
  },
  check: {
    summary: 'find out, step by step, why a device does not connect',
    load: async () => (await import('./commands/check.js')).check,
  },
};

/**
 * Runs a command line, and resolves with the exit status. What is wrong is written to standard error.
 * @param signal is aborted by Ctrl-C.
 */
export async function runProgram(argv: readonly string[], signal: AbortSignal): Promise<ExitStatus> {
  const [name = '--help', ...rest] = argv;
  try {
    if (name === '--version' || name === '-V') return say(version());
    if (name === '--help' || name === '-h') return say(overview(), argv.length === 0 ? EXIT.usage : EXIT.ok);
    const known = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
    if (known === undefined) {
      throw new UsageError(
        `There is no command '${name.slice(0, 40)}'. Commands are: ${Object.keys(COMMANDS).join(', ')}.`,
      );
    }
    const command = await known.load();
    const args = parse(command, rest);
    return args === undefined ? say(helpOf(command)) : await command.run(args, signal);
  } catch (error) {
    if (!isForUser(error)) throw error;
    const status = error instanceof CommandError ? error.status : EXIT.failure;
    const help = Object.hasOwn(COMMANDS, name) ? `${name} --help` : '--help';
    complain(status === EXIT.usage ? `${error.message}\nSee: fedecks ${help}` : error.message);
    return status;
  }
}

/** What the system does not let it do, such as to write a file, is no defect either. */
function isForUser(error: unknown): error is Error {
  return error instanceof CommandError || (error instanceof Error && 'syscall' in error);
}

function say(text: string, status: ExitStatus = EXIT.ok): ExitStatus {
  (status === EXIT.ok ? process.stdout : process.stderr).write(text.endsWith('\n') ? text : `${text}\n`);
  return status;
}

function overview(): string {
  const lines = Object.entries(COMMANDS).map(([name, { summary }]) => `  ${name.padEnd(10)}${summary}`);
  return [
    'Usage: fedecks COMMAND [options]',
    'Speaks to a fedecks cloud as a device does, for trying things out and for finding out what is wrong.',
    ['Commands:', ...lines].join('\n'),
    'Help on a command, with examples: fedecks COMMAND --help',
    exitHelp(),
  ].join('\n\n');
}

function version(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { readonly version: string }).version;
}

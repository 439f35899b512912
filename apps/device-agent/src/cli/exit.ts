import { isJournal, journalLines, PRIORITY } from '../log/journal.js';

/** How `device-agent` ends: its exit statuses. The help shows them in these words, and the README. */
export const EXIT = {
  ok: 0,
  failed: 1,
  notConnected: 3,
  notRunning: 4,
  usage: 64,
  alreadyRunning: 73,
  restart: 75,
  config: 78,
  cancelled: 130,
} as const;

export type ExitStatus = (typeof EXIT)[keyof typeof EXIT];

/** What each status says. Those from 64 on are of sysexits.h, or what a shell says of Ctrl-C. */
export const EXIT_MEANINGS: Readonly<Record<keyof typeof EXIT, string>> = {
  ok: 'success; `status`: connected; `run`: a signal stopped it cleanly',
  failed: 'failure: the message gives the reason',
  notConnected: '`status`: the agent runs but is not connected',
  notRunning: 'no agent answers in the state directory',
  usage: 'the command line is wrong, or has no command',
  alreadyRunning: '`run`: another agent runs with this state directory',
  restart: '`run`: the cloud requested a restart: start it again',
  config: 'the configuration is wrong: starting again does not help',
  cancelled: '`login`: Ctrl-C at a prompt',
};

/** The table of the help. */
export function exitHelp(): string {
  const lines = (Object.keys(EXIT) as (keyof typeof EXIT)[]).map(
    (name) => `  ${String(EXIT[name]).padEnd(5)}${EXIT_MEANINGS[name]}`,
  );
  return ['Exit status:', ...lines].join('\n');
}

/** Says why a command has failed, and gives the status to end with. */
export function statusOf(error: unknown): ExitStatus {
  const text = `device-agent: ${error instanceof Error ? error.message : String(error)}`;
  process.stderr.write(isJournal(2) ? journalLines(PRIORITY.error, text) : `${text}\n`);
  return error instanceof CommandError ? error.status : EXIT.failed;
}

/** A command that cannot do what it was asked to: its message is shown, and the process ends with its status. */
export class CommandError extends Error {
  constructor(
    readonly status: ExitStatus,
    message: string,
  ) {
    super(message);
  }
}

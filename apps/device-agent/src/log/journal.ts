import { fstatSync } from 'node:fs';

/** The priorities of the journal (sd-daemon(3)), by the levels of Nest's log. */
export const PRIORITY = { fatal: 2, error: 3, warn: 4, log: 6, debug: 7, verbose: 7 } as const;

/**
 * Whether a stream of this process is connected to the journal (systemd.exec(5)). A terminal that a service has opened
 * inherits the variable, but not the stream: so both are compared.
 * @param fd the stream: 1 or 2.
 */
export function isJournal(fd: number, { JOURNAL_STREAM }: NodeJS.ProcessEnv = process.env): boolean {
  if (JOURNAL_STREAM === undefined) return false;
  try {
    const { dev, ino } = fstatSync(fd);
    return JOURNAL_STREAM === `${dev}:${ino}`;
  } catch {
    return false;
  }
}

/** A text as the journal takes it: each line is an entry of its own, and begins with its priority. */
export function journalLines(priority: number, text: string): string {
  return text
    .trimEnd()
    .split('\n')
    .map((line) => `<${priority}>${line}\n`)
    .join('');
}

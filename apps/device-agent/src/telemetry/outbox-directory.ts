import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { resolve } from 'node:path';

/** What a person has to change. A disk that is broken or read-only must not keep the agent from connecting. */
const MISTAKES = ['EACCES', 'ELOOP', 'ENAMETOOLONG', 'ENOTDIR'];

/** @param problems takes a sentence for all that is wrong with FEDECKS_OUTBOX. The directory need not exist. */
export async function checkOutbox(directory: string, stateDir: string, problems: string[]): Promise<void> {
  if (resolve(directory) === resolve(stateDir)) {
    problems.push('FEDECKS_OUTBOX must name a directory of its own, other than FEDECKS_STATE_DIR.');
    return;
  }
  try {
    if ((await stat(directory)).isDirectory())
      await access(directory, constants.R_OK | constants.W_OK | constants.X_OK);
    else problems.push('FEDECKS_OUTBOX must name a directory, and names a file.');
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    if (MISTAKES.includes(code))
      problems.push(`FEDECKS_OUTBOX names a directory that the agent cannot use (${code}).`);
  }
}

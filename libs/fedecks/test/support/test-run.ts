/** What a run of Jest makes once, for all its workers: its set-up makes a directory for that, and its tear-down deletes it. */
import { existsSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const POLL_MS = 50;

/** A path in the directory of this run. */
export function fileOfRun(name: string): string {
  const { CLOUD_API_TEST_FILES: directory } = process.env;
  if (directory === undefined)
    throw new Error('CLOUD_API_TEST_FILES is not set: globalSetup of jest.config.ts has not run.');
  return join(directory, name);
}

/** Makes it, or waits until another process of the run has made it. If that fails, the next one tries. */
export async function makeOnce(name: string, make: () => Promise<void>): Promise<void> {
  const mark = fileOfRun(`${name}.made`);
  const lock = `${mark}.begun`;
  while (!existsSync(mark)) {
    if (!(await isCreated(lock))) {
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      continue;
    }
    try {
      await make();
      await writeFile(mark, '');
    } catch (error) {
      await rm(lock, { recursive: true });
      throw error;
    }
  }
}

/** Whether the directory is new: of several processes, one creates it. */
async function isCreated(directory: string): Promise<boolean> {
  try {
    await mkdir(directory);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

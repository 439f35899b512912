import { type ChildProcess } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { eventually } from './eventually.js';

/**
 * Sends SIGSTOP; SIGCONT resumes. Resolves when the process has stopped: until its last thread has received the
 * signal, it keeps running.
 */
export async function freeze(child: ChildProcess): Promise<void> {
  child.kill('SIGSTOP');
  const tasks = `/proc/${child.pid}/task`;
  if (!existsSync(tasks)) return;
  await eventually(
    () => readdirSync(tasks).map((task) => readFileSync(`${tasks}/${task}/stat`, 'latin1')),
    (stats) => stats.every((stat) => /\) T/.test(stat)),
  );
}

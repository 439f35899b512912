import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { jest } from '@jest/globals';
import { finalize, firstValueFrom } from 'rxjs';
import { eventually } from '../../../../libs/fedecks/test/support/eventually.js';
import { type CommandLine } from './exec-commands.js';
import { ExecRunner } from './exec-runner.js';

const ENDED = { exitStatus: 0, signal: null, stdout: '', stderr: '', isTruncated: false, isTimedOut: false };

function shell(script: string): CommandLine {
  return { name: 'test', program: 'sh', args: ['-c', script] };
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

it('answers with exit status and output', async () => {
  const result = await firstValueFrom(new ExecRunner().run(shell('echo out; echo err >&2; exit 3')));
  expect(result).toEqual({ ...ENDED, exitStatus: 3, stdout: 'out\n', stderr: 'err\n' });
});

it('passes arguments as they are, without a shell', async () => {
  const args = ['%s', '$(id) `id` ; * \n "'];
  const result = await firstValueFrom(new ExecRunner().run({ name: 'test', program: 'printf', args }));
  expect(result).toEqual({ ...ENDED, stdout: args[1] });
});

it('gives a command only PATH, the root directory, and no input', async () => {
  process.env['http_proxy'] = 'http://user:secret@proxy';
  try {
    const result = await firstValueFrom(new ExecRunner().run({ name: 'test', program: 'env', args: [] }));
    expect(result.stdout).toBe(`PATH=${process.env['PATH']}\n`);
  } finally {
    delete process.env['http_proxy'];
  }
  expect(await firstValueFrom(new ExecRunner().run(shell('pwd; cat')))).toEqual({ ...ENDED, stdout: '/\n' });
});

it('answers with the beginning of an output that is too long, and lets the program end', async () => {
  const result = await firstValueFrom(new ExecRunner().run(shell('yes | head -c 5000000; echo done >&2')));
  expect(result).toMatchObject({ exitStatus: 0, isTruncated: true, stderr: 'done\n' });
  expect(result.stdout).toBe('y\n'.repeat(16 * 1024));
});

it('kills what takes too long, with all that it has started', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'exec-runner-'));
  const running = join(directory, 'running');
  const script = `sleep 1000 & echo $!; : > ${running}; sleep 1000`;
  jest.useFakeTimers();
  const over = new AbortController();
  const ending = firstValueFrom(new ExecRunner().run(shell(script)).pipe(finalize(() => over.abort())));
  // A busy machine may take long until it runs.
  while (!existsSync(running) && !over.signal.aborted) await setImmediate();
  jest.advanceTimersByTime(60_000);
  jest.useRealTimers();
  const result = await ending;
  rmSync(directory, { recursive: true });
  expect(result).toMatchObject({ exitStatus: null, signal: 'SIGKILL', isTimedOut: true });
  const pid = Number(result.stdout);
  expect(pid).toBeGreaterThan(0);
  await eventually(
    () => isAlive(pid),
    (alive) => !alive,
  );
});

it('does not wait for what a command leaves in the background, and kills it', async () => {
  const result = await firstValueFrom(new ExecRunner().run(shell('sleep 1000 & echo $!')));
  expect(result).toMatchObject({ exitStatus: 0, isTimedOut: false });
  await eventually(
    () => isAlive(Number(result.stdout)),
    (alive) => !alive,
  );
});

it('kills a command when nobody waits for it any more', async () => {
  const runner = new ExecRunner();
  const marker = `30.${process.pid}`;
  const running = runner.run({ name: 'test', program: 'sleep', args: [marker] }).subscribe();
  const find = async (): Promise<number> =>
    Number(
      (
        await firstValueFrom(
          new ExecRunner().run({ name: 'find', program: 'pgrep', args: ['-fx', `sleep ${marker}`] }),
        )
      ).stdout,
    );
  const pid = await eventually(find, (found) => found > 0);
  running.unsubscribe();
  await eventually(
    () => isAlive(pid),
    (alive) => !alive,
  );
});

it('runs 4 commands at once, and says so to others', async () => {
  const runner = new ExecRunner();
  const four = Array.from({ length: 4 }, () => runner.run(shell('sleep 1000')).subscribe());
  await expect(firstValueFrom(runner.run(shell('true')))).rejects.toThrow('4 commands run already');
  for (const each of four) each.unsubscribe();
  expect(await firstValueFrom(runner.run(shell('true')))).toEqual(ENDED);
});

it('names a command that cannot be started, and goes on', async () => {
  const runner = new ExecRunner();
  for (let times = 0; times < 6; times++)
    await expect(firstValueFrom(runner.run({ name: 'disk', program: '/no/df', args: [] }))).rejects.toThrow(
      'the command "disk" cannot be started (ENOENT)',
    );
});

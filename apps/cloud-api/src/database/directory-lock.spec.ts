import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseInUseError, DirectoryLock } from './directory-lock.js';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'cloud-api-lock-'));
});
afterEach(() => rm(directory, { recursive: true }));

describe('DirectoryLock', () => {
  it('is held by one at a time', async () => {
    const lock = await DirectoryLock.take(directory);
    await expect(DirectoryLock.take(directory)).rejects.toThrow(DatabaseInUseError);
    await lock.release();
    const next = await DirectoryLock.take(directory);
    await next.release();
    expect(await readdir(directory)).toEqual([]);
  });

  it('is never held by two of many that begin at once', async () => {
    const results = await Promise.allSettled(Array.from({ length: 20 }, () => DirectoryLock.take(directory)));
    const locks = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
    expect(locks.length).toBeLessThanOrEqual(1);
    for (const lock of locks) await lock.release();
    expect(await readdir(directory)).toEqual([]);
  });

  it('is free after the process that held it was killed', async () => {
    const holder = `require('node:net').createServer().listen('database-lock-x', () => console.log('listens'))`;
    const child = spawn(process.execPath, ['-e', holder], { cwd: directory });
    await once(child.stdout, 'data');
    await expect(DirectoryLock.take(directory)).rejects.toThrow(DatabaseInUseError);
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(await readdir(directory)).toEqual(['database-lock-x']);
    const lock = await DirectoryLock.take(directory);
    await lock.release();
    expect(await readdir(directory)).toEqual([]);
  });

  it('says what to change where there can be no socket', async () => {
    const file = join(directory, 'file');
    await writeFile(file, '');
    await expect(DirectoryLock.take(file)).rejects.toThrow('DATA_DIR');
  });
});

import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Revocation } from './revocation-table.js';
import { RevocationsFile } from './revocations-file.js';

describe('The copy of the revocations', () => {
  let directory: string;
  let revocations: Revocation[];
  let failures: unknown[];
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'revocations-file-'));
    revocations = [{ deviceId: 'greenhouse-1', at: 1, until: 2 }];
    failures = [];
  });
  afterEach(() => rm(directory, { recursive: true }));

  const open = (where = directory): RevocationsFile =>
    new RevocationsFile(
      where,
      () => revocations,
      (error) => failures.push(error),
    );

  it('is undefined before one is written', async () => {
    expect(await open().read()).toBeUndefined();
    expect(await open(join(directory, 'missing')).read()).toBeUndefined();
  });

  it('returns what was written, of whatever device', async () => {
    revocations = ['a', '\0', '\ud800', '"', 'ключ'].map((deviceId) => ({ deviceId, at: 3, until: 8.64e15 }));
    await open().flush();
    expect(await open().read()).toEqual(revocations);
  });

  it('is for its owner alone, in a directory that it makes, without files beside it', async () => {
    const made = join(directory, 'data', 'of the app');
    await open(made).flush();
    expect(await readdir(made)).toEqual(['revocations.json']);
    expect((await stat(join(made, 'revocations.json'))).mode & 0o777).toBe(0o600);
    expect((await stat(made)).mode & 0o777).toBe(0o700);
  });

  it('is written with what there is by then when it is to be written later', async () => {
    const file = open();
    file.save();
    revocations = [];
    await file.close();
    expect(await open().read()).toEqual([]);
    expect(failures).toEqual([]);
  });

  it('holds the newest when many ask at once', async () => {
    const file = open();
    const writes = Array.from({ length: 50 }, (_, index) => {
      revocations = [{ deviceId: 'a', at: index, until: 100 }];
      return file.flush();
    });
    await Promise.all(writes);
    expect(await open().read()).toEqual([{ deviceId: 'a', at: 49, until: 100 }]);
  });

  it.each([
    ['no JSON', '{"format":1,"revocations":[["a",1'],
    ['another value', '[]'],
    ['another format', '{"format":2,"revocations":[]}'],
    ['an entry without times', '{"format":1,"revocations":[["a"]]}'],
    ['an entry with a text as time', '{"format":1,"revocations":[["a","1",2]]}'],
  ])('is refused with %s', async (_what, text) => {
    await writeFile(join(directory, 'revocations.json'), text);
    await expect(open().read()).rejects.toThrow('revocations.json');
  });

  it('rejects where it cannot be written, and is written later all the same', async () => {
    const blocked = join(directory, 'blocked');
    await writeFile(blocked, '');
    const file = open(blocked);
    await expect(file.flush()).rejects.toThrow(/EEXIST|ENOTDIR/);
    await rm(blocked);
    await file.flush();
    expect(await open(blocked).read()).toEqual(revocations);
  });
});

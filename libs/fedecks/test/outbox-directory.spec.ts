import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FileOutboxStore } from '../src/client/outbox/file-outbox-store.js';
import { contents, message, Told } from './support/outbox-stores.js';

let told: Told;
beforeEach(() => (told = new Told()));

describe('FileOutboxStore on a real disk', () => {
  let parent: string;
  beforeEach(async () => (parent = await mkdtemp(join(tmpdir(), 'fedecks-outbox-'))));
  afterEach(() => rm(parent, { recursive: true }));

  it('makes its directory for this user alone, and is used by one store at a time', async () => {
    const directory = join(parent, 'made', 'here');
    const store = new FileOutboxStore(directory);
    await store.open(told);
    await store.append(message('x'), 'disk');
    const second = new FileOutboxStore(directory);
    await expect(second.open(told)).rejects.toThrow('This process uses the outbox in');
    expect((await stat(directory)).mode & 0o777).toBe(0o700);
    for (const name of await readdir(directory)) {
      expect((await stat(join(directory, name))).mode & 0o777).toBe(0o600);
    }
    await store.close();
    await second.open(told);
    expect(await contents(second)).toEqual({ 'default 1': 'x' });
    await second.close();
  });

  it('says what to do when its directory is a file', async () => {
    await writeFile(join(parent, 'file'), '');
    const store = new FileOutboxStore(join(parent, 'file'));
    await expect(store.open(told)).rejects.toMatchObject({
      code: 'outbox-unusable',
      message: expect.stringContaining('Choose a path that is a directory') as string,
    });
  });
});

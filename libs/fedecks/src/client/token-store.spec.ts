import {
  chmod,
  chown,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FileTokenStore, MemoryTokenStore, type TokenStore } from './token-store.js';

let parent: string;
let directory: string;

beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), 'fedecks-token-'));
  directory = join(parent, 'made', 'by-the-store');
});

afterEach(() => rm(parent, { recursive: true, force: true }));

async function load(store: TokenStore): Promise<{ token: string | undefined; reports: string[] }> {
  const reports: string[] = [];
  return { token: await store.load((reason) => reports.push(reason)), reports };
}

describe.each([
  ['MemoryTokenStore', () => new MemoryTokenStore()],
  ['FileTokenStore', () => new FileTokenStore(directory, 'nerves-242a')],
])('any token store: %s', (_name, make) => {
  it('has no token at first, and reports no problem', async () => {
    expect(await load(make())).toEqual({ token: undefined, reports: [] });
  });

  it('returns the token saved last', async () => {
    const store = make();
    await store.save('first');
    await store.save('second, with ümläuts\nand a line break');
    expect(await load(store)).toEqual({ token: 'second, with ümläuts\nand a line break', reports: [] });
  });

  it('returns none after removal, and accepts a second removal', async () => {
    const store = make();
    await store.save('first');
    await store.save('second');
    await store.remove();
    await store.remove();
    expect(await load(store)).toEqual({ token: undefined, reports: [] });
  });
});

describe('FileTokenStore', () => {
  const store = (deviceId = 'nerves-242a'): FileTokenStore => new FileTokenStore(directory, deviceId);

  it('returns the token of an earlier run', async () => {
    await store().save('T');
    expect((await load(store())).token).toBe('T');
  });

  it('protects it from other users: 0600 in a directory of 0700', async () => {
    await store().save('T1');
    await store().save('T2');
    expect((await stat(directory)).mode & 0o777).toBe(0o700);
    for (const file of await readdir(directory)) {
      expect((await stat(join(directory, file))).mode & 0o777).toBe(0o600);
    }
  });

  it('leaves no files other than the token and the previous one', async () => {
    for (const token of ['T1', 'T2', 'T3']) await store().save(token);
    expect((await readdir(directory)).sort()).toEqual(['token', 'token.previous']);
  });

  it('detects any truncation, and falls back to the previous token', async () => {
    await store().save('T1');
    await store().save('T2');
    const file = join(directory, 'token');
    const whole = await readFile(file);
    for (let length = whole.length - 1; length >= 0; length--) {
      await truncate(file, length);
      const { token, reports } = await load(store());
      expect({ length, token }).toEqual({ length, token: 'T1' });
      expect(reports).toEqual([expect.stringContaining('is damaged: the client uses the previous token.')]);
    }
  });

  it('detects any changed byte', async () => {
    await store().save('T1');
    const file = join(directory, 'token');
    const whole = await readFile(file);
    for (let at = 0; at < whole.length; at++) {
      const damaged = Buffer.from(whole);
      damaged.writeUInt8(damaged.readUInt8(at) ^ 1, at);
      await writeFile(file, damaged);
      expect({ at, ...(await load(store())) }).toMatchObject({
        at,
        token: undefined,
        reports: [expect.any(String)],
      });
    }
  });

  it('detects bytes after the end', async () => {
    await store().save('T1');
    await writeFile(join(directory, 'token'), 'x', { flag: 'a' });
    expect((await load(store())).token).toBeUndefined();
  });

  it('has no token, and reports it, when both files are damaged', async () => {
    await store().save('T1');
    await store().save('T2');
    for (const file of ['token', 'token.previous']) await writeFile(join(directory, file), '\0\0\0');
    const { token, reports } = await load(store());
    expect(token).toBeUndefined();
    expect(reports).toEqual([
      expect.stringMatching(
        /token is damaged, and .*previous is damaged: the client starts without a token\.$/,
      ),
    ]);
  });

  it('returns the previous token after a power cut between the two renames of a save', async () => {
    await store().save('T1');
    await store().save('T2');
    await rm(join(directory, 'token'));
    expect(await load(store())).toMatchObject({
      token: 'T1',
      reports: [expect.stringContaining('is missing')],
    });
  });

  it('does not replace the good previous token with a damaged one', async () => {
    await store().save('T1');
    await store().save('T2');
    const file = join(directory, 'token');
    await truncate(file, 5);
    await store().save('T3');
    await truncate(file, 5);
    expect((await load(store())).token).toBe('T1');
  });

  it('works after a crash that left a partial file', async () => {
    await store().save('T1');
    await writeFile(join(directory, 'token.new'), 'fedecks', { mode: 0o644 });
    await store().save('T2');
    expect((await load(store())).token).toBe('T2');
    expect((await stat(join(directory, 'token'))).mode & 0o777).toBe(0o600);
  });

  it('does not write through a symbolic link', async () => {
    const elsewhere = join(parent, 'elsewhere');
    await writeFile(elsewhere, 'precious');
    await mkdir(directory, { recursive: true });
    await symlink(elsewhere, join(directory, 'token.new'));
    await store().save('T1');
    expect(await readFile(elsewhere, 'utf8')).toBe('precious');
    expect((await load(store())).token).toBe('T1');
  });

  it('does not return the token of another device id, and does not store the id in clear', async () => {
    await store('secret-id').save('T1');
    expect(await readFile(join(directory, 'token'), 'utf8')).not.toContain('secret-id');
    expect(await load(store('other'))).toMatchObject({
      token: undefined,
      reports: [
        expect.stringContaining('holds the token of another device id: the client starts without a token.'),
      ],
    });
  });

  it('rejects when it cannot save, and keeps the previous token', async () => {
    await writeFile(join(parent, 'made'), 'a file where a directory should be');
    await expect(store().save('T1')).rejects.toMatchObject({ code: 'ENOTDIR' });
    await rm(join(parent, 'made'));
    await store().save('T1');
    // The target for the moved directory exists as well.
    for (const path of ['token.new/x', 'token.new.directory/x'])
      await mkdir(join(directory, path), { recursive: true });
    await expect(store().save('T2')).rejects.toMatchObject({ code: 'ENOTEMPTY' });
    expect((await load(store())).token).toBe('T1');
  });

  it.each(['token', 'token.previous', 'token.new'])(
    'saves over a directory in place of %s, and keeps its contents',
    async (name) => {
      await store().save('T1');
      await rm(join(directory, name), { force: true });
      await mkdir(join(directory, name));
      await store().save('T2');
      expect((await readdir(directory)).filter((each) => each.endsWith('.directory'))).toEqual([]);
      await rm(join(directory, name), { force: true });
      await mkdir(join(directory, name));
      await writeFile(join(directory, name, 'precious'), 'precious');
      await store().save('T3');
      await store().save('T4');
      expect(await load(store())).toEqual({ token: 'T4', reports: [] });
      expect(await readFile(join(directory, `${name}.directory`, 'precious'), 'utf8')).toBe('precious');
    },
  );

  it('removes the token next to a directory', async () => {
    await store().save('T1');
    await mkdir(join(directory, 'token.previous'));
    await store().remove();
    expect(await readdir(directory)).toEqual(['token.previous']);
  });

  it.each([
    ['a FIFO', (path: string) => execFileSync('mkfifo', [path])],
    ['a socket', listenAndLeave],
    ['a directory', (path: string) => mkdir(path)],
    ['a link to a device', (path: string) => symlink('/dev/zero', path)],
    ['a file of 400 MB', (path: string) => writeFile(path, '').then(() => truncate(path, 400_000_000))],
    ['a file of 4097 bytes', (path: string) => writeFile(path, 'x'.repeat(4097))],
  ])(
    'ignores %s as a token, reports it, falls back to the previous one, and saves over it',
    async (_what, make) => {
      await store().save('T1');
      await store().save('T2');
      await rm(join(directory, 'token'));
      await make(join(directory, 'token'));
      const before = process.memoryUsage.rss();
      expect(await load(store())).toEqual({
        token: 'T1',
        reports: [
          expect.stringContaining(
            'token is not a regular file of at most 4096 bytes: the client uses the previous',
          ),
        ],
      });
      expect(process.memoryUsage.rss() - before).toBeLessThan(200_000_000);
      await store().save('T3');
      expect(await load(store())).toEqual({ token: 'T3', reports: [] });
    },
  );

  it('does not write a renewed token with hardly more lifetime', async () => {
    await store().save(jwt(1_000_000));
    const { mtimeNs, ino } = await stat(join(directory, 'token'), { bigint: true });
    for (let second = 1; second <= 50; second++) await store().save(jwt(1_000_000 + second));
    expect(await stat(join(directory, 'token'), { bigint: true })).toMatchObject({ mtimeNs, ino });
    await store().save(jwt(1_000_000 + 86_400));
    expect((await load(store())).token).toBe(jwt(1_000_000 + 86_400));
  });

  it('reports a file that cannot be read, without rejecting', async () => {
    await mkdir(directory, { recursive: true });
    await symlink('token', join(directory, 'token'));
    expect(await load(store())).toMatchObject({
      token: undefined,
      reports: [expect.stringContaining('cannot be read')],
    });
  });

  it('rejects in a read-only directory', async () => {
    await store().save('T1');
    await chmod(directory, 0o500);
    // Root may write anywhere, so this runs as nobody.
    const root = process.geteuid?.() === 0;
    if (root) {
      for (const path of [parent, directory, join(directory, 'token')]) await chown(path, NOBODY, NOBODY);
      process.seteuid?.(NOBODY);
    }
    try {
      await expect(store().save('T2')).rejects.toMatchObject({ code: 'EACCES' });
    } finally {
      if (root) process.seteuid?.(0);
      await chmod(directory, 0o700);
    }
    expect((await load(store())).token).toBe('T1');
  });
});

const NOBODY = 65534;

/** A token with a lifetime of one day, as the cloud issues it. */
const jwt = (iat: number): string =>
  `e30.${Buffer.from(JSON.stringify({ sub: 'nerves-242a', iat, exp: iat + 86_400 })).toString('base64url')}.s`;

/** A socket file survives its server if it was moved meanwhile. */
async function listenAndLeave(path: string): Promise<void> {
  const server = createServer().listen(`${path}.made`);
  await once(server, 'listening');
  await rename(`${path}.made`, path);
  server.close();
}

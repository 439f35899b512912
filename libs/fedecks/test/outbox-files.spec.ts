import { setTimeout as pass } from 'node:timers/promises';
import { type FileOutboxStore } from '../src/client/outbox/file-outbox-store.js';
import { contents, DIRECTORY, epochs, fileStore, message, TestClock, Told } from './support/outbox-stores.js';
import { PowerCutDisk } from './support/power-cut-disk.js';

const TEXT = 'x'.repeat(300);
let disk: PowerCutDisk;
let clock: TestClock;
let told: Told;

beforeEach(() => {
  disk = new PowerCutDisk();
  clock = new TestClock();
  told = new Told();
});

const count = (type: string): number => disk.log.filter((each) => each.type === type).length;
const segments = (): string[] => [...disk.names.keys()].filter((path) => path.endsWith('.outbox'));

describe('FileOutboxStore', () => {
  it('writes nothing while nothing happens, but one header when it opens', async () => {
    await opened((store) => store.append(message('a'), 'disk'));
    const before = { writes: count('write'), syncs: count('sync') };
    await opened(() => pass(20), { syncMs: 1 });
    // The other write is that of the lock.
    expect({ writes: count('write'), syncs: count('sync') }).toEqual({
      writes: before.writes + 2,
      syncs: before.syncs + 1,
    });
  });

  it('writes all that is appended in one turn at once, and flushes it once for syncMs', async () => {
    await opened(
      async (store) => {
        await store.append(message('first'), 'disk');
        await pass(40);
        const before = [count('write'), count('sync')];
        await Promise.all(Array.from({ length: 10 }, () => store.append(message(TEXT), 'disk')));
        await Promise.all(Array.from({ length: 10 }, () => store.append(message(TEXT), 'disk')));
        expect([count('write'), count('sync')]).toEqual([before[0]! + 2, before[1]]);
        await pass(40);
        expect([count('write'), count('sync')]).toEqual([before[0]! + 2, before[1]! + 1]);
      },
      { syncMs: 20, segmentBytes: 1_048_576 },
    );
  });

  it('flushes before it resolves: power', async () => {
    await opened(async (store) => {
      const before = count('sync');
      await store.append(message(TEXT), 'power');
      expect(count('sync')).toBe(before + 1);
    });
  });

  it('never writes a message of degree memory that is acknowledged before syncMs', async () => {
    await opened(
      async (store) => {
        const before = disk.log.length;
        for (let seq = 1; seq <= 3; seq++) await store.append(message(TEXT), 'memory');
        store.acknowledge('default', 3);
        await pass(60);
        expect(disk.log).toHaveLength(before);
      },
      { syncMs: 20 },
    );
  });

  it('writes and flushes a message of degree memory after syncMs', async () => {
    await opened(
      async (store) => {
        await store.append(message(TEXT), 'memory');
        clock.pass(20);
        await pass(60);
        expect(disk.names.get(segments()[0]!)!.content.includes(TEXT)).toBe(true);
        expect(disk.log.at(-1)).toMatchObject({ type: 'sync' });
        expect(await contents(store)).toEqual({ 'default 1': TEXT });
      },
      { syncMs: 20 },
    );
  });

  it('gives a number again only in another epoch, if a message of degree memory was never written', async () => {
    const names: string[] = [];
    for (let run = 0; run < 2; run++) {
      await opened(async (store) => {
        const seq = await store.append(message('x'), 'memory');
        names.push(`${store.state().epoch}/${seq}`);
        store.acknowledge('default', seq);
      });
    }
    expect(new Set(names).size).toBe(2);
  });

  it('removes files in which nothing waits, and moves what waits among what does not', async () => {
    await opened(async (store) => {
      await store.append(message('alarm that stays', { lane: 'alarms' }), 'disk');
      for (let round = 0; round < 40; round++) {
        const seqs = Array.from({ length: 5 }, () => store.append(message(TEXT), 'disk'));
        store.acknowledge('default', Math.max(...(await Promise.all(seqs))));
      }
      await store.flush();
      expect(segments().length).toBeLessThan(6);
      expect(await contents(store)).toEqual({ 'alarms 1': 'alarm that stays' });
    });
    await opened(async (store) => expect(await contents(store)).toEqual({ 'alarms 1': 'alarm that stays' }));
    expect(told.failures).toEqual([]);
  });

  it('rejects what a full disk does not take, says what to do, keeps the rest, and goes on', async () => {
    await opened(async (store) => {
      await store.append(message('before'), 'disk');
      disk.fail = (what) => (what === 'write' ? 'ENOSPC' : undefined);
      for (const durability of ['disk', 'power'] as const) {
        await expect(store.append(message('lost'), durability)).rejects.toMatchObject({
          code: 'outbox-write-failed',
          message: expect.stringContaining('Free space on the disk') as string,
        });
      }
      const seq = await store.append(message('in memory'), 'memory');
      await expect(store.flush()).rejects.toMatchObject({ code: 'outbox-write-failed' });
      disk.fail = () => undefined;
      expect(await contents(store)).toEqual({ 'default 1': 'before', [`default ${seq}`]: 'in memory' });
      await store.append(message('after'), 'disk');
    });
    expect(told.failures.map(({ cause }) => cause)).toEqual(['write_failed']);
    await opened(async (store) =>
      expect(Object.values(await contents(store))).toEqual(['before', 'in memory', 'after']),
    );
    expect(told.failures).toHaveLength(1);
  });

  it('cuts off what a full disk took of a record', async () => {
    await opened(async (store) => {
      await store.append(message('before'), 'disk');
      disk.fail = (what) => (what === 'write' ? 'ENOSPC' : undefined);
      await expect(store.append(message('lost'), 'disk')).rejects.toThrow('Free space on the disk');
      disk.fail = () => undefined;
    });
    told = new Told();
    await opened(async (store) => expect(Object.values(await contents(store))).toEqual(['before']));
    expect(told.failures).toEqual([]);
  });

  it('writes a removal that a full disk did not take when there is room again', async () => {
    await opened(async (store) => {
      await store.append(message('handled'), 'disk');
      store.acknowledge('default', 1);
      disk.fail = (what) => (what === 'write' ? 'ENOSPC' : undefined);
      await expect(store.flush()).rejects.toThrow('Free space on the disk');
      disk.fail = () => undefined;
    });
    await opened(async (store) => expect(await contents(store)).toEqual({}));
  });

  it('does not bring back what was removed while it was written', async () => {
    await opened(async (store) => {
      disk.fail = (what) => {
        if (what === 'write') store.remove('default', 1);
        return undefined;
      };
      await store.append(message('removed'), 'disk');
      disk.fail = () => undefined;
    });
    await opened(async (store) => expect(await contents(store)).toEqual({}));
  });

  it('has the newer of two messages with a key after a kill -9 before the removal of the older was written', async () => {
    await opened(async (store) => {
      await store.append(message('old', { key: 'k' }), 'disk');
      await store.append(message('new', { key: 'k' }), 'disk');
      const left = disk.clone();
      clock.reboot();
      const after = fileStore(left, clock);
      await after.open(told);
      expect(Object.values(await contents(after))).toEqual(['new']);
      await after.close();
    });
  });

  it('begins another file when a write can be neither finished nor undone', async () => {
    await opened(async (store) => {
      await store.append(message('before'), 'disk');
      disk.fail = (what) => (what === 'write' || what === 'truncate' ? 'EIO' : undefined);
      await expect(store.append(message('lost'), 'disk')).rejects.toMatchObject({
        code: 'outbox-write-failed',
      });
      disk.fail = () => undefined;
      await store.append(message('after'), 'disk');
    });
    await opened(async (store) => expect(Object.values(await contents(store))).toEqual(['before', 'after']));
  });

  it('rejects what cannot be flushed: power', async () => {
    await opened(async (store) => {
      disk.fail = (what) => (what === 'sync' ? 'EIO' : undefined);
      await expect(store.append(message('lost'), 'power')).rejects.toThrow('Replace the disk');
      disk.fail = () => undefined;
      await store.append(message('after'), 'power');
      expect(Object.values(await contents(store))).toEqual(['after']);
    });
    expect(told.failures.map(({ cause }) => cause)).toEqual(['sync_failed']);
  });

  it('keeps the old numbers when a new epoch cannot be written', async () => {
    await opened(async (store) => {
      await store.append(message('a'), 'disk');
      const before = store.state();
      disk.fail = (what) => (what === 'write' ? 'EROFS' : undefined);
      await expect(store.newEpoch()).rejects.toThrow('Mount the file system writable');
      disk.fail = () => undefined;
      expect(store.state()).toEqual(before);
      expect(await store.append(message('b'), 'disk')).toBe(2);
    });
  });

  it('takes a new epoch with each open, and knows under which a message was put in', async () => {
    const taken: string[] = [];
    for (let run = 1; run <= 4; run++) {
      await opened(async (store) => {
        taken.push(store.state().epoch);
        // The third run puts nothing in, and the number goes on all the same.
        if (run !== 3) await store.append(message(`${run}`), 'disk');
      });
    }
    expect(new Set(taken).size).toBe(4);
    await opened(async (store) => {
      expect(await contents(store)).toEqual({ 'default 1': '1', 'default 2': '2', 'default 3': '4' });
      expect(epochs(store)).toEqual({ 'default 1': taken[0], 'default 2': taken[1], 'default 3': taken[3] });
      const { held, spans, next } = store.positions()[0]!;
      expect([held, next]).toEqual([[{ from: 1, to: 3 }], 4]);
      expect(spans.map(({ epoch, from }) => [taken.indexOf(epoch), from])).toEqual([
        [0, 1],
        [1, 2],
        [2, 3],
        [3, 3],
        [-1, 4],
      ]);
    });
  });

  it('goes on counting after all files but the newest are removed', async () => {
    let last = 0;
    let first = '';
    await opened(
      async (store) => {
        first = segments()[0]!;
        for (let index = 0; index < 30; index++) last = await store.append(message(TEXT), 'disk');
        store.acknowledge('default', last);
        await store.flush();
        // In another lane, until no file names a message of the first.
        for (let seq = 1; seq <= 20; seq++) {
          await store.append(message(TEXT, { lane: 'other' }), 'disk');
          store.acknowledge('other', seq);
        }
        await store.flush();
        await pass(20);
      },
      { syncMs: 1 },
    );
    expect(segments()).not.toContain(first);
    await opened(async (store) => expect(await store.append(message('y'), 'disk')).toBeGreaterThan(last));
  });

  it('forgets epochs of which nothing waits, but the last hundred behind what waits', async () => {
    await opened((store) => store.append(message('x'), 'disk'));
    for (let run = 0; run < 150; run++) await opened(async () => undefined);
    await opened(async (store) => {
      expect(store.positions()[0]!.spans).toHaveLength(102);
      expect(await contents(store)).toEqual({ 'default 1': 'x' });
      store.acknowledge('default', 1);
    });
    await opened(async (store) => expect(store.positions()[0]!.spans).toHaveLength(1));
  });

  it('gives each lane its number again, and that of an empty lane to another', async () => {
    await opened(async (store) => {
      for (const lane of ['a', 'b', 'c']) await store.append(message('x', { lane }), 'memory');
      store.acknowledge('a', 1);
    });
    await opened(async (store) => {
      await store.append(message('x', { lane: 'd' }), 'disk');
      expect(
        store
          .state()
          .lanes.map(({ lane, number }) => `${lane}${number}`)
          .sort(),
      ).toEqual(['b1', 'c2', 'd0']);
    });
  });

  it.each([
    ['after the wall time since then, across boots', 3_600_000, 1_000],
    ['from when it was found, if the clock went back', -3_600_000, 3_601_000],
  ])('lets a message expire %s', async (_what, offForMs, nextInMs) => {
    await opened((store) => store.append(message('x', { ttlMs: 3_601_000 }), 'disk'));
    clock.reboot(offForMs);
    await opened(async (store) => expect(store.expired(1)).toEqual({ due: [], nextInMs }));
  });

  it('replaces by key after a reopen, too', async () => {
    await opened((store) => store.append(message('old', { key: 'k' }), 'disk'));
    await opened((store) => store.append(message('new', { key: 'k' }), 'disk'));
    await opened(async (store) => expect(Object.values(await contents(store))).toEqual(['new']));
    expect(told.removed).toEqual(['default 1 replaced']);
  });

  it.each([
    ['of another process that runs', process.ppid, false],
    ['of a process that has ended', 2 ** 22 - 3, true],
  ])('is %s: a lock', async (_what, pid, isOpen) => {
    const { startOf } = await import('../src/client/outbox/directory-lock.js');
    const lock = await disk.open(`${DIRECTORY}/lock`, 'create');
    await lock.write(Buffer.from(`${pid} ${startOf(pid)} ${clock.bootId}\n`), 0);
    const store = fileStore(disk, clock);
    if (!isOpen) {
      await expect(store.open(told)).rejects.toMatchObject({
        code: 'outbox-locked',
        message: expect.stringContaining(`Process ${pid} uses the outbox`) as string,
      });
      clock.reboot();
    }
    await store.open(told);
    await store.close();
    expect(disk.names.has(`${DIRECTORY}/lock`)).toBe(false);
  });

  async function opened(
    use: (store: FileOutboxStore) => Promise<unknown>,
    options: Parameters<typeof fileStore>[2] = {},
  ): Promise<void> {
    const store = fileStore(disk, clock, options);
    await store.open(told);
    await use(store);
    await store.close();
  }
});

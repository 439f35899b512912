import { type FileOutboxStore } from '../src/client/outbox/file-outbox-store.js';
import { type OutboxState } from '../src/client/outbox/outbox-store.js';
import { contents, DIRECTORY, epochs, fileStore, message, TestClock, Told } from './support/outbox-stores.js';
import { PowerCutDisk } from './support/power-cut-disk.js';

interface Reopened {
  readonly store: FileOutboxStore;
  readonly state: OutboxState;
  readonly told: Told;
  readonly found: Record<string, string>;
}

/** Messages 1 to 14; the waiting ones are not acknowledged and not removed. */
const TEXTS = Array.from({ length: 14 }, (_, index) => `message ${index} `.padEnd(90 + index, '.'));
const WAITING = TEXTS.filter((_text, index) => index > 1 && index !== 8);
let disk: PowerCutDisk;
let epoch: string;
/** What each segment holds before anything is damaged. */
let originals: Map<string, string>;

/** Four segments, the last of them in use: 14 messages, of which 2 are acknowledged and one is removed. */
beforeAll(async () => {
  disk = new PowerCutDisk();
  const store = fileStore(disk, new TestClock(), { segmentBytes: 900 });
  ({ epoch } = await store.open(new Told()));
  for (const text of TEXTS) await store.append(message(text), 'disk');
  store.acknowledge('default', 2);
  store.remove('default', 9);
  await store.close();
  originals = new Map([...disk.names].map(([path, { content }]) => [path, content.toString('latin1')]));
});

async function reopen(files: PowerCutDisk): Promise<Reopened> {
  const told = new Told();
  const store = fileStore(files, new TestClock(), { segmentBytes: 900 });
  const state = await store.open(told);
  return { store, state, told, found: await contents(store) };
}

const segments = (): string[] => [...disk.names.keys()].sort();

/** Checks that what is missing comes from the damaged segment, from its damage on, and that it is said. */
async function check(path: string, at: number, damaged: PowerCutDisk, isSilent: boolean): Promise<void> {
  const { store, state, told, found } = await reopen(damaged);
  const original = originals.get(path)!;
  const texts = new Set(Object.values(found));
  // What stands before the damage, or in another file, is there.
  const mayBeLost = (text: string): boolean =>
    original.includes(text) && (at < headerBytes(original) || original.indexOf(text) + text.length > at);
  const foundEpochs = new Set(Object.values(epochs(store)));
  const seq = await store.append(message('new'), 'power');
  await store.close();
  const again = await reopen(damaged);
  await again.store.close();
  // One expect, as there are thousands of cases.
  expect({
    path,
    at,
    lost: WAITING.filter((text) => !texts.has(text) && !mayBeLost(text)),
    invented: [...texts].filter((text) => !TEXTS.includes(text)),
    saidOf: told.failures.map(({ reason }) => reason.includes(path)),
    // It is another epoch, also where the numbers that were given are unknown.
    isNewEpoch: state.epoch !== epoch,
    epochs: [...foundEpochs],
    isNewNumber: seq > Math.max(0, ...Object.keys(found).map(seqOf)),
    saidAgain: again.told.failures,
    foundAgain: again.found,
  }).toEqual({
    path,
    at,
    lost: [],
    invented: [],
    saidOf: isSilent ? [] : [true],
    isNewEpoch: true,
    epochs: texts.size > 0 ? [epoch] : [],
    isNewNumber: true,
    saidAgain: [],
    foundAgain: { ...found, [`default ${seq}`]: 'new' },
  });
}

/** How long the header of a file is, which is its first frame. */
const headerBytes = (file: string): number => 8 + Buffer.from(file, 'latin1').readUInt32LE(4);

const seqOf = (id: string): number => Number(id.split(' ')[1]);

describe('a store with a damaged file', () => {
  it('is intact before it is damaged', async () => {
    const { store, told, found } = await reopen(disk.clone());
    expect(segments().filter((path) => path.endsWith('.outbox'))).toHaveLength(4);
    expect(told.failures).toEqual([]);
    expect(Object.keys(found)).toHaveLength(11);
    await store.close();
  });

  it('opens with a byte flipped anywhere, loses what stands behind it in its file, says so, and says it once', async () => {
    for (const path of segments()) {
      const { length } = disk.names.get(path)!.content;
      for (let at = 0; at < length; at++) {
        const damaged = disk.clone();
        damaged.names.get(path)!.content[at]! ^= 1 << (at & 7);
        await check(path, at, damaged, false);
      }
    }
  });

  it('opens with a file cut anywhere, and says so unless the newest is cut between two records', async () => {
    for (const path of segments()) {
      const { content } = disk.names.get(path)!;
      const isNewest = path === segments().at(-1);
      const ends = isNewest ? await frameEnds(content) : [];
      for (let at = 0; at < content.length; at++) {
        const damaged = disk.clone();
        const inode = damaged.names.get(path)!;
        inode.content = inode.content.subarray(0, at);
        await check(path, at, damaged, ends.includes(at));
      }
    }
  });

  it('opens without one of its files, and says so unless it was the newest', async () => {
    for (const path of segments().slice(1, -1)) {
      const damaged = disk.clone();
      damaged.names.delete(path);
      await check(path, 0, damaged, false);
    }
  });

  it('does not open what a newer version has written, and changes nothing', async () => {
    const newer = disk.clone();
    const path = segments().at(-1)!;
    const { content } = newer.names.get(path)!;
    content[15] = 2;
    const { crc32c } = await import('../src/client/outbox/crc32c.js');
    content.writeUInt32LE(crc32c(content, 4, 8 + content.readUInt32LE(4)), 0);
    const store = fileStore(newer, new TestClock(), { segmentBytes: 900 });
    await expect(store.open(new Told())).rejects.toMatchObject({
      code: 'outbox-unusable',
      message: expect.stringContaining('use that version, or another directory') as string,
    });
    expect(newer.names.get(path)!.content).toEqual(content);
    expect(newer.names.has(`${DIRECTORY}/lock`)).toBe(false);
  });

  it('reports a record that becomes unreadable while it is open, and goes on', async () => {
    const damaged = disk.clone();
    const { store, told } = await reopen(damaged);
    const { content } = damaged.names.get(segments()[0]!)!;
    content[content.indexOf(TEXTS[3]!)]! ^= 1;
    expect(await store.read('default', 4)).toBeUndefined();
    expect(told.removed).toEqual(['default 4 damaged']);
    expect(told.failures[0]?.reason).toContain("Message 4 of lane 'default'");
    expect(store.following('default', 3)).toBe(5);
    await store.close();
  });
});

/** Where frames end in a file: cut there, it looks as if nothing had followed. */
async function frameEnds(content: Buffer): Promise<number[]> {
  const ends: number[] = [];
  for (let at = 0; at < content.length;) ends.push((at += 8 + content.readUInt32LE(at + 4)));
  return ends;
}

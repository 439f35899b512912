import { type HandledPosition } from '../delivery/index.js';
import { PowerCutDisk } from '../../test/support/power-cut-disk.js';
import { seeded } from '../../test/support/seeded.js';
import { PositionsFile } from './positions-file.js';

const SEED = Number(process.env['POWER_CUT_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
const PATH = '/token/positions';
const at = (seq: number, lane = 0, epoch = 'E'): HandledPosition => ({ lane, epoch, seq });

async function load(
  disk: PowerCutDisk,
  deviceId = 'nerves-242a',
): Promise<{ positions: readonly HandledPosition[]; reports: string[] }> {
  const reports: string[] = [];
  const file = new PositionsFile('/token', deviceId, disk);
  return { positions: await file.load((reason) => reports.push(reason)), reports };
}

describe('PositionsFile', () => {
  let disk: PowerCutDisk;
  let file: PositionsFile;
  beforeEach(() => {
    disk = new PowerCutDisk();
    file = new PositionsFile('/token', 'nerves-242a', disk);
  });

  it('has no positions at first, and reports no problem', async () => {
    expect(await load(disk)).toEqual({ positions: [], reports: [] });
    expect(disk.log).toEqual([]);
  });

  it('has the positions saved last', async () => {
    await file.save([at(1)]);
    const all = Array.from({ length: 8 }, (_, lane) => at(Number.MAX_SAFE_INTEGER, lane, '~'.repeat(32)));
    await file.save(all);
    expect(await load(disk)).toEqual({ positions: all, reports: [] });
    expect([...disk.names.keys()]).toEqual([PATH]);
  });

  it('has those of one device id', async () => {
    await file.save([at(1)]);
    expect(await load(disk, 'other')).toEqual({
      positions: [],
      reports: [expect.stringMatching(/^\/token\/positions is that of another device id: /)],
    });
  });

  it('has no positions, and says so, when any byte of it is another one, is missing, or is too many', async () => {
    await file.save([at(7), at(3, 2, 'F')]);
    const inode = disk.names.get(PATH)!;
    const whole = Buffer.from(inode.content);
    const damaged = [...whole.keys()].flatMap((index) => {
      const flipped = Array.from({ length: 8 }, (_, bit) => {
        const copy = Buffer.from(whole);
        copy[index]! ^= 1 << bit;
        return copy;
      });
      return [...flipped, whole.subarray(0, index)];
    });
    for (const content of [...damaged, Buffer.concat([whole, whole]), Buffer.alloc(1_000_000, whole)]) {
      inode.content = content;
      expect(await load(disk)).toEqual({
        positions: [],
        reports: [expect.stringMatching(/^\/token\/positions is damaged: .* may be handled again\.$/)],
      });
    }
    inode.content = whole;
    expect((await load(disk)).reports).toEqual([]);
  });

  it('saves again when a disk was full', async () => {
    await file.save([at(1)]);
    for (const what of ['write', 'sync', 'create', 'unlink'] as const) {
      disk.fail = (each) => (each === what ? 'ENOSPC' : undefined);
      // There is nothing to unlink before something was left.
      if (what !== 'unlink') await expect(file.save([at(2)])).rejects.toThrow('ENOSPC');
      expect((await load(disk)).positions).toEqual([at(1)]);
    }
    disk.fail = () => undefined;
    await file.save([at(2)]);
    expect(await load(disk)).toEqual({ positions: [at(2)], reports: [] });
  });

  it(`has the positions before a save or those after it when the power fails, and those after it when it has resolved (POWER_CUT_SEED=${SEED})`, async () => {
    const random = seeded(SEED);
    const savedAt: number[] = [0];
    for (let seq = 1; seq <= 5; seq++) {
      await file.save([at(seq)]);
      savedAt.push(disk.log.length);
    }
    for (let cut = 0; cut <= disk.log.length; cut++) {
      for (let variant = 0; variant < 20; variant++) {
        const { positions, reports } = await load(disk.after(cut, random));
        const kept = savedAt.findLastIndex((each) => each <= cut);
        const seq = positions[0]?.seq ?? 0;
        expect({ cut, reports, isRight: seq === kept || seq === kept + 1 }).toEqual({
          cut,
          reports: [],
          isRight: true,
        });
      }
    }
  });
});

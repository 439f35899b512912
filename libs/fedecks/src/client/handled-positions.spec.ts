import { type HandledPosition } from '../delivery/index.js';
import { HandledPositions } from './handled-positions.js';
import { PositionsFile } from './positions-file.js';

const at = (seq: number, lane = 0, epoch = 'E'): HandledPosition => ({ lane, epoch, seq });
const tick = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A file that writes when the test lets it. */
class SlowFile extends PositionsFile {
  readonly saves: {
    readonly positions: readonly HandledPosition[];
    readonly end: (error?: Error) => void;
  }[] = [];
  loads = 0;

  constructor(private readonly found: readonly HandledPosition[] = []) {
    super('/nowhere', 'nerves-242a');
  }

  override async load(): Promise<readonly HandledPosition[]> {
    this.loads++;
    return this.found;
  }

  override save(positions: readonly HandledPosition[]): Promise<void> {
    return new Promise((resolve, reject) => {
      const end = (error?: Error): void => (error ? reject(error) : resolve());
      this.saves.push({ positions, end });
    });
  }
}

describe('HandledPositions', () => {
  let file: SlowFile;
  let positions: HandledPositions;
  beforeEach(() => {
    file = new SlowFile([at(3)]);
    positions = new HandledPositions(file, () => undefined);
  });

  it('reads the file at the first claim, and gives each claim a greater generation', async () => {
    expect(file.loads).toBe(0);
    const first = await positions.claim();
    const second = await positions.claim();
    expect(first.handled).toEqual([at(3)]);
    expect(second.handled).toEqual([at(3)]);
    expect(second.generation).toBeGreaterThan(first.generation);
    expect(file.loads).toBe(1);
    expect(file.saves).toEqual([]);
  });

  it('writes once for all that is handled while it writes', async () => {
    const { generation } = await positions.claim();
    const first = positions.setHandled(generation, at(4));
    await tick();
    const others = [1, 2, 3].map((lane) => positions.setHandled(generation, at(9, lane)));
    await tick();
    expect(file.saves.map((save) => save.positions)).toEqual([[at(4)]]);
    file.saves[0]!.end();
    expect(await first).toBe(true);
    await tick();
    expect(file.saves).toHaveLength(2);
    expect(file.saves[1]!.positions).toEqual([at(4), at(9, 1), at(9, 2), at(9, 3)]);
    file.saves[1]!.end();
    expect(await Promise.all(others)).toEqual([true, true, true]);
  });

  it('writes nothing that is kept', async () => {
    const { generation } = await positions.claim();
    expect(await positions.setHandled(generation, at(3))).toBe(true);
    expect(await positions.setHandled(generation, at(2))).toBe(true);
    expect(file.saves).toEqual([]);
  });

  it('waits with a claim for what is being written', async () => {
    const { generation } = await positions.claim();
    void positions.setHandled(generation, at(4));
    const claim = positions.claim();
    await tick();
    file.saves[0]!.end();
    expect((await claim).handled).toEqual([at(4)]);
  });

  it('keeps nothing that it could not write, and refuses it after a newer claim', async () => {
    const { generation } = await positions.claim();
    const handled = positions.setHandled(generation, at(4));
    await tick();
    file.saves[0]!.end(new Error('no disk'));
    await expect(handled).rejects.toThrow('no disk');
    const newer = await positions.claim();
    expect(newer.handled).toEqual([at(3)]);
    expect(await positions.setHandled(generation, at(4))).toBe(false);
    expect(file.saves).toHaveLength(1);
    const again = positions.setHandled(newer.generation, at(4));
    await tick();
    file.saves[1]!.end();
    expect(await again).toBe(true);
  });

  it('writes nothing after it was closed', async () => {
    const { generation } = await positions.claim();
    positions.close();
    expect(await positions.setHandled(generation, at(4))).toBe(false);
    expect(file.saves).toEqual([]);
  });

  it('keeps positions in memory without a file', async () => {
    positions = new HandledPositions(undefined, () => undefined);
    const { generation, handled } = await positions.claim();
    expect(handled).toEqual([]);
    expect(await positions.setHandled(generation, at(4))).toBe(true);
    expect((await positions.claim()).handled).toEqual([at(4)]);
  });
});

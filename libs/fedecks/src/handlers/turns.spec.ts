import { jest } from '@jest/globals';
import { Turns, type Worker } from './turns.js';

/** A clock that only work moves. */
class Clock {
  ms = 0;
  readonly now = (): number => this.ms;
}

/** Takes part in turns, and notes when it was served. */
function worker(
  name: string,
  { turns, clock, served }: { turns: Turns; clock: Clock; served: string[] },
  { heavy = false, ms = 0.5, slices = 1 } = {},
): Worker {
  let left = slices;
  const self: Worker = {
    heavy,
    work() {
      served.push(name);
      clock.ms += ms;
      if (--left > 0) turns.add(self);
    },
  };
  return self;
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('Turns', () => {
  let clock: Clock;
  let turns: Turns;
  let served: string[];
  beforeEach(() => {
    clock = new Clock();
    turns = new Turns(clock.now);
    served = [];
  });

  it('serves workers in the order in which they came, one slice each', async () => {
    for (const name of ['a', 'b']) turns.add(worker(name, { turns, clock, served }, { slices: 2 }));
    expect(served).toEqual([]);
    await turn();
    expect(served).toEqual(['a', 'b']);
    await turn();
    expect(served).toEqual(['a', 'b', 'a', 'b']);
  });

  it('serves light work before heavy work that came first', async () => {
    turns.add(worker('heavy', { turns, clock, served }, { heavy: true }));
    turns.add(worker('light', { turns, clock, served }));
    expect(turns.busy).toBe(true);
    await turn();
    expect(served).toEqual(['light', 'heavy']);
    expect(turns.busy).toBe(false);
  });

  it('ends a turn after 8 ms, and goes on where it stopped', async () => {
    for (let i = 0; i < 30; i++) turns.add(worker(String(i), { turns, clock, served }));
    await turn();
    expect(served).toEqual(Array.from({ length: 16 }, (_, i) => String(i)));
    await turn();
    expect(served).toEqual(Array.from({ length: 30 }, (_, i) => String(i)));
  });

  it('is busy for those it serves, so that heavy work they find waits its turn', async () => {
    let busy = false;
    turns.add({
      heavy: false,
      work() {
        busy = turns.busy;
      },
    });
    expect(turns.busy).toBe(false);
    await turn();
    expect([busy, turns.busy]).toEqual([true, false]);
  });

  it('does not count what it has served against what arrives after it', async () => {
    turns.add({ heavy: true, work: () => turns.spend(20) });
    await turn();
    expect(turns.used).toBe(false);
  });

  it('serves one heavy worker a turn, however much light work there is', async () => {
    for (const name of ['h1', 'h2'])
      turns.add(worker(name, { turns, clock, served }, { heavy: true, ms: 20 }));
    for (let i = 0; i < 40; i++) turns.add(worker('light', { turns, clock, served }));
    await turn();
    expect(served.filter((name) => name !== 'light')).toEqual(['h1']);
    await turn();
    expect(served.filter((name) => name !== 'light')).toEqual(['h1', 'h2']);
  });

  it('is used up after 8 ms of counted work, until the next turn', async () => {
    turns.spend(4);
    expect(turns.used).toBe(false);
    turns.spend(4);
    expect(turns.used).toBe(true);
    await turn();
    expect(turns.used).toBe(false);
  });

  it('serves the others when one throws', async () => {
    const scheduled = jest.spyOn(globalThis, 'setImmediate').mockReturnValueOnce(undefined as never);
    turns.add(worker('first', { turns, clock, served }));
    const serve = scheduled.mock.calls[0]![0];
    scheduled.mockRestore();
    const failing: Worker = {
      heavy: false,
      work() {
        throw new Error('a fault of ours');
      },
    };
    turns.add(failing);
    turns.add(worker('light', { turns, clock, served }));
    turns.add(worker('heavy', { turns, clock, served }, { heavy: true }));
    expect(serve).toThrow('a fault of ours');
    await turn();
    expect(served).toEqual(['first', 'light', 'heavy']);
  });
});

import { jest } from '@jest/globals';
import { type Weight, Turns, type Worker } from './turns.js';

/** A clock that only work advances. */
class Clock {
  ms = 0;
  readonly now = (): number => this.ms;
}

/** A worker that records when it was served. */
function worker(
  name: string,
  { turns, clock, served }: { turns: Turns; clock: Clock; served: string[] },
  { weight = 'light', ms = 0.5, slices = 1 }: { weight?: Weight; ms?: number; slices?: number } = {},
): Worker {
  let left = slices;
  const self: Worker = {
    weight,
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

  it('serves workers in order of arrival, one slice each', async () => {
    for (const name of ['a', 'b']) turns.add(worker(name, { turns, clock, served }, { slices: 2 }));
    expect(served).toEqual([]);
    await turn();
    expect(served).toEqual(['a', 'b']);
    await turn();
    expect(served).toEqual(['a', 'b', 'a', 'b']);
  });

  it('serves light work before bulk and heavy work that arrived first', async () => {
    for (const weight of ['heavy', 'bulk', 'light'] as const)
      turns.add(worker(weight, { turns, clock, served }, { weight }));
    expect(turns.busy).toBe(true);
    await turn();
    expect(served).toEqual(['light', 'bulk', 'heavy']);
    expect(turns.busy).toBe(false);
  });

  it('ends a turn after 8 ms, and continues where it stopped', async () => {
    for (let i = 0; i < 30; i++) turns.add(worker(String(i), { turns, clock, served }));
    await turn();
    expect(served).toEqual(Array.from({ length: 16 }, (_, i) => String(i)));
    await turn();
    expect(served).toEqual(Array.from({ length: 30 }, (_, i) => String(i)));
  });

  it('is busy for the workers it serves, so that heavy work they find is deferred', async () => {
    let busy = false;
    turns.add({
      weight: 'light',
      work() {
        busy = turns.busy;
      },
    });
    expect(turns.busy).toBe(false);
    await turn();
    expect([busy, turns.busy]).toEqual([true, false]);
  });

  it('does not charge light work that arrives later for work already served', async () => {
    turns.isUsed();
    turns.add({ weight: 'heavy', work: () => void (clock.ms += 20) });
    await turn();
    expect(turns.isUsed()).toBe(false);
  });

  it('does not charge a worker for work served before it', async () => {
    const used: boolean[] = [];
    turns.isUsed();
    clock.ms += 8;
    turns.add({ weight: 'light', work: () => void used.push(turns.isUsed()) });
    await turn();
    expect(used).toEqual([false]);
  });

  it('serves one bulk and one heavy worker per turn, however much light work there is', async () => {
    for (const weight of ['bulk', 'heavy'] as const)
      for (const name of [`${weight} 1`, `${weight} 2`])
        turns.add(worker(name, { turns, clock, served }, { weight, ms: 20 }));
    for (let i = 0; i < 40; i++) turns.add(worker('light', { turns, clock, served }));
    await turn();
    expect(served.filter((name) => name !== 'light')).toEqual(['bulk 1', 'heavy 1']);
    await turn();
    expect(served.filter((name) => name !== 'light')).toEqual(['bulk 1', 'heavy 1', 'bulk 2', 'heavy 2']);
  });

  it('is used up 8 ms after the first check, until the next turn', async () => {
    expect(turns.isUsed()).toBe(false);
    clock.ms += 7;
    expect(turns.isUsed()).toBe(false);
    clock.ms += 1;
    expect(turns.isUsed()).toBe(true);
    await turn();
    expect(turns.isUsed()).toBe(false);
  });

  it('runs work at once until the turn is used up, then in the next turn', async () => {
    for (const name of ['a', 'b', 'c']) {
      turns.run(() => {
        served.push(name);
        clock.ms += 4;
      });
    }
    expect(served).toEqual(['a', 'b']);
    await turn();
    expect(served).toEqual(['a', 'b', 'c']);
  });

  it('serves the others when one throws', async () => {
    const scheduled = jest.spyOn(globalThis, 'setImmediate').mockReturnValueOnce(undefined as never);
    turns.add(worker('first', { turns, clock, served }));
    const serve = scheduled.mock.calls[0]![0];
    scheduled.mockRestore();
    const failing: Worker = {
      weight: 'light',
      work() {
        throw new Error('a fault of ours');
      },
    };
    turns.add(failing);
    for (const weight of ['light', 'bulk', 'heavy'] as const)
      turns.add(worker(weight, { turns, clock, served }, { weight }));
    expect(serve).toThrow('a fault of ours');
    await turn();
    expect(served).toEqual(['first', 'light', 'bulk', 'heavy']);
  });
});

import { Clones } from './clones.js';

const ID = 'nerves-242a';
const MINUTE_MS = 60_000;

/** Replaces processes one after another; returns the result of the last replacement. */
function replace(clones: Clones, processes: string, id = ID, now = 1): string | undefined {
  const said = processes
    .split(' ')
    .map((process) => clones.onReplaced(id, { process, number: 1 }, `address of ${process}`, now));
  return said.at(-1);
}

describe('Clones', () => {
  it.each([
    ['A', undefined],
    ['A A', undefined],
    ['A B', undefined],
    ['A B C', undefined],
    ['A A B', undefined],
    ['A B A', 'address of B'],
    ['A B B A', 'address of B'],
    ['A A B A', 'address of B'],
    ['A B C A', 'address of B'],
    ['A B A B', 'address of A'],
    ['B A A A A B', 'address of A'],
  ])('reports as the other machine, after replacements of %s: %j', (processes, other) => {
    const clones = new Clones();
    expect(replace(clones, processes)).toBe(other);
    expect(clones.isSuspected(ID, 1)).toBe(other !== undefined);
  });

  it('keeps devices separate', () => {
    const clones = new Clones();
    replace(clones, 'A B');
    expect(replace(clones, 'A', 'other')).toBeUndefined();
    expect(clones.isSuspected('other', 1)).toBe(false);
  });

  it('remembers a suspicion for at least ten minutes, and at most twenty', () => {
    const clones = new Clones();
    replace(clones, 'A B A', ID, 9 * MINUTE_MS);
    expect(clones.isSuspected(ID, 18 * MINUTE_MS)).toBe(true);
    expect(clones.isSuspected(ID, 28 * MINUTE_MS)).toBe(true);
    expect(clones.isSuspected(ID, 40 * MINUTE_MS)).toBe(false);
  });

  it('keeps a suspicion for as long as one of the two machines is rejected', () => {
    const clones = new Clones();
    replace(clones, 'A B A', ID, 0);
    for (let minute = 9; minute < 60; minute += 9) clones.onRefused(ID, minute * MINUTE_MS);
    expect(clones.isSuspected(ID, 60 * MINUTE_MS)).toBe(true);
  });

  it('forgets replacements after a long time', () => {
    const clones = new Clones();
    replace(clones, 'A B', ID, 0);
    expect(replace(clones, 'A', ID, 60 * MINUTE_MS)).toBeUndefined();
  });

  it('tracks at most 10,000 devices', () => {
    const clones = new Clones();
    for (let index = 0; index < 10_000; index++) replace(clones, 'A B A', `device ${index}`);
    expect(replace(clones, 'A B A', 'one more')).toBeUndefined();
    expect(clones.isSuspected('device 9999', 1)).toBe(true);
  });
});

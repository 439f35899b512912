import { InTurn } from './in-turn.js';

it('settles work in the order in which it began, also after a rejection', async () => {
  const turns = new InTurn();
  const settled: string[] = [];
  const note =
    (name: string): (() => void) =>
    () =>
      void settled.push(name);
  let keepFirst = (): void => undefined;
  const slow = turns.inTurn('a', new Promise<void>((resolve) => (keepFirst = resolve))).then(note('slow'));
  const failed = turns.inTurn('a', Promise.reject(new Error('full'))).catch(note('failed'));
  const quick = turns.inTurn('a', Promise.resolve()).then(note('quick'));
  await turns.inTurn('b', Promise.resolve()).then(note('other'));
  keepFirst();
  await Promise.all([slow, failed, quick]);
  expect(settled).toEqual(['other', 'slow', 'failed', 'quick']);
});

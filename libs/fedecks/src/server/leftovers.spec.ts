import { type Leftover, Leftovers } from './leftovers.js';

/** The unhandled rest of an ended connection. */
function leftover(
  waitingMessages: number,
  waitingBytes: number,
): Leftover & { readonly onHandled: () => void } {
  let onHandled!: () => void;
  const handled = new Promise<void>((resolve) => (onHandled = resolve));
  return {
    waitingMessages,
    waitingBytes,
    settled: () => handled,
    onHandled: () => onHandled(),
  };
}

describe('Leftovers', () => {
  let leftovers: Leftovers<Leftover>;
  beforeEach(() => (leftovers = new Leftovers({ mailboxLimit: 10, mailboxBytes: 1_000 })));

  it('are full when together they hold as many messages as one mailbox', () => {
    leftovers.add('a', leftover(5, 1));
    expect(leftovers.areFull('a')).toBe(false);
    leftovers.add('a', leftover(5, 1));
    expect([leftovers.areFull('a'), leftovers.areFull('b')]).toEqual([true, false]);
  });

  it('are full when together they hold as many bytes as one mailbox', () => {
    leftovers.add('a', leftover(1, 999));
    expect(leftovers.areFull('a')).toBe(false);
    leftovers.add('a', leftover(1, 1));
    expect(leftovers.areFull('a')).toBe(true);
  });

  it('are kept until they are settled, even when no message waits', async () => {
    const left = leftover(0, 0);
    leftovers.add('a', left);
    expect([...leftovers.all()]).toEqual([left]);
    left.onHandled();
    await left.settled();
    await Promise.resolve();
    expect([...leftovers.all()]).toEqual([]);
  });

  it('have room again after their messages were handled', async () => {
    const left = leftover(10, 1);
    leftovers.add('a', left);
    expect(leftovers.areFull('a')).toBe(true);
    left.onHandled();
    await left.settled();
    await Promise.resolve();
    expect(leftovers.areFull('a')).toBe(false);
  });

  it('are full when as many handlers run as messages may wait, even if no message waits', () => {
    for (let count = 0; count < 10; count++) leftovers.add('a', leftover(0, 1));
    expect(leftovers.areFull('a')).toBe(false);
    leftovers.add('a', leftover(0, 1));
    expect(leftovers.areFull('a')).toBe(true);
  });
});

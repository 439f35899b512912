import { jest } from '@jest/globals';
import { MemoryRevocations, Revocations, type RevocationStore } from './revocations.js';

const DAY_MS = 24 * 3600 * 1000;
const NOW = Date.UTC(2026, 10, 24);

beforeEach(() => jest.useFakeTimers({ now: NOW }));
afterEach(() => jest.useRealTimers());

function make(
  store?: RevocationStore,
  { lifeMs = DAY_MS, latestExpiry = 0 }: { lifeMs?: number; latestExpiry?: number } = {},
): Revocations {
  const revocations = new Revocations(lifeMs, 1_000, { latestExpiry });
  if (store) revocations.useStore(store);
  return revocations;
}

/** A store that several processes share, which records its calls. */
class SharedStore extends MemoryRevocations {
  readonly kept: { at: number; until: number }[] = [];

  override revoke(deviceId: string, at: number, until: number): void {
    this.kept.push({ at, until });
    super.revoke(deviceId, at, until);
  }
}

describe('Revocations', () => {
  it('revokes tokens issued before, and neither later ones nor those of other devices', async () => {
    const revocations = make();
    const before = await revocations.generationOf('a');
    await revocations.revoke('a');
    const after = await revocations.generationOf('a');
    expect(await revocations.isRevoked('a', before)).toBe(true);
    expect(await revocations.isRevoked('a', after)).toBe(false);
    expect(await revocations.isRevoked('b', before)).toBe(false);
    // In the same millisecond.
    await revocations.revoke('a');
    expect(await revocations.isRevoked('a', after)).toBe(true);
  });

  it.each([-40 * DAY_MS, -3_600_000, 0, 3_600_000, 40 * DAY_MS, -NOW])(
    'revokes tokens issued while the clock was %p ms off, and vice versa',
    async (offMs) => {
      const store = new SharedStore();
      for (const [first, second] of [
        [NOW + offMs, NOW],
        [NOW, NOW + offMs],
      ] as const) {
        jest.setSystemTime(first);
        const revocations = make(store);
        await revocations.revoke('a');
        const generation = await revocations.generationOf('a');
        jest.setSystemTime(second);
        await revocations.revoke('a');
        expect(await revocations.isRevoked('a', generation)).toBe(true);
        expect(await revocations.isRevoked('a', await revocations.generationOf('a'))).toBe(false);
        // The same after a restart, with a store that survives.
        const restarted = make(store);
        const later = await restarted.generationOf('a');
        jest.setSystemTime(first);
        await restarted.revoke('a');
        expect(await restarted.isRevoked('a', later)).toBe(true);
      }
    },
  );

  it('exceeds every generation seen in a token, even if the store has forgotten it', async () => {
    const revocations = make();
    const ahead = NOW + 3_600_000;
    expect(await revocations.isRevoked('a', ahead)).toBe(false);
    await revocations.revoke('a');
    expect(await revocations.isRevoked('a', ahead)).toBe(true);
  });

  it('revokes a token that another process issued after a revocation this one does not know', async () => {
    const store = new SharedStore();
    const [one, two] = [make(store), make(store)];
    jest.setSystemTime(NOW + 3_600_000);
    await one.revoke('a');
    const generation = await one.generationOf('a');
    jest.setSystemTime(NOW);
    await two.revoke('a');
    expect(await one.isRevoked('a', generation)).toBe(true);
    expect(await two.isRevoked('a', generation)).toBe(true);
  });

  it('revokes at once, without a query, while the store is still writing', async () => {
    let written = (): void => undefined;
    const writing = new Promise<void>((resolve) => (written = resolve));
    const revocations = make({ revoke: () => writing, revokedAt: () => undefined });
    const before = await revocations.generationOf('a');
    const revoking = revocations.revoke('a');
    expect(await revocations.isRevoked('a', before)).toBe(true);
    written();
    await revoking;
  });

  it('reports whether a device was revoked since an upgrade began, however recently', async () => {
    const revocations = make();
    await revocations.revoke('a');
    const began = { a: await revocations.generationOf('a'), b: await revocations.generationOf('b') };
    expect(revocations.wasRevokedMeanwhile('a', began.a)).toBe(false);
    await revocations.revoke('b');
    expect(revocations.wasRevokedMeanwhile('a', began.a)).toBe(false);
    expect(revocations.wasRevokedMeanwhile('b', began.b)).toBe(true);
    await revocations.revoke('a');
    expect(revocations.wasRevokedMeanwhile('a', began.a)).toBe(true);
  });

  it('allows a login while the store fails: its tokens get generation 0', async () => {
    const revocations = make({
      revoke: () => undefined,
      revokedAt: () => Promise.reject(new Error('the store is busy')),
    });
    expect(await revocations.generationOf('a')).toBe(0);
    await expect(revocations.isRevoked('a', 0)).rejects.toThrow('the store is busy');
  });

  it('rejects invalid generations of the store', async () => {
    for (const at of [NaN, -1, Infinity, String(NOW), 8.64e15 + 1, null]) {
      const revocations = make({ revoke: () => undefined, revokedAt: () => at as number });
      await expect(revocations.isRevoked('a', 0)).rejects.toThrow(/revokedAt\(\)/);
      await expect(revocations.revoke('a')).rejects.toThrow(/revokedAt\(\)/);
    }
  });

  it('keeps a revocation for two token lifetimes, at most as long as a Date can represent', async () => {
    const store = new SharedStore();
    await make(store).revoke('a');
    await make(store, { lifeMs: Infinity }).revoke('b');
    expect(store.kept).toEqual([
      { at: NOW, until: NOW + 2 * DAY_MS },
      { at: NOW, until: 8.64e15 },
    ]);
    expect(new Date(8.64e15).getTime()).toBe(8.64e15);
  });

  it('keeps a revocation until the last known token expires, however wrong the clock is', async () => {
    const store = new SharedStore();
    const latestExpiry = NOW + 68 * DAY_MS;
    jest.setSystemTime(0);
    await make(store, { latestExpiry }).revoke('a');
    expect(store.kept[0]?.until).toBe(latestExpiry);
  });

  it("throws the store's error, and revokes in memory even if the read fails", async () => {
    const failing = make({
      revoke: () => {
        throw new Error('the disk is full');
      },
      revokedAt: () => undefined,
    });
    await expect(failing.revoke('a')).rejects.toThrow('the disk is full');
    const unreadable = make({
      revoke: () => undefined,
      revokedAt: () => {
        throw new Error('the disk is gone');
      },
    });
    await expect(unreadable.revoke('a')).rejects.toThrow('the disk is gone');
    expect(unreadable.wasRevokedMeanwhile('a', 0)).toBe(true);
  });

  it('does not keep revoked devices in memory for ever', async () => {
    const asked: string[] = [];
    const revocations = make({ revoke: () => undefined, revokedAt: (id) => void asked.push(id) });
    await revocations.revoke('a');
    jest.advanceTimersByTime(2_001);
    await revocations.revoke('b');
    asked.length = 0;
    expect(await revocations.isRevoked('a', 0)).toBe(false);
    expect(await revocations.isRevoked('b', 0)).toBe(true);
    expect(asked).toEqual(['a']);
  });
});

describe('MemoryRevocations', () => {
  it('deletes expired revocations, and keeps renewed ones', () => {
    const store = new MemoryRevocations();
    store.revoke('a', NOW, NOW + 100);
    jest.advanceTimersByTime(10);
    store.revoke('b', NOW + 10, NOW + 110);
    store.revoke('a', NOW + 11, NOW + 211);
    jest.advanceTimersByTime(100);
    store.revoke('c', NOW + 110, NOW + 310);
    expect(store.revokedAt('a')).toBe(NOW + 11);
    expect(store.revokedAt('b')).toBeUndefined();
    jest.advanceTimersByTime(101);
    store.revoke('d', NOW + 211, NOW + 311);
    expect(store.revokedAt('a')).toBeUndefined();
    expect(store.revokedAt('c')).toBe(NOW + 110);
  });

  it('does not delete a revocation early when the clock is set', () => {
    const store = new MemoryRevocations();
    jest.setSystemTime(0);
    store.revoke('a', 0, DAY_MS);
    jest.setSystemTime(NOW);
    store.revoke('b', NOW, NOW + DAY_MS);
    expect(store.revokedAt('a')).toBe(0);
    jest.advanceTimersByTime(DAY_MS);
    store.revoke('c', NOW, NOW + DAY_MS);
    expect(store.revokedAt('a')).toBeUndefined();
  });
});

import { MemoryRevocations, Revocations, type RevocationStore } from './revocations.js';

const DAY_MS = 24 * 3600 * 1000;

describe('Revocations', () => {
  it('covers tokens issued until then, of that device, and none issued later', async () => {
    const revocations = new Revocations(DAY_MS, 1_000);
    await revocations.revoke('a', 5_000);
    expect(await revocations.covers('a', 4_999)).toBe(true);
    expect(await revocations.covers('a', 5_000)).toBe(true);
    expect(await revocations.covers('a', 5_001)).toBe(false);
    expect(await revocations.covers('b', 4_999)).toBe(false);
  });

  it('has a token issued in the millisecond of the revocation, but after it, be one of later', async () => {
    const revocations = new Revocations(DAY_MS, 1_000);
    await revocations.revoke('a', 5_000);
    expect(revocations.issueAt('a', 5_000)).toBe(5_001);
    expect(revocations.issueAt('a', 7_000)).toBe(7_000);
    expect(revocations.issueAt('b', 5_000)).toBe(5_000);
  });

  it('covers at once what the store is still writing, and does not ask it', async () => {
    const revocations = new Revocations(DAY_MS, 1_000);
    let written = (): void => undefined;
    revocations.keepIn({
      revoke: () => new Promise((resolve) => (written = resolve)),
      revokedAt: () => Promise.reject(new Error('the store is busy')),
    });
    const revoking = revocations.revoke('a', 5_000);
    expect(await revocations.covers('a', 4_000)).toBe(true);
    written();
    await revoking;
  });

  it('tells which devices were revoked after an upgrade began, however short a time that was', async () => {
    const revocations = new Revocations(DAY_MS, 1_000);
    await revocations.revoke('a', 5_000);
    const began = revocations.count;
    expect(revocations.since('a', began)).toBe(false);
    await revocations.revoke('b', 5_000);
    expect(revocations.since('a', began)).toBe(false);
    expect(revocations.since('b', began)).toBe(true);
    await revocations.revoke('a', 5_000);
    expect(revocations.since('a', began)).toBe(true);
  });

  it('tells the store when the last of the tokens has expired, and never more than a Date can hold', async () => {
    const kept: unknown[] = [];
    const store: RevocationStore = {
      revoke: (...all) => void kept.push(all),
      revokedAt: () => undefined,
    };
    const [own, phoenix] = [new Revocations(DAY_MS, 1_000), new Revocations(Infinity, 1_000)];
    own.keepIn(store);
    phoenix.keepIn(store);
    await own.revoke('a', 5_000);
    await phoenix.revoke('b', 5_000);
    expect(kept).toEqual([
      ['a', 5_000, 5_000 + DAY_MS],
      ['b', 5_000, 8.64e15],
    ]);
    expect(new Date(8.64e15).getTime()).toBe(8.64e15);
  });

  it('lasts until the full second at which a token issued in its millisecond expires', async () => {
    const untils: number[] = [];
    const revocations = new Revocations(2_000, 1_000);
    revocations.keepIn({ revoke: (_id, _at, until) => void untils.push(until), revokedAt: () => undefined });
    await revocations.revoke('lamp', 5_001);
    await revocations.revoke('lamp', 6_000);
    expect(untils).toEqual([8_000, 8_000]);
  });

  it('throws what the store throws', async () => {
    const revocations = new Revocations(DAY_MS, 1_000);
    revocations.keepIn({
      revoke: () => {
        throw new Error('the disk is full');
      },
      revokedAt: () => undefined,
    });
    await expect(revocations.revoke('a')).rejects.toThrow('the disk is full');
  });
});

describe('MemoryRevocations', () => {
  it('forgets what has expired, and keeps what was revoked again', () => {
    const store = new MemoryRevocations();
    store.revoke('a', 0, 100);
    store.revoke('b', 10, 110);
    store.revoke('a', 20, 120);
    store.revoke('c', 115, 215);
    expect(store.revokedAt('a')).toBe(20);
    expect(store.revokedAt('b')).toBeUndefined();
    store.revoke('d', 120, 220);
    expect(store.revokedAt('a')).toBeUndefined();
    expect(store.revokedAt('c')).toBe(115);
  });
});

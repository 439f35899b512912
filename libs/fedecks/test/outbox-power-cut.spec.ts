import { type Durability } from '../src/client/outbox/outbox-store.js';
import { contents, epochs, fileStore, message, TestClock, Told } from './support/outbox-stores.js';
import { PowerCutDisk } from './support/power-cut-disk.js';
import { seeded } from './support/seeded.js';

const SEEDS = Number(process.env['POWER_CUT_SEEDS'] ?? 12);
const FIRST_SEED = Number(process.env['POWER_CUT_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
const LANES = ['default', 'alarms'];

/** A message, and after how many operations of the disk something was promised about it. */
interface Promised {
  readonly text: string;
  readonly durability: Durability;
  /** `append` has resolved. */
  keptAt: number;
  /** It survives a power cut. */
  safeAt: number;
  /** Somebody has begun to remove it. */
  removedAt: number;
  /** Its removal survives a power cut. */
  goneAt: number;
}

/** Random appends and removals on a disk, and what was promised meanwhile. */
async function history(
  random: () => number,
): Promise<{ disk: PowerCutDisk; promises: Map<string, Promised>; epoch: string }> {
  const disk = new PowerCutDisk();
  const store = fileStore(disk, new TestClock(), { syncMs: 3_600_000, maxBytes: 3_000 });
  const promises = new Map<string, Promised>();
  const now = (): number => disk.log.length;
  await store.open({
    onFailure: (failure) => {
      throw new Error(failure.reason);
    },
    onRemoved: (lane, seq) => onRemoved(lane, seq),
  });
  const onRemoved = (lane: string, seq: number): void => {
    const promised = promises.get(`${lane} ${seq}`);
    if (promised) promised.removedAt = Math.min(promised.removedAt, now());
  };
  const { epoch } = store.state();
  const append = async (index: number): Promise<void> => {
    const lane = LANES[Math.floor(random() ** 2 * LANES.length)]!;
    const durability = (['memory', 'disk', 'disk', 'power'] as const)[Math.floor(random() * 4)]!;
    const key = random() < 0.2 ? `key-${Math.floor(random() * 3)}` : undefined;
    const text = `${index} ${key ?? '-'} `.padEnd(20 + random() * 300, '.');
    const promised = {
      text,
      durability,
      keptAt: Infinity,
      safeAt: Infinity,
      removedAt: Infinity,
      goneAt: Infinity,
    };
    const seq = await store.append(message(text, { lane, key }), durability);
    promised.keptAt = now();
    if (durability === 'power') promised.safeAt = now();
    // Dropped before its number was known here.
    if (store.following(lane, seq - 1) !== seq) promised.removedAt = 0;
    promises.set(`${lane} ${seq}`, promised);
  };
  for (let index = 0; index < 60; index++) {
    // A history without a flush would check little: one step of each is a flush.
    const dice = index === 30 ? 1 : random();
    if (dice < 0.6) await Promise.all(Array.from({ length: 1 + random() * 3 }, () => append(index)));
    else if (dice < 0.8) {
      const lane = LANES[Math.floor(random() * 2)]!;
      const { first = 1, next = 1 } = store.state().lanes.find((each) => each.lane === lane) ?? {};
      const through = first + Math.floor(random() ** 2 * (next - first));
      for (let seq = first; seq <= through; seq++) onRemoved(lane, seq);
      store.acknowledge(lane, through);
    } else if (dice < 0.9) {
      const lane = LANES[Math.floor(random() * 2)]!;
      const seq = store.following(lane, (store.following(lane, 0) ?? 0) + 1) ?? 0;
      onRemoved(lane, seq);
      store.remove(lane, seq);
    } else {
      const before = [...promises.values()].filter(({ keptAt }) => keptAt < Infinity);
      const removed = before.filter(({ removedAt }) => removedAt < Infinity);
      await store.flush();
      for (const each of before) each.safeAt = Math.min(each.safeAt, now());
      for (const each of removed) each.goneAt = Math.min(each.goneAt, now());
    }
  }
  await store.close();
  return { disk, promises, epoch };
}

/** A newer message with its key is there: the power failed before anybody was told. */
function isReplaced(id: string, text: string, found: Record<string, string>): boolean {
  const [lane, seq] = id.split(' ');
  const key = text.split(' ')[1]!;
  return Object.entries(found).some(([otherId, otherText]) => {
    const [otherLane, otherSeq] = otherId.split(' ');
    return (
      key !== '-' && otherLane === lane && Number(otherSeq) > Number(seq) && otherText.split(' ')[1] === key
    );
  });
}

describe('after a power cut', () => {
  it.each(Array.from({ length: SEEDS }, (_, index) => FIRST_SEED + index))(
    'opens, keeps what was promised, begins another epoch, and brings back nothing whose removal was flushed (POWER_CUT_SEED=%i)',
    async (seed) => {
      const random = seeded(seed);
      const { disk, promises, epoch } = await history(random);
      for (let cut = 0; cut <= disk.log.length; cut++) {
        const left = disk.after(cut, random);
        const clock = new TestClock();
        clock.reboot();
        const store = fileStore(left, clock);
        await store.open(new Told());
        const found = await contents(store);
        const wrong: string[] = [];
        for (const [id, { text, safeAt, removedAt, goneAt }] of promises) {
          if (id in found && found[id] !== text) wrong.push(`${id} is another message`);
          if (safeAt <= cut && removedAt > cut && !(id in found) && !isReplaced(id, text, found))
            wrong.push(`${id} is lost`);
          if (goneAt <= cut && id in found) wrong.push(`${id} is back`);
          if (id in found && epochs(store)[id] !== epoch) wrong.push(`${id} is of another epoch`);
        }
        if (store.state().epoch === epoch) wrong.push('numbers may be given again');
        expect({ cut, wrong }).toEqual({ cut, wrong: [] });
        for (const lane of LANES) {
          const seq = await store.append(message('new', { lane }), 'power');
          expect(`${lane} ${seq}` in found).toBe(false);
        }
        await store.close();
      }
    },
    60_000,
  );

  it('has the old epoch or the new one for all that waits, when the power fails during a new epoch', async () => {
    const random = seeded(FIRST_SEED);
    const disk = new PowerCutDisk();
    const store = fileStore(disk);
    await store.open(new Told());
    for (let index = 0; index < 40; index++) await store.append(message(`${index}`.padEnd(200)), 'power');
    store.acknowledge('default', 7);
    await store.flush();
    const begin = disk.log.length;
    const old = epochs(store);
    await store.newEpoch();
    const fresh = epochs(store);
    const kept = await contents(store);
    const durableAt = disk.log.length;
    await store.close();
    expect(Object.values(fresh)).not.toContain(Object.values(old)[0]);
    const seen = new Set<boolean>();
    for (let cut = begin; cut <= disk.log.length; cut++) {
      for (let variant = 0; variant < 10; variant++) {
        const clock = new TestClock();
        clock.reboot();
        const after = fileStore(disk.after(cut, random), clock);
        await after.open(new Told());
        const isFresh = epochs(after)['default 8'] === fresh['default 8'];
        expect([FIRST_SEED, cut, epochs(after)]).toEqual([FIRST_SEED, cut, isFresh ? fresh : old]);
        expect(await contents(after)).toEqual(kept);
        if (cut >= durableAt) expect(isFresh).toBe(true);
        seen.add(isFresh);
        await after.close();
      }
    }
    expect(seen.size).toBe(2);
  });
});

import { MemoryOutboxStore } from '../src/client/outbox/memory-outbox-store.js';
import { type OutboxStore } from '../src/client/outbox/outbox-store.js';
import { contents, fileStore, message, TestClock, Told } from './support/outbox-stores.js';
import { PowerCutDisk } from './support/power-cut-disk.js';
import { seeded } from './support/seeded.js';

const SEEDS = Number(process.env['OUTBOX_MODEL_SEEDS'] ?? 40);
const FIRST_SEED = Number(process.env['OUTBOX_MODEL_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
const LANES = ['default', 'alarms', 'logs'];

/** What a store should hold: an array of messages in order. */
class Model {
  waiting: { lane: string; seq: number; text: string; key: string | undefined }[] = [];

  put(lane: string, seq: number, text: string, key: string | undefined): void {
    if (key !== undefined) this.keep((each) => each.lane !== lane || each.key !== key);
    this.waiting.push({ lane, seq, text, key });
  }

  keep(predicate: (each: Model['waiting'][number]) => boolean): void {
    this.waiting = this.waiting.filter(predicate);
  }

  contents(): Record<string, string> {
    return Object.fromEntries(this.waiting.map(({ lane, seq, text }) => [`${lane} ${seq}`, text]));
  }
}

describe.each<[string, boolean]>([
  ['MemoryOutboxStore', false],
  ['FileOutboxStore', true],
])('a random history of %s', (_name, isFile) => {
  it.each(Array.from({ length: SEEDS }, (_, index) => FIRST_SEED + index))(
    'agrees with a simple model (OUTBOX_MODEL_SEED=%i)',
    async (seed) => {
      const random = seeded(seed);
      const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T;
      const [disk, clock, model, told] = [new PowerCutDisk(), new TestClock(), new Model(), new Told()];
      const make = (): OutboxStore =>
        isFile ? fileStore(disk, clock) : new MemoryOutboxStore({}, clock.now);
      let store = make();
      await store.open(told);
      for (let step = 0; step < 300; step++) {
        const dice = random();
        const lane = pick(LANES);
        const ofLane = model.waiting.filter((each) => each.lane === lane);
        const seq = ofLane[Math.floor(random() * ofLane.length)]?.seq ?? 1;
        if (dice < 0.6) {
          const text = `${step} `.padEnd(5 + random() * 600, '.');
          const key = random() < 0.3 ? pick(['k', 'l']) : undefined;
          const durability = pick(['memory', 'disk', 'disk', 'power'] as const);
          model.put(lane, await store.append(message(text, { lane, key }), durability), text, key);
        } else if (dice < 0.8) {
          store.acknowledge(lane, seq);
          model.keep((each) => each.lane !== lane || each.seq > seq);
        } else if (dice < 0.92) {
          store.remove(lane, seq);
          model.keep((each) => each.lane !== lane || each.seq !== seq);
        } else if (dice < 0.94) await store.flush();
        else if (dice < 0.96) await store.newEpoch();
        else if (isFile) {
          await store.close();
          if (random() < 0.5) clock.reboot();
          store = make();
          await store.open(told);
        }
        if (step % 10 === 0)
          expect([seed, step, await contents(store)]).toEqual([seed, step, model.contents()]);
      }
      expect([seed, await contents(store)]).toEqual([seed, model.contents()]);
      expect(told.failures).toEqual([]);
      await store.close();
    },
  );
});

import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { FileOutboxStore } from '../src/client/outbox/file-outbox-store.js';
import { Program } from './support/child-app.js';
import { contents, Told } from './support/outbox-stores.js';
import { seeded } from './support/seeded.js';

const KILLS = Number(process.env['OUTBOX_KILLS'] ?? 50);
const SEED = Number(process.env['OUTBOX_SEED'] ?? Math.floor(Math.random() * 2 ** 31));

it(
  `has each message that was kept before one of ${KILLS} kill -9, and repeats no number (OUTBOX_SEED=${SEED})`,
  async () => {
    const random = seeded(SEED);
    const directory = await mkdtemp(join(tmpdir(), 'fedecks-outbox-'));
    const log = join(directory, '..', `${basename(directory)}.log`);
    const program = await Program.compile('outbox-child.ts');
    const kept = new Map<number, string>();
    let acknowledged = 0;
    try {
      for (let kill = 0; kill < KILLS; kill++) {
        const child = program.start([directory, log]);
        const killed = new Promise<void>((resolve) => {
          let lines = Math.floor(1 + random() * 300);
          child.onLine(() => {
            if (--lines !== 0) return;
            child.kill('SIGKILL');
            resolve();
          });
        });
        await killed;
        expect((await child.exited(10_000)).signal).toBe('SIGKILL');
        expect(child.stderr).toBe('');
        // The kill may have cut the last line short.
        for (const line of (await readFile(log, 'utf8')).split('\n').slice(0, -1)) {
          const [what, ...rest] = line.split(' ');
          if (what === 'acknowledge') acknowledged = Math.max(acknowledged, Number(rest[0]));
          else {
            expect(kept.has(Number(what))).toBe(false);
            kept.set(Number(what), rest.join(' '));
          }
        }
        await rm(log);
        const told = new Told();
        const store = new FileOutboxStore(directory, { segmentBytes: 8_192 });
        await store.open(told);
        const found = await contents(store);
        const lost = [...kept].filter(([seq, text]) => {
          return seq > acknowledged && found[`default ${seq}`]?.replace(/\.+$/, '') !== text;
        });
        expect([kill, lost, told.failures]).toEqual([kill, [], []]);
        store.acknowledge('default', Math.max(...kept.keys()) - 20);
        acknowledged = Math.max(acknowledged, Math.max(...kept.keys()) - 20);
        await store.close();
      }
      expect(kept.size).toBeGreaterThan(KILLS * 10);
    } finally {
      await Promise.all([rm(directory, { recursive: true }), rm(log, { force: true })]);
    }
  },
  KILLS * 4_000,
);

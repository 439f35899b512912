/** Deliveries from a real device to a real cloud, while kill -9 hits both at random moments. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ChildApp, Program } from './support/child-app.js';
import { freePort } from './support/free-port.js';
import { Inbox } from './support/inbox.js';
import { seeded } from './support/seeded.js';

const KILLS = Number(process.env['DELIVERY_KILLS'] ?? 20);
const SEED = Number(process.env['DELIVERY_SEED'] ?? Math.floor(Math.random() * 2 ** 31));

/** The first number of each line. */
function numbersIn(file: string): number[] {
  if (!existsSync(file)) return [];
  const text = readFileSync(file, 'utf8').trim();
  return text === '' ? [] : text.split('\n').map((line) => Number(line.split(' ')[0]));
}

it(
  `are all handled, in order, once but for a kill between handler and store, over ${KILLS} kills (DELIVERY_SEED=${SEED})`,
  async () => {
    const random = seeded(SEED);
    const directory = mkdtempSync(join(tmpdir(), 'fedecks-deliveries-'));
    const log = join(directory, 'handled');
    const port = await freePort();
    const [cloudProgram, deviceProgram] = await Promise.all([
      Program.compile('delivery-cloud.ts'),
      Program.compile('delivery-kill-device.ts'),
    ]);
    const kept = (): number[] => numbersIn(join(directory, 'kept'));
    const events: string[] = [];
    const lines = new Inbox<string>('line of the device');
    const running = new Set<ChildApp>();
    let cloudKills = 0;

    const startCloud = async (): Promise<ChildApp> => {
      const cloud = cloudProgram.start([String(port), log, join(directory, 'store')]);
      running.add(cloud);
      const line = await cloud.line(30_000);
      if (line === 'listening') return cloud;
      // While no cloud listens, the system may give its port to a connection: even to one that the device makes to itself.
      expect(line).toBe('EADDRINUSE');
      await kill(cloud);
      return startCloud();
    };
    const startDevice = async (...first: string[]): Promise<ChildApp> => {
      const device = deviceProgram.start([`ws://127.0.0.1:${port}/fedecks/websocket`, directory, ...first]);
      running.add(device);
      device.onLine((line) => (line.startsWith('event ') ? events.push(line) : lines.put(line)));
      expect(await lines.next(30_000)).toBe('started');
      return device;
    };
    const kill = async (child: ChildApp): Promise<void> => {
      child.kill('SIGKILL');
      await child.exited(10_000);
      running.delete(child);
    };

    try {
      let [cloud, device] = await Promise.all([startCloud(), startDevice('1')]);
      for (let each = 0; each < KILLS; each++) {
        await new Promise((resolve) => setTimeout(resolve, random() * 500));
        if (random() < 0.5) {
          cloudKills++;
          await kill(cloud);
          cloud = await startCloud();
        } else {
          await kill(device);
          // One number may be kept that was not logged: the next is another.
          device = await startDevice(String(Math.max(0, ...kept()) + 2));
        }
      }
      await kill(device);
      device = await startDevice();
      expect(await lines.next(60_000)).toBe('empty');
      await kill(device);
      await kill(cloud);

      const handled = numbersIn(log);
      const first = [...new Set(handled)];
      expect(events).toEqual([]);
      expect(kept().length).toBeGreaterThan(KILLS);
      const lost = new Set(kept());
      for (const number of first) lost.delete(number);
      expect([...lost]).toEqual([]);
      expect(first).toEqual([...first].sort((a, b) => a - b));
      // Each kill of the cloud may hit between the end of one handler and the write to the store.
      expect(handled.length - first.length).toBeLessThanOrEqual(cloudKills);
    } finally {
      for (const child of running) child.dispose();
      rmSync(directory, { recursive: true });
    }
  },
  60_000 + KILLS * 5_000,
);

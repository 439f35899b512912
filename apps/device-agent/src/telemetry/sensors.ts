import { readdir, readFile, statfs } from 'node:fs/promises';
import { loadavg, uptime } from 'node:os';
import { join } from 'node:path';
import { type Sensor } from './collector.js';

/** Where the measurements are taken. */
export interface Places {
  /** A path on the file system whose size is told. */
  readonly disk: string;
  /** Where Linux shows its temperature sensors. @default '/sys/class/thermal' */
  readonly thermal?: string;
  /** Where Linux counts the bytes of its network interfaces. @default '/proc/net/dev' */
  readonly network?: string;
}

/**
 * What an agent measures, by its name. None of it starts a process: of systeminformation only `mem` is like that. Its
 * temperature, disk and network start shells, some of them synchronously, so that the heartbeat stands still: on a
 * server for 20 to 150 ms each, and a device may well be ten times slower. So these are read where they are.
 */
export function sensors({
  disk,
  thermal = '/sys/class/thermal',
  network = '/proc/net/dev',
}: Places): Record<string, Sensor> {
  return {
    load: async () => ({ loadAverages: loadavg() }),
    uptime: async () => ({ uptimeS: Math.round(uptime()) }),
    memory: async () => {
      const { mem } = await import('systeminformation/lib/memory.js');
      const { total, free, available } = await mem();
      return { memoryTotalBytes: total, memoryFreeBytes: free, memoryAvailableBytes: available };
    },
    disk: async () => {
      const { bsize, blocks, bavail } = await statfs(disk);
      return { diskTotalBytes: blocks * bsize, diskFreeBytes: bavail * bsize };
    },
    temperature: () => hottest(thermal),
    network: () => traffic(network),
  };
}

/** One after another: a sensor that hangs holds one thread of Node's pool, and not all that DNS needs, too. */
async function hottest(directory: string): Promise<Record<string, number>> {
  const readings: number[] = [];
  for (const name of await readdir(directory).catch(() => [])) {
    if (!name.startsWith('thermal_zone')) continue;
    // A sensor that is switched off cannot be read. The kernel tells thousandths of a degree.
    const reading = await readFile(join(directory, name, 'temp'), 'latin1').then(parseFloat, () => NaN);
    if (Number.isFinite(reading)) readings.push(reading);
  }
  return readings.length === 0 ? {} : { temperatureCelsius: Math.max(...readings) / 1000 };
}

/** Of all interfaces but the one to itself. */
async function traffic(path: string): Promise<Record<string, number>> {
  const text = await readFile(path, 'latin1').catch(() => '');
  const counts = [...text.matchAll(/^ *(\S+): *(\d+)(?: +\d+){7} +(\d+)/gm)].filter(
    ([, name]) => name !== 'lo',
  );
  if (counts.length === 0) return {};
  const sum = (column: 2 | 3): number => counts.reduce((total, count) => total + Number(count[column]), 0);
  return { networkReceivedBytes: sum(2), networkSentBytes: sum(3) };
}

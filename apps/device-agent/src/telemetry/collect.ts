import { readdir, readFile } from 'node:fs/promises';
import { freemem, loadavg, totalmem, uptime } from 'node:os';
import { join } from 'node:path';

/** How the device fares. A type, not an interface: that is what makes it a term. */
export type Telemetry = {
  /** Over 1, 5 and 15 minutes. */
  readonly loadAverages: number[];
  readonly memoryTotalBytes: number;
  readonly memoryFreeBytes: number;
  readonly uptimeS: number;
  /** Of the hottest sensor; left out where there is none. */
  readonly temperatureCelsius?: number;
};

/** Takes the device's measurements. @param thermal where Linux shows its temperature sensors. */
export async function collect(thermal = '/sys/class/thermal'): Promise<Telemetry> {
  const temperatureCelsius = await hottest(thermal);
  return {
    loadAverages: loadavg(),
    memoryTotalBytes: totalmem(),
    memoryFreeBytes: freemem(),
    uptimeS: Math.round(uptime()),
    ...(temperatureCelsius !== undefined && { temperatureCelsius }),
  };
}

async function hottest(directory: string): Promise<number | undefined> {
  const names = await readdir(directory).catch(() => []);
  const zones = names.filter((name) => name.startsWith('thermal_zone'));
  const readings = await Promise.all(
    // A sensor that is switched off cannot be read. The kernel tells thousandths of a degree.
    zones.map((zone) => readFile(join(directory, zone, 'temp'), 'latin1').then(parseFloat, () => NaN)),
  );
  const known = readings.filter((reading) => Number.isFinite(reading));
  return known.length === 0 ? undefined : Math.max(...known) / 1000;
}

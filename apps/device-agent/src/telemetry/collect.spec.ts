import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { collect } from './collect.js';

describe('collect', () => {
  let thermal: string;
  beforeEach(() => (thermal = mkdtempSync(join(tmpdir(), 'thermal-'))));
  afterEach(() => rmSync(thermal, { recursive: true }));

  function sensor(name: string, reading?: string): void {
    mkdirSync(join(thermal, name));
    if (reading !== undefined) writeFileSync(join(thermal, name, 'temp'), reading);
  }

  it('tells load, memory and uptime', async () => {
    const { loadAverages, memoryFreeBytes, memoryTotalBytes, uptimeS } = await collect(thermal);
    expect(loadAverages).toHaveLength(3);
    expect(memoryFreeBytes).toBeLessThan(memoryTotalBytes);
    expect(Number.isInteger(uptimeS)).toBe(true);
  });

  it('tells the temperature of the hottest sensor, in degrees', async () => {
    sensor('thermal_zone0', '41500\n');
    sensor('thermal_zone1', '48200\n');
    sensor('cooling_device0', '99000\n');
    expect(await collect(thermal)).toMatchObject({ temperatureCelsius: 48.2 });
  });

  it('passes over sensors that cannot be read', async () => {
    sensor('thermal_zone0');
    sensor('thermal_zone1', 'broken\n');
    sensor('thermal_zone2', '-3000\n');
    expect(await collect(thermal)).toMatchObject({ temperatureCelsius: -3 });
  });

  it('leaves the temperature out where there is no sensor', async () => {
    expect(await collect(thermal)).not.toHaveProperty('temperatureCelsius');
    expect(await collect(join(thermal, 'nowhere'))).not.toHaveProperty('temperatureCelsius');
  });
});

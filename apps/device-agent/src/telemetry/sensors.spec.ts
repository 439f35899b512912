import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sensors } from './sensors.js';

describe('sensors', () => {
  let directory: string;
  let take: ReturnType<typeof sensors>;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'sensors-'));
    take = sensors({ disk: directory, thermal: directory, network: join(directory, 'dev') });
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  function thermal(name: string, reading?: string): void {
    mkdirSync(join(directory, name));
    if (reading !== undefined) writeFileSync(join(directory, name, 'temp'), reading);
  }

  it('tell load, uptime, memory and disk of this machine', async () => {
    expect(await take['load']!()).toEqual({ loadAverages: Array(3).fill(expect.any(Number)) });
    expect(await take['uptime']!()).toEqual({ uptimeS: expect.any(Number) as number });
    const memory = (await take['memory']!()) as Record<string, number>;
    expect(memory['memoryTotalBytes']).toBeGreaterThan(memory['memoryAvailableBytes']!);
    expect(memory['memoryTotalBytes']).toBeGreaterThan(memory['memoryFreeBytes']!);
    const disk = (await take['disk']!()) as Record<string, number>;
    expect(disk['diskTotalBytes']).toBeGreaterThanOrEqual(disk['diskFreeBytes']!);
    expect(disk['diskTotalBytes']).toBeGreaterThan(1024 * 1024);
  });

  it('tell the temperature of the hottest sensor, in degrees', async () => {
    thermal('thermal_zone0', '41500\n');
    thermal('thermal_zone1', '48200\n');
    thermal('cooling_device0', '99000\n');
    expect(await take['temperature']!()).toEqual({ temperatureCelsius: 48.2 });
  });

  it('pass over a temperature that cannot be read', async () => {
    thermal('thermal_zone0');
    thermal('thermal_zone1', 'broken\n');
    thermal('thermal_zone2', '-3000\n');
    expect(await take['temperature']!()).toEqual({ temperatureCelsius: -3 });
  });

  it('tell the bytes of all interfaces but the one to itself, received and sent', async () => {
    writeFileSync(
      join(directory, 'dev'),
      `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo: 3038382623 6323847    0   90    0     0          0         0 3038382623 6323847    0    0    0     0       0          0
  eth0: 351532889   17230    0    0    0     0          0         0  2215655   13385    0    0    0     0       0          0
 wlan0:1000 17 0 0 0 0 0 0 45 1 0 0 0 0 0 0
`,
    );
    expect(await take['network']!()).toEqual({
      networkReceivedBytes: 351_533_889,
      networkSentBytes: 2_215_700,
    });
  });

  it('tell nothing of what this machine does not have', async () => {
    const none = sensors({ disk: directory, thermal: join(directory, 'no'), network: join(directory, 'no') });
    expect(await none['temperature']!()).toEqual({});
    expect(await none['network']!()).toEqual({});
  });
});

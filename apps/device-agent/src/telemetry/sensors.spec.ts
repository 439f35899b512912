import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { freemem, tmpdir, totalmem } from 'node:os';
import { sensors } from './sensors.js';

type Reading = Record<string, number>;

describe('sensors', () => {
  const take = sensors(tmpdir());

  it('read load and uptime of this machine', async () => {
    expect(await take['load']!()).toEqual({ loadAverages: Array(3).fill(expect.any(Number)) });
    const [uptimeS] = readFileSync('/proc/uptime', 'latin1').split(' ').map(Number);
    expect(Math.abs(((await take['uptime']!()) as Reading)['uptimeS']! - uptimeS!)).toBeLessThan(5);
  });

  it('read memory in bytes', async () => {
    const memory = (await take['memory']!()) as Reading;
    expect(memory['memoryTotalBytes']).toBe(totalmem());
    // Free memory changes during the test, but a wrong unit would be off by a factor of 1,024.
    expect(memory['memoryFreeBytes']! / freemem()).toBeCloseTo(1, 0);
    expect(memory['memoryAvailableBytes']).toBeGreaterThan(memory['memoryFreeBytes']! / 10);
    expect(memory['memoryAvailableBytes']).toBeLessThan(memory['memoryTotalBytes']!);
  });

  it('read the file system of the given path, in bytes', async () => {
    const [size] = execFileSync('df', ['-B1', '--output=size', tmpdir()], { encoding: 'utf8' }).match(
      /\d+$/m,
    )!;
    const disk = (await take['disk']!()) as Reading;
    expect(disk['diskTotalBytes']).toBe(Number(size));
    expect(disk['diskFreeBytes']).toBeLessThanOrEqual(disk['diskTotalBytes']!);
  });

  it('read the received and sent bytes of all interfaces except loopback', async () => {
    // The first and the ninth number of a line are received and sent.
    const counted = (column: number): number =>
      readFileSync('/proc/net/dev', 'latin1')
        .split('\n')
        .map((line) => line.split(':'))
        .filter(([name, numbers]) => numbers !== undefined && name!.trim() !== 'lo')
        .reduce((sum, [, numbers]) => sum + Number(numbers!.trim().split(/ +/)[column]), 0);
    const before = [counted(0), counted(8)];
    const network = (await take['network']!()) as Reading;
    const after = [counted(0), counted(8)];
    for (const [index, name] of ['networkReceivedBytes', 'networkSentBytes'].entries()) {
      expect(network[name]).toBeGreaterThanOrEqual(before[index]!);
      expect(network[name]).toBeLessThanOrEqual(after[index]!);
    }
  });
});

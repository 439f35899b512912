import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { DeviceSettings } from './device-settings.js';
import { problemsOfChange, type Settings } from './settings.js';
import { SettingsFile } from './settings-file.js';

const DEFAULTS: Settings = { telemetryIntervalMs: 60_000, logLevel: 'debug' };

let directory: string;
let path: string;
let logged: string[];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'settings-'));
  path = join(directory, 'settings.json');
  logged = [];
  const take = (line: string): number => logged.push(line);
  Logger.overrideLogger({ log: take, warn: take, error: take });
});
afterEach(() => {
  Logger.overrideLogger(['fatal', 'error', 'warn', 'log', 'debug', 'verbose']);
  rmSync(directory, { recursive: true });
});

function settings(): DeviceSettings {
  return new DeviceSettings(DEFAULTS, new SettingsFile(directory));
}

describe('a change', () => {
  it('is in force at once and after a restart, and leaves the other settings as they are', async () => {
    const first = settings();
    expect(first.current).toEqual(DEFAULTS);
    expect(await first.change({ telemetryIntervalMs: 5_000 })).toEqual({
      ...DEFAULTS,
      telemetryIntervalMs: 5_000,
    });
    await first.change({ logLevel: 'warn' });
    const both = { telemetryIntervalMs: 5_000, logLevel: 'warn' };
    expect(first.current).toEqual(both);
    expect(settings().current).toEqual(both);
  });

  it('to null sets the default, also one that the configuration changes later', async () => {
    await settings().change({ telemetryIntervalMs: 5_000, logLevel: 'warn' });
    expect(await settings().change({ telemetryIntervalMs: null })).toEqual({ ...DEFAULTS, logLevel: 'warn' });
    const later = new DeviceSettings(
      { ...DEFAULTS, telemetryIntervalMs: 7_000 },
      new SettingsFile(directory),
    );
    expect(later.current.telemetryIntervalMs).toBe(7_000);
  });

  it('of nothing writes nothing', async () => {
    expect(await settings().change({})).toEqual(DEFAULTS);
    expect(readdirSync(directory)).toEqual([]);
  });

  it('emits an interval only if that has changed', async () => {
    const each: number[] = [];
    const changed = settings();
    changed.telemetryIntervalMs$.subscribe((intervalMs) => each.push(intervalMs));
    await changed.change({ logLevel: 'warn' });
    await changed.change({ telemetryIntervalMs: 5_000 });
    await changed.change({ telemetryIntervalMs: 5_000 });
    expect(each).toEqual([60_000, 5_000]);
  });

  it('until the restart is not kept, and ends with a change that is', async () => {
    const first = settings();
    first.setUntilRestart({ telemetryIntervalMs: 5_000 });
    await first.change({ logLevel: 'warn' });
    expect(first.current.telemetryIntervalMs).toBe(5_000);
    expect(settings().current.telemetryIntervalMs).toBe(60_000);
    await first.change({ telemetryIntervalMs: null });
    expect(first.current.telemetryIntervalMs).toBe(60_000);
  });

  it('is readable by its user alone, and leaves no other file', async () => {
    await settings().change({ logLevel: 'log' });
    expect(readdirSync(directory)).toEqual(['settings.json']);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(readFileSync(path, 'utf8')).toBe('{"logLevel":"log"}\n');
  });

  it('replaces what an interrupted write has left', async () => {
    writeFileSync(`${path}.new`, '{"logLe');
    await settings().change({ logLevel: 'log' });
    expect(settings().current.logLevel).toBe('log');
  });

  it('that cannot be written is rejected with a reason, and not in force', async () => {
    mkdirSync(join(directory, 'settings.json.new', 'in the way'), { recursive: true });
    const changed = settings();
    await expect(changed.change({ logLevel: 'error' })).rejects.toThrow('the settings cannot be written (');
    expect(changed.current).toEqual(DEFAULTS);
    rmSync(`${path}.new`, { recursive: true });
    expect(await changed.change({ logLevel: 'error' })).toMatchObject({ logLevel: 'error' });
  });

  it('is rejected after 5 s by a disk that hangs, and is in force when that has written it', async () => {
    let written = (): void => undefined;
    const file = { load: () => ({}), save: () => new Promise<void>((resolve) => (written = resolve)) };
    const changed = new DeviceSettings(DEFAULTS, file);
    jest.useFakeTimers();
    const rejected = expect(changed.change({ logLevel: 'error' })).rejects.toThrow(
      'has not answered for 5 s',
    );
    await jest.advanceTimersByTimeAsync(5_000);
    await rejected;
    expect(jest.getTimerCount()).toBe(0);
    jest.useRealTimers();
    await expect(changed.change({ logLevel: 'warn' })).rejects.toThrow('is being written: try again');
    expect(changed.current).toEqual(DEFAULTS);
    written();
    await new Promise((resolve) => setImmediate(resolve));
    expect(changed.current.logLevel).toBe('error');
  });
});

describe('a file that cannot be used', () => {
  it.each([
    ['is torn', '{"telemetryInter', /is damaged/],
    ['is empty', '', /is damaged/],
    ['has a wrong value', '{"telemetryIntervalMs":1}', /telemetryIntervalMs must be/],
    ['is of another program', '["a"]', /must be an object/],
    ['is too large', ' '.repeat(5_000), /no file of at most 4096 bytes/],
  ])('because it %s leaves the defaults in force, and is replaced', async (_what, text, reason) => {
    writeFileSync(path, text);
    const changed = settings();
    expect(changed.current).toEqual(DEFAULTS);
    expect(logged.join()).toMatch(reason);
    await changed.change({ logLevel: 'log' });
    expect(settings().current.logLevel).toBe('log');
  });

  it('because it is a FIFO leaves the defaults in force', () => {
    execFileSync('mkfifo', [path]);
    expect(settings().current).toEqual(DEFAULTS);
    expect(logged.join()).toContain('no file of at most');
  });
});

describe('what the cloud sends', () => {
  it.each([
    [{ telemetryIntervalMs: 999 }],
    [{ telemetryIntervalMs: 86_400_001 }],
    [{ telemetryIntervalMs: 1_000.5 }],
    [{ telemetryIntervalMs: '5000' }],
    [{ telemetryIntervalMs: NaN }],
    [{ telemetryIntervalMs: 5_000n }],
    [{ logLevel: 'loud' }],
    [{ logLevel: 'constructor' }],
    [{ logLevel: ['warn'] }],
    [{ logLevel: undefined }],
    [{ url: 'wss://evil.example.com' }],
    [JSON.parse('{"__proto__": {"logLevel": "warn"}}')],
    [new Map([['logLevel', 'warn']])],
    [['logLevel', 'warn']],
    ['warn'],
    [7],
    [new Uint8Array(3)],
    [new Date()],
  ])('is refused: %p', (change) => {
    expect(problemsOfChange(change)).toHaveLength(1);
  });

  it('is refused with all problems named at once, and none of its values', () => {
    const problems = problemsOfChange({ telemetryIntervalMs: 'secret', logLevel: 'secret', other: 'secret' });
    expect(problems).toEqual([
      'telemetryIntervalMs must be a whole number of milliseconds, from 1000 to 86400000; or null, for the default',
      'logLevel must be one of error, warn, log, debug; or null, for the default',
      '"other": unknown (fields: telemetryIntervalMs, logLevel)',
    ]);
  });

  it('is refused in few words, whatever it names', () => {
    const huge = Object.fromEntries(
      Array.from({ length: 10_000 }, (_, n) => [`${n}${'\u202e'.repeat(1_000)}`, 1]),
    );
    expect(problemsOfChange(huge).join().length).toBeLessThan(1_000);
  });
});

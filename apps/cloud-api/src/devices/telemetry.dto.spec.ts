import 'reflect-metadata';
import { ValidationPipe } from '@nestjs/common';
import { summary, TelemetryDto } from './telemetry.dto.js';

const MEBIBYTE = 1024 * 1024;
const WHOLE = {
  loadAverages: [0.5, 0.25, 0.125],
  memoryTotalBytes: 1024 * MEBIBYTE,
  memoryFreeBytes: 100 * MEBIBYTE,
  memoryAvailableBytes: 600 * MEBIBYTE,
  diskTotalBytes: 8000 * MEBIBYTE,
  diskFreeBytes: 2000 * MEBIBYTE,
  uptimeS: 93_784,
  temperatureCelsius: 48.24,
  networkReceivedBytes: 3 * MEBIBYTE,
  networkSentBytes: 2 * MEBIBYTE,
};

async function validated(payload: unknown): Promise<TelemetryDto> {
  return (await new ValidationPipe({ transform: true }).transform(payload, {
    type: 'body',
    metatype: TelemetryDto,
  })) as TelemetryDto;
}

describe('TelemetryDto', () => {
  it('accepts all readings of a device, and formats them as one line', async () => {
    expect(summary(await validated(WHOLE))).toBe(
      'load 0.50, 600 of 1024 MiB memory free, 2000 of 8000 MiB disk free, 48.2 °C, up 26 h, ' +
        '3 MiB received, 2 MiB sent',
    );
  });

  it.each(Object.keys(WHOLE))('accepts a reading without %s', async (left) => {
    const rest = Object.fromEntries(Object.entries(WHOLE).filter(([name]) => name !== left));
    expect(summary(await validated(rest))).not.toMatch(/undefined|NaN/);
  });

  it('formats an empty reading', async () => {
    expect(summary(await validated({}))).toBe('nothing');
  });

  it.each(Object.keys(WHOLE))('rejects a reading whose %s is not a number', async (name) => {
    await expect(validated({ ...WHOLE, [name]: 'much' })).rejects.toThrow();
  });
});

import { type Logger } from '@nestjs/common';
import { jest } from '@jest/globals';
import { LimitedLog } from './limited-log.js';

describe('LimitedLog', () => {
  const lines: string[] = [];
  const log = new LimitedLog({
    warn: (line: string) => lines.push(line),
    error: (line: string, stack?: string) => lines.push(`${line} ${stack ?? ''}`),
  } as unknown as Logger);

  beforeAll(() => jest.useFakeTimers({ now: 0 }));
  afterAll(() => jest.useRealTimers());

  it('writes 20 lines in 10 s, then none, and in the next 10 s first says how many it left out', () => {
    for (let count = 1; count <= 1_000; count++) log.warn(`refused ${count}`);
    expect(lines).toHaveLength(20);
    expect(lines.at(-1)).toBe('refused 20');

    jest.setSystemTime(9_999);
    log.warn('still too many');
    expect(lines).toHaveLength(20);

    jest.setSystemTime(10_000);
    log.warn('refused again');
    expect(lines.slice(20)).toEqual(['981 more lines were left out', 'refused again']);
  });

  it('says nothing of lines left out when none were', () => {
    jest.setSystemTime(20_000);
    lines.length = 0;
    log.warn('refused');
    expect(lines).toEqual(['refused']);
  });

  it('counts errors with the rest, and writes where they were thrown', () => {
    jest.setSystemTime(30_000);
    lines.length = 0;
    log.error('failed', new Error('boom'));
    expect(lines[0]).toMatch(/^failed Error: boom\n +at /);
    for (let count = 0; count < 100; count++) log.error('failed', 'no error at all');
    expect(lines).toHaveLength(20);
  });
});

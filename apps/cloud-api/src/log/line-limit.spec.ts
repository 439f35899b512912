import { type Logger } from '@nestjs/common';
import { jest } from '@jest/globals';
import { LineLimit } from './line-limit.js';

describe('LineLimit', () => {
  let warnings: string[];
  let limit: LineLimit;
  beforeEach(() => {
    jest.useFakeTimers();
    warnings = [];
    const logger = { warn: (line: string) => void warnings.push(line) } as unknown as Logger;
    limit = new LineLimit(logger, 'messages', { ofAll: 5, ofEach: 3 });
  });
  afterEach(() => jest.useRealTimers());

  const admitted = (source: string, times: number): number =>
    Array.from({ length: times }, () => limit.admit(source)).filter(Boolean).length;

  it('admits up to the limit of lines per source, and in total', () => {
    expect(admitted('a', 10)).toBe(3);
    expect(admitted('b', 10)).toBe(2);
    expect(admitted('c', 10)).toBe(0);
  });

  it('admits lines again after 10 s', () => {
    admitted('a', 10);
    jest.advanceTimersByTime(9_999);
    expect(limit.admit('a')).toBe(false);
    jest.advanceTimersByTime(1);
    expect(admitted('a', 10)).toBe(3);
  });

  it('logs once how many lines were left out, even if no more arrive', () => {
    admitted('a', 10);
    admitted('b', 3);
    jest.advanceTimersByTime(60_000);
    expect(warnings).toEqual(['8 lines about messages were not logged: they exceeded the limit per 10 s']);
  });

  it('logs nothing if no lines were left out', () => {
    admitted('a', 3);
    jest.advanceTimersByTime(60_000);
    expect(warnings).toEqual([]);
  });
});

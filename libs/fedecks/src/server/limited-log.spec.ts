import { type Logger } from '@nestjs/common';
import { jest } from '@jest/globals';
import { LimitedLog } from './limited-log.js';

describe('LimitedLog', () => {
  const lines: string[] = [];
  let log: LimitedLog;

  beforeEach(() => {
    jest.useFakeTimers();
    lines.length = 0;
    log = new LimitedLog({
      warn: (line: string) => lines.push(line),
      error: (line: string, stack?: string) => lines.push(`${line} ${stack ?? ''}`),
    });
  });
  afterEach(() => jest.useRealTimers());

  it('writes 20 lines in 10 s, then none, and later reports how many it left out', () => {
    for (let count = 1; count <= 1_000; count++) log.warn(`refused ${count}`);
    expect(lines).toHaveLength(20);
    expect(lines.at(-1)).toBe('refused 20');

    jest.advanceTimersByTime(9_999);
    log.warn('still too many');
    expect(lines).toHaveLength(20);

    jest.advanceTimersByTime(1);
    log.warn('refused again');
    expect(lines.slice(20)).toEqual(['The log rate limit suppressed 981 lines', 'refused again']);
  });

  it('writes 200 debug lines in 10 s, formats no others, and reports at debug how many it left out', () => {
    const details: string[] = [];
    log = new LimitedLog({
      warn: (line: string) => lines.push(line),
      error: () => undefined,
      debug: (line: string) => details.push(line),
    });
    let made = 0;
    for (let count = 1; count <= 1_000; count++) log.debug(() => `detail ${++made}`);
    expect(details).toHaveLength(200);
    expect(made).toBe(200);

    jest.advanceTimersByTime(10_000);
    log.debug(() => 'another');
    expect(details.slice(200)).toEqual(['The log rate limit suppressed 800 lines', 'another']);
    expect(lines).toEqual([]);
  });

  it('reports no left-out lines when there were none', () => {
    log.warn('refused');
    expect(lines).toEqual(['refused']);
  });

  it('limits errors and warnings separately, and writes the stack of errors', () => {
    for (let count = 0; count < 100; count++) log.warn('a stranger');
    log.error('failed', new Error('boom'));
    expect(lines[20]).toMatch(/^failed Error: boom\n +at /);
    for (let count = 0; count < 100; count++) log.error('failed', 'no error at all');
    expect(lines).toHaveLength(40);
    expect(lines[21]).toBe('failed no error at all');
  });

  it('begins no line with what a peer has sent, whatever line breaks and controls that holds', () => {
    log.warn(
      "wrong device id in token, 'a\n[Nest] all is well\r\u001b[2J\u009b2J\u2028\u2029\u0085\u007f\u202e\u2066'",
    );
    const hostile = new Error('no device a\n[Nest] all is well\n\n\u001b[2J');
    log.error('failed', hostile);
    expect(lines[0]).toBe(
      "wrong device id in token, 'a\\n[Nest] all is well\\u000d\\u001b[2J\\u009b2J\\u2028\\u2029\\u0085\\u007f\\u202e\\u2066'",
    );
    const [head, ...frames] = (lines[1] ?? '').split('\n');
    expect(head).toBe('failed Error: no device a\\n[Nest] all is well\\n\\n\\u001b[2J');
    expect(frames.length).toBeGreaterThan(0);
    expect(frames.every((frame) => /^ +at /.test(frame))).toBe(true);
  });

  it('limits the length of a line', () => {
    log.warn('x'.repeat(1_000_000));
    log.error('x'.repeat(1_000_000), new Error('y'.repeat(1_000_000)));
    for (const line of lines) expect(line.length).toBeLessThan(13_000);
  });

  it('does not throw when a stack or the logger throws', () => {
    const error = new Error('hostile');
    Object.defineProperty(error, 'stack', {
      get: () => {
        throw new Error('hostile');
      },
    });
    log.error('failed', error);
    expect(lines.at(-1)).toBe('failed Error: hostile');
    const broken = new LimitedLog({
      warn: () => {
        throw new Error('EPIPE');
      },
    } as unknown as Logger);
    expect(() => broken.warn('line')).not.toThrow();
  });
});

import { MAX_CHARACTERS, MAX_LINES, RecentLog } from './recent-log.js';

describe('RecentLog', () => {
  it('keeps the newest lines, and drops the oldest', () => {
    const log = new RecentLog();
    for (let n = 1; n <= MAX_LINES + 3; n++) log.add(`line ${n}`);
    expect(log.newest(2)).toEqual([`line ${MAX_LINES + 2}`, `line ${MAX_LINES + 3}`]);
    expect(log.newest(10_000)).toHaveLength(MAX_LINES);
    expect(log.newest(10_000)[0]).toBe('line 4');
    expect(log.newest(0)).toEqual([]);
  });

  it('keeps no more characters than 256 KiB hold, however long the lines are', () => {
    const log = new RecentLog();
    for (let n = 0; n < MAX_LINES; n++) log.add('\u4e2d'.repeat(10_000));
    const kept = log.newest(MAX_LINES).join('').length;
    expect(kept).toBeLessThanOrEqual(MAX_CHARACTERS);
    expect(kept).toBeGreaterThan(MAX_CHARACTERS - 1_100);
  });

  it('numbers its lines, also those that it keeps no more', () => {
    const log = new RecentLog();
    for (let n = 0; n < MAX_LINES + 3; n++) log.add(`line ${n}`);
    expect([log.first, log.next]).toEqual([3, MAX_LINES + 3]);
    expect([log.at(2), log.at(3), log.at(MAX_LINES + 2), log.at(MAX_LINES + 3)]).toEqual([
      undefined,
      'line 3',
      `line ${MAX_LINES + 2}`,
      undefined,
    ]);
  });

  it('truncates a line that is too long, and keeps a text on one line', () => {
    const log = new RecentLog();
    log.add('x'.repeat(100_000));
    log.add('one\r\ntwo\x1b[31m');
    expect(log.newest(2)).toEqual([`${'x'.repeat(1_000)}...`, 'one two [31m']);
  });

  it('passes every line to a follower until it has enough', () => {
    const log = new RecentLog();
    const told: string[] = [];
    log.add('before');
    const stop = log.follow((line) => told.push(line));
    log.add('meanwhile');
    stop();
    log.add('after');
    expect(told).toEqual(['meanwhile']);
  });
});

import { MAX_LINES, RecentLog } from './recent-log.js';

describe('RecentLog', () => {
  it('keeps the newest lines, and drops the oldest', () => {
    const log = new RecentLog();
    for (let n = 1; n <= MAX_LINES + 3; n++) log.add(`line ${n}`);
    expect(log.newest(2)).toEqual([`line ${MAX_LINES + 2}`, `line ${MAX_LINES + 3}`]);
    expect(log.newest(10_000)).toHaveLength(MAX_LINES);
    expect(log.newest(10_000)[0]).toBe('line 4');
    expect(log.newest(0)).toEqual([]);
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

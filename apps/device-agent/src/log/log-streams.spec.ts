import { type LogQuery, LogStreams } from './log-streams.js';
import { MAX_LINES, RecentLog } from './recent-log.js';

let log: RecentLog;
let streams: LogStreams;
let controller: AbortController;

beforeEach(() => {
  log = new RecentLog();
  streams = new LogStreams(log);
  controller = new AbortController();
});

function read(query: LogQuery): AsyncGenerator<string> {
  return streams.read(query, controller.signal);
}

async function all(stream: AsyncGenerator<string>): Promise<string[]> {
  const lines = [];
  for await (const line of stream) lines.push(line);
  return lines;
}

it('reads the newest lines, and not those that come meanwhile', async () => {
  for (const line of ['one', 'two', 'three']) log.add(line);
  const lines = read({ lines: 2, follow: false });
  expect(await lines.next()).toEqual({ done: false, value: 'two' });
  log.add('four');
  expect(await all(lines)).toEqual(['three']);
});

it('follows the log until it is aborted', async () => {
  const lines = read({ lines: 0, follow: true });
  const first = lines.next();
  log.add('one');
  expect(await first).toEqual({ done: false, value: 'one' });
  const second = lines.next();
  controller.abort();
  expect(await second).toEqual({ done: true, value: undefined });
});

it('says how many lines were forgotten before they were read', async () => {
  log.add('one');
  const lines = read({ lines: 1, follow: true });
  expect((await lines.next()).value).toBe('one');
  for (let n = 0; n < MAX_LINES + 7; n++) log.add(`more ${n}`);
  expect((await lines.next()).value).toBe('... 7 lines were logged faster than they were read, and are lost');
  expect((await lines.next()).value).toBe('more 7');
});

it('reads no newer lines in place of forgotten ones', async () => {
  log.add('one');
  log.add('two');
  const lines = read({ lines: 2, follow: false });
  await lines.next();
  for (let n = 0; n < 2 * MAX_LINES; n++) log.add(`more ${n}`);
  expect(await all(lines)).toEqual(['... 1 lines were logged faster than they were read, and are lost']);
});

it('is read by 8 at most, until one of them ends', async () => {
  log.add('one');
  const eight = Array.from({ length: 8 }, () => read({ lines: 1, follow: true }));
  for (const each of eight) await each.next();
  await expect(read({ lines: 1, follow: false }).next()).rejects.toThrow('8 others read the log');
  await eight[0]!.return(undefined);
  expect(await all(read({ lines: 1, follow: false }))).toEqual(['one']);
});

it('ends the stream of a client that never read', async () => {
  const never = Array.from({ length: 20 }, () => read({ lines: 1, follow: true }));
  for (const each of never) await each.return(undefined);
  log.add('one');
  expect(await all(read({ lines: 1, follow: false }))).toEqual(['one']);
});

import { InvalidOptionsError } from '../options/index.js';
import { resolveOptions, type FedecksClientOptions } from './client-options.js';
import { FileTokenStore, MemoryTokenStore } from './token-store.js';

const GOOD = {
  url: 'wss://cloud.example.com/fedecks/websocket',
  deviceId: 'nerves-242a',
  tokenStore: '/var/lib/fedecks',
};

function problemsOf(options: unknown): readonly string[] {
  try {
    resolveOptions(options as FedecksClientOptions);
  } catch (error) {
    if (error instanceof InvalidOptionsError) return error.problems;
    throw error;
  }
  return [];
}

describe('the options of FedecksClient', () => {
  it('have the defaults that their documentation names', () => {
    expect(resolveOptions(GOOD)).toMatchObject({
      startDelayMs: 5_000,
      upgradeTimeoutMs: 10_000,
      pingIntervalMs: 19_000,
      pongTimeoutMs: 19_000,
      retryMinMs: 1_000,
      retryMaxMs: 60_000,
      slowRetryMinMs: 900_000,
      slowRetryMaxMs: 3_600_000,
      stableAfterMs: 60_000,
      closeTimeoutMs: 2_000,
      maxFrameBytes: 16_777_216,
    });
  });

  it('keep what is given, and take undefined for not given', () => {
    const options = resolveOptions({ ...GOOD, startDelayMs: 0, pingIntervalMs: undefined, pongTimeoutMs: 5 });
    expect(options).toMatchObject({
      ...GOOD,
      tokenStore: {},
      startDelayMs: 0,
      pingIntervalMs: 19_000,
      pongTimeoutMs: 5,
    });
  });

  it('make a token store of a directory, and leave a store as it is', () => {
    expect(resolveOptions(GOOD).tokenStore).toBeInstanceOf(FileTokenStore);
    const tokenStore = new MemoryTokenStore();
    expect(resolveOptions({ ...GOOD, tokenStore }).tokenStore).toBe(tokenStore);
  });

  it('report all problems at once', () => {
    const problems = problemsOf({ url: 'cloud', pingIntervallMs: 5, startDelayMs: -1, colour: 'blue' });
    expect(problems).toEqual([
      "There is no option 'pingIntervallMs': did you mean 'pingIntervalMs'?",
      expect.stringContaining("There is no option 'colour'. Options are: url, deviceId"),
      expect.stringContaining("'url' must be a URL with scheme and host"),
      "'deviceId' must be a string that is not empty.",
      expect.stringContaining("'tokenStore' must be the path of a directory"),
      expect.stringContaining("'startDelayMs' must be a whole number of milliseconds from 0"),
    ]);
  });

  it.each([[undefined], [null], ['wss://cloud.example.com']])('refuse %p in place of an object', (given) => {
    expect(problemsOf(given)).toContain('The options must be an object.');
  });

  it.each([
    ['http://cloud.example.com', "must start with 'ws://' instead of 'http://'"],
    ['https://cloud.example.com', "must start with 'wss://' instead of 'https://'"],
    ['ftp://cloud.example.com', 'must start with ws:// or wss://'],
    ['cloud.example.com', 'must be a URL'],
    ['ws://', 'must be a URL'],
    ['wss://me:secret@cloud.example.com', 'must not hold a user name or password'],
    ['wss://cloud.example.com/#here', 'must not have a fragment'],
    [42, 'must be a URL'],
  ])('refuse the url %p (§3)', (url, problem) => {
    const problems = problemsOf({ ...GOOD, url });
    expect(problems).toEqual([expect.stringContaining(problem)]);
    expect(problems.join()).not.toContain('secret');
  });

  it.each(['ws://127.0.0.1:3000', 'wss://[::1]/fedecks/websocket?site=4'])('take the url %s', (url) => {
    expect(problemsOf({ ...GOOD, url })).toEqual([]);
  });

  it('refuse a device id that does not fit into a ping: 125 bytes, not characters (§2)', () => {
    expect(problemsOf({ ...GOOD, deviceId: 'd'.repeat(125) })).toEqual([]);
    expect(problemsOf({ ...GOOD, deviceId: 'd'.repeat(126) })).toEqual([
      expect.stringContaining('126 bytes'),
    ]);
    expect(problemsOf({ ...GOOD, deviceId: 'é'.repeat(63) })).toEqual([expect.stringContaining('126 bytes')]);
  });

  it.each([[''], [7], [{ load: () => undefined }]])('refuse the token store %p', (tokenStore) => {
    expect(problemsOf({ ...GOOD, tokenStore })).toEqual([expect.stringContaining('new MemoryTokenStore()')]);
  });

  it.each([0, 1.5, NaN, '5', 2 ** 31])('refuse pongTimeoutMs: %p', (pongTimeoutMs) => {
    expect(problemsOf({ ...GOOD, pongTimeoutMs })).toEqual([expect.stringContaining("'pongTimeoutMs'")]);
  });

  it('refuse a longest wait that is shorter than the shortest', () => {
    expect(problemsOf({ ...GOOD, retryMinMs: 100_000, slowRetryMaxMs: 1 })).toEqual([
      "'retryMaxMs' must be at least 'retryMinMs'.",
      "'slowRetryMaxMs' must be at least 'slowRetryMinMs'.",
    ]);
  });
});

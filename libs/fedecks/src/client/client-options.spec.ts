import { InvalidOptionsError } from '../options/index.js';
import { resolveOptions, type FedecksClientOptions } from './client-options.js';
import { FileOutboxStore } from './outbox/file-outbox-store.js';
import { MemoryOutboxStore } from './outbox/memory-outbox-store.js';
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
      phaseTimeoutMs: 20_000,
      upgradeTimeoutMs: 60_000,
      pingIntervalMs: 19_000,
      pongTimeoutMs: 19_000,
      minBytesPerSecond: 1_000,
      retryMinMs: 1_000,
      retryMaxMs: 60_000,
      refusedRetryMs: 60_000,
      slowRetryMinMs: 900_000,
      slowRetryMaxMs: 3_600_000,
      stableAfterMs: 60_000,
      closeTimeoutMs: 2_000,
      maxFrameBytes: 16_777_216,
      maxBufferedBytes: 1_048_576,
      tls: {},
    });
  });

  it('keep given values, and treat undefined as not given', () => {
    const options = resolveOptions({ ...GOOD, startDelayMs: 0, pingIntervalMs: undefined, pongTimeoutMs: 5 });
    expect(options).toMatchObject({
      urls: [GOOD.url],
      deviceId: GOOD.deviceId,
      startDelayMs: 0,
      pingIntervalMs: 19_000,
      pongTimeoutMs: 5,
    });
  });

  it('create a token store from a directory, and keep a given store', () => {
    expect(resolveOptions(GOOD).tokenStore).toBeInstanceOf(FileTokenStore);
    const tokenStore = new MemoryTokenStore();
    expect(resolveOptions({ ...GOOD, tokenStore }).tokenStore).toBe(tokenStore);
  });

  it('create an outbox from a directory or limits, keep a given store, and have none otherwise', () => {
    expect(resolveOptions(GOOD).outbox).toBeUndefined();
    expect(resolveOptions({ ...GOOD, outbox: '/outbox' }).outbox).toBeInstanceOf(FileOutboxStore);
    const limited = {
      directory: '/outbox',
      maxMessages: 5,
      maxBytes: 10_000,
      full: 'reject',
      syncMs: 5,
    } as const;
    expect(resolveOptions({ ...GOOD, outbox: limited }).outbox).toBeInstanceOf(FileOutboxStore);
    const outbox = new MemoryOutboxStore();
    expect(resolveOptions({ ...GOOD, outbox }).outbox).toBe(outbox);
  });

  it('report all problems with the outbox', () => {
    expect(problemsOf({ ...GOOD, outbox: { directry: 'x', maxMessages: 0, full: 'explode' } })).toEqual([
      "'outbox': Option 'directry' does not exist: did you mean 'directory'?",
      "'outbox': 'directory' must be the path of a directory.",
      "'outbox': 'maxMessages' must be a whole number of messages of at least 1, not 0.",
      "'outbox': 'full' must be 'drop-oldest' or 'reject', not a string of 7 characters.",
    ]);
    expect(problemsOf({ ...GOOD, outbox: { append: () => 1, open: () => 1 } })).toEqual([
      expect.stringContaining("'outbox' is a store without read(), following(), remove()"),
    ]);
    expect(problemsOf({ ...GOOD, outbox: 5 })).toEqual([
      expect.stringContaining("'outbox' must be the path of a directory"),
    ]);
  });

  it('report all problems at once', () => {
    const problems = problemsOf({ url: 'cloud', pingIntervallMs: 5, startDelayMs: -1, colour: 'blue' });
    expect(problems).toEqual([
      "Option 'pingIntervallMs' does not exist: did you mean 'pingIntervalMs'?",
      expect.stringContaining("Option 'colour' does not exist (have: url, deviceId"),
      expect.stringContaining("'url' must be a URL with scheme and host"),
      "'deviceId' must be a non-empty string, or a function that returns one.",
      expect.stringContaining("'tokenStore' must be the path of a directory"),
      expect.stringContaining("'startDelayMs' must be a whole number of milliseconds from 0"),
    ]);
  });

  it.each([[undefined], [null], ['wss://cloud.example.com']])('reject %p instead of an object', (given) => {
    expect(problemsOf(given)).toContain('The options must be an object.');
  });

  it.each([
    ['http://cloud.example.com', "must start with 'ws://' instead of 'http://'"],
    ['https://cloud.example.com', "must start with 'wss://' instead of 'https://'"],
    ['ftp://cloud.example.com', 'must start with ws:// or wss://'],
    ['cloud.example.com', 'must be a URL'],
    ['ws://', 'must be a URL'],
    ['wss://me:secret@cloud.example.com', 'must not contain a user name or password'],
    ['wss://cloud.example.com/#here', 'must not have a fragment'],
    [42, 'must be a URL'],
  ])('reject the url %j (§3)', (url, problem) => {
    const problems = problemsOf({ ...GOOD, url });
    expect(problems).toEqual([expect.stringContaining(problem)]);
    expect(problems.join()).not.toContain('secret');
  });

  it.each(['ws://127.0.0.1:3000', 'wss://[::1]/fedecks/websocket?site=4'])('accept the url %s', (url) => {
    expect(problemsOf({ ...GOOD, url })).toEqual([]);
  });

  it('reject a device id that does not fit into a ping: 125 bytes, not characters (§2)', () => {
    expect(problemsOf({ ...GOOD, deviceId: 'd'.repeat(125) })).toEqual([]);
    expect(problemsOf({ ...GOOD, deviceId: 'd'.repeat(126) })).toEqual([
      expect.stringContaining('126 bytes'),
    ]);
    expect(problemsOf({ ...GOOD, deviceId: 'é'.repeat(63) })).toEqual([expect.stringContaining('126 bytes')]);
  });

  it('accept a function for the device id, and call it once', () => {
    let calls = 0;
    const deviceId = (): string => `device-${++calls}`;
    expect(resolveOptions({ ...GOOD, deviceId }).deviceId).toBe('device-1');
    expect(calls).toBe(1);
  });

  it.each([
    [() => 'd'.repeat(126), '126 bytes'],
    [() => '', 'must be a non-empty string'],
    [() => Promise.resolve('nerves'), 'must be a non-empty string'],
    [
      () => {
        throw new Error('no serial number');
      },
      'threw: Error: no serial number',
    ],
  ])('reject an invalid device id of a function: %#', (deviceId, problem) => {
    expect(problemsOf({ ...GOOD, deviceId })).toEqual([expect.stringContaining(problem)]);
  });

  it('accept several urls, and reject each invalid one, and an empty list', () => {
    const url = ['ws://a', 'ws://b'] as const;
    expect(resolveOptions({ ...GOOD, url }).urls).toEqual(url);
    expect(problemsOf({ ...GOOD, url: ['http://a', 'ws://b', 'nonsense'] })).toEqual([
      expect.stringContaining("'ws://' instead of 'http://'"),
      expect.stringContaining('must be a URL'),
    ]);
    expect(problemsOf({ ...GOOD, url: [] })).toEqual([expect.stringContaining('must be a URL')]);
  });

  it('create a proxy selection from a url, and keep a given function', () => {
    const { proxy } = resolveOptions({ ...GOOD, proxy: 'http://me:secret@proxy:3128' });
    expect(proxy(GOOD.url)).toBe('http://me:secret@proxy:3128');
    expect(resolveOptions(GOOD).proxy(GOOD.url)).toBeUndefined();
    const choice = (): undefined => undefined;
    expect(resolveOptions({ ...GOOD, proxy: choice }).proxy).toBe(choice);
  });

  it.each(['socks5://me:secret@proxy', 'secret', 3128, null])('reject the proxy %p', (proxy) => {
    const problems = problemsOf({ ...GOOD, proxy });
    expect(problems).toEqual([expect.stringContaining("'proxy' must be the URL of an HTTP proxy")]);
    expect(problems.join()).not.toContain('secret');
  });

  it.each([
    ['nothing', null, ["'tls' must be an object"]],
    ['an unknown key', { certificate: 'x' }, ["Option 'tls.certificate' does not exist"]],
    ['a certificate without its key', { cert: 'x' }, ["'tls.cert' and 'tls.key' go together"]],
    ['what is no certificate', { cert: 'x', key: 'y' }, ["'tls.cert' must be a PEM certificate"]],
    ['the path of a CA', { ca: '/etc/ca.pem' }, ["'tls.ca' must contain PEM certificates"]],
    ['no server name', { servername: '' }, ["'tls.servername'"]],
    ['pins in hexadecimal', { pins: ['sha256/00ff'] }, ["'tls.pins'"]],
    ['no pin', { pins: [] }, ["'tls.pins'"]],
    ['several faults', { ca: 'x', pins: 'y' }, ["'tls.ca'", "'tls.pins'"]],
  ])('reject %s for tls', (_what, tls, problems) => {
    expect(problemsOf({ ...GOOD, tls })).toEqual(
      problems.map((problem) => expect.stringContaining(problem) as string),
    );
  });

  it('reject tls without a wss url', () => {
    expect(problemsOf({ ...GOOD, url: 'ws://a', tls: { servername: 'b' } })).toEqual([
      expect.stringContaining('start it with wss://'),
    ]);
  });

  it.each([[''], [7], [{ load: () => undefined }]])('reject the token store %p', (tokenStore) => {
    expect(problemsOf({ ...GOOD, tokenStore })).toEqual([expect.stringContaining('new MemoryTokenStore()')]);
  });

  it.each([0, 1.5, NaN, '5', 2 ** 31])('reject pongTimeoutMs: %p', (pongTimeoutMs) => {
    expect(problemsOf({ ...GOOD, pongTimeoutMs })).toEqual([expect.stringContaining("'pongTimeoutMs'")]);
  });

  it('reject a maximum delay below the minimum', () => {
    expect(problemsOf({ ...GOOD, retryMinMs: 100_000, slowRetryMaxMs: 1 })).toEqual([
      "'retryMaxMs' must be at least 'retryMinMs'.",
      "'slowRetryMaxMs' must be at least 'slowRetryMinMs'.",
    ]);
  });
});

import { OptionsCheck } from '../options/index.js';
import { MAX_DEVICE_ID_BYTES } from '../wire/internal.js';
import { type OutboxOptions, resolveOutbox } from './outbox/outbox-options.js';
import { type OutboxStore } from './outbox/outbox-store.js';
import { problemOfProxy, type ProxyChoice } from './proxy.js';
import { problemsOfTls, type TlsOptions } from './tls.js';
import { FileTokenStore, type TokenStore } from './token-store.js';

/** What `new FedecksClient` takes. */
export interface FedecksClientOptions {
  /**
   * Where the cloud is: `wss://cloud.example.com/fedecks/websocket`. The scheme is `ws` or `wss`; without a path it
   * is `/`. It is part of events, so it must not contain secrets: a user name or password is rejected.
   *
   * With several URLs, each attempt uses one: the last one that worked, or after a failure the next. This also applies to
   * `login`. The host name is resolved at each attempt.
   */
  readonly url: string | readonly [string, ...string[]];

  /**
   * The device id, 1 to 125 bytes of UTF-8, as it is the payload of pings.
   * A function is called once, by the constructor.
   */
  readonly deviceId: string | (() => string);

  /**
   * Where the token is kept between two runs: a directory (made with mode 0700 if need be), or a store of your own.
   * To keep none, `new MemoryTokenStore()`: then every start of the process needs a login. If saving fails, the
   * client goes on with the token in memory and tells it with the event `token_store_failed`.
   *
   * A directory also keeps which deliveries of the cloud were handled, in the file `positions`. Otherwise that is kept in
   * memory: after a restart a delivery may be handled again of which the cloud has not got the acknowledgement.
   */
  readonly tokenStore: string | TokenStore;

  /**
   * How a `wss` connection is secured: a CA of your own, a certificate of the device, pinned keys. It is checked
   * before the request with the token or the credentials is written.
   * @default Node's trust store
   */
  readonly tls?: TlsOptions;

  /**
   * The HTTP proxy to connect through with CONNECT, `http://user:password@proxy.example.com:3128`; or a function
   * that gives one, or undefined, for the URL of each attempt. For the environment's: `proxyFromEnvironment`.
   * @default none: environment variables are ignored
   */
  readonly proxy?: string | ProxyChoice;

  /**
   * With a stored token, the first connection begins after a random part of this many milliseconds, so that a
   * fleet that is switched on at once does not connect at once. 0 connects at once.
   * @default 5_000
   */
  readonly startDelayMs?: number;

  /**
   * How long each phase of an attempt may take, in milliseconds: DNS, TCP, the proxy, TLS, and the answer to the
   * upgrade. Then the attempt has failed, with the phase and how long those before it took as the reason. After three
   * such failures in a row it is doubled, up to 2 minutes, until a connection shows that less will do. Also how long a
   * login then waits for its token.
   * @default 20_000
   */
  readonly phaseTimeoutMs?: number;

  /**
   * How long an attempt may take in all, in milliseconds, from the DNS query to the answer to the upgrade. It is
   * doubled together with `phaseTimeoutMs`, up to 2 minutes.
   * @default 60_000
   */
  readonly upgradeTimeoutMs?: number;

  /**
   * Milliseconds from one ping to the next. The cloud closes a connection after 60 s without a frame, so stay
   * well below that.
   * @default 19_000
   */
  readonly pingIntervalMs?: number;

  /**
   * How many milliseconds after a ping some frame must have come; otherwise the connection is dropped, and a new
   * one scheduled. Any frame counts, not only the pong.
   * @default 19_000
   */
  readonly pongTimeoutMs?: number;

  /**
   * The minimum rate of a link, in bytes per second. A message being received, and sent bytes
   * without a pong, extend the timeout by their duration at this rate, in addition to `pongTimeoutMs`; at most
   * `maxBufferedBytes` of the sent bytes count.
   * @default 1_000
   */
  readonly minBytesPerSecond?: number;

  /**
   * The longest wait before the first retry, in milliseconds. It doubles with every failure; the wait itself is a
   * random part of it.
   * @default 1_000
   */
  readonly retryMinMs?: number;

  /**
   * The maximum of the backoff bound, in milliseconds. At least `retryMinMs`.
   * @default 60_000
   */
  readonly retryMaxMs?: number;

  /**
   * The longest first wait, in milliseconds, after the token was refused (HTTP 401 or 403 without a body). The wait is
   * at least half of it, doubles with every further refusal up to `slowRetryMaxMs`, and begins anew after a
   * connection. `login` ends it. A refusal with a body is not the cloud's: it counts as any other failure.
   * @default 60_000
   */
  readonly refusedRetryMs?: number;

  /**
   * The shortest wait, in milliseconds, after the server closed with a code from 4150 to 4199 (PROTOCOL.md §5); with
   * 4152 only from the third time within five minutes on. `login` ends
   * the wait.
   * @default 900_000, which is 15 minutes
   */
  readonly slowRetryMinMs?: number;

  /**
   * The longest such wait, in milliseconds. At least `slowRetryMinMs`.
   * @default 3_600_000, which is an hour
   */
  readonly slowRetryMaxMs?: number;

  /**
   * How long a connection must last, in milliseconds, for the next wait to start from `retryMinMs` again. Less would
   * let a server that accepts and closes be asked again every second.
   * @default 60_000
   */
  readonly stableAfterMs?: number;

  /**
   * How long a closing server may take to end the connection, in milliseconds; then the device ends it. So it is
   * the longest that `stop` waits for the socket.
   * @default 2_000
   */
  readonly closeTimeoutMs?: number;

  /**
   * The largest message the server may send, in bytes, and the most a compressed term may inflate to. A larger
   * frame closes the connection with 1009, on its header alone.
   * @default 16_777_216, which is 16 MiB
   */
  readonly maxFrameBytes?: number;

  /**
   * How many bytes may wait for a link that does not take them; a `send` beyond that rejects with
   * `SendBufferFullError`. A message that is larger by itself is sent where nothing waits.
   * @default 1_048_576, which is 1 MiB
   */
  readonly maxBufferedBytes?: number;

  /**
   * Where messages of `deliver` wait until the cloud has handled them: a directory, one with limits, or a store of your
   * own (`new MemoryOutboxStore()` keeps them for as long as the process runs).
   * @default none: `deliver` rejects
   */
  readonly outbox?: string | OutboxOptions | OutboxStore;
}

/** The options with defaults filled in. */
export interface ResolvedClientOptions extends Required<Omit<FedecksClientOptions, 'url' | 'outbox'>> {
  readonly urls: readonly string[];
  readonly deviceId: string;
  readonly tokenStore: TokenStore;
  readonly proxy: ProxyChoice;
  readonly outbox: OutboxStore | undefined;
}

const DEFAULTS = Object.freeze({
  startDelayMs: 5_000,
  phaseTimeoutMs: 20_000,
  upgradeTimeoutMs: 60_000,
  pingIntervalMs: 19_000,
  pongTimeoutMs: 19_000,
  minBytesPerSecond: 1_000,
  retryMinMs: 1_000,
  retryMaxMs: 60_000,
  refusedRetryMs: 60_000,
  slowRetryMinMs: 15 * 60_000,
  slowRetryMaxMs: 60 * 60_000,
  stableAfterMs: 60_000,
  closeTimeoutMs: 2_000,
  maxFrameBytes: 16 * 1024 * 1024,
  maxBufferedBytes: 1024 * 1024,
} satisfies Partial<FedecksClientOptions>);

const DURATIONS = (Object.keys(DEFAULTS) as (keyof typeof DEFAULTS)[]).filter((key) => key.endsWith('Ms'));
const OPTIONS = [
  'url',
  'deviceId',
  'tokenStore',
  'tls',
  'proxy',
  'outbox',
  ...(Object.keys(DEFAULTS) as (keyof typeof DEFAULTS)[]),
] as const;

/** The maximum delay of a Node timer. */
export const MAX_TIMER_MS = 2 ** 31 - 1;

/**
 * Fills in the defaults.
 * @throws {InvalidOptionsError} naming everything that is wrong with what was given.
 */
export function resolveOptions(given: FedecksClientOptions): ResolvedClientOptions {
  const check = new OptionsCheck<FedecksClientOptions>('FedecksClient', given, OPTIONS);
  const defined = Object.fromEntries(
    Object.entries((given as FedecksClientOptions | undefined) ?? {}).filter(
      ([, value]) => value !== undefined,
    ),
  );
  const options = { ...DEFAULTS, tls: {}, ...(defined as unknown as FedecksClientOptions) };

  const urls = [options.url].flat();
  const urlProblems = urls.length === 0 ? [problemOfUrl(undefined)] : urls.map(problemOfUrl);
  const { deviceId, problem: deviceIdProblem } = deviceIdOf(options.deviceId);
  for (const problem of [...urlProblems, deviceIdProblem]) if (problem !== undefined) check.problem(problem);
  if (!isTokenStore(options.tokenStore)) {
    check.problem(
      "'tokenStore' must be the path of a directory, or an object with load(), save(token) and remove(). " +
        'To keep the token in memory only, use new MemoryTokenStore().',
    );
  }
  for (const problem of problemsOfTls(options.tls)) check.problem(problem);
  if (defined['tls'] !== undefined && urls.every((url) => typeof url === 'string' && url.startsWith('ws:'))) {
    check.problem("'tls' needs a secure 'url': start it with wss://, or remove 'tls'.");
  }
  if (options.proxy !== undefined && typeof options.proxy !== 'function') {
    const problem = problemOfProxy(options.proxy);
    if (problem !== undefined) check.problem(problem);
  }
  const outbox = options.outbox === undefined ? undefined : resolveOutbox(options.outbox);
  for (const problem of outbox?.problems ?? []) check.problem(problem);
  for (const key of DURATIONS) check.whole(key, 'milliseconds', key === 'startDelayMs' ? 0 : 1, MAX_TIMER_MS);
  check.whole('minBytesPerSecond', 'bytes per second', 1);
  check.whole('maxFrameBytes', 'bytes', 1024, 2 ** 30);
  check.whole('maxBufferedBytes', 'bytes', 1024, 2 ** 30);
  if (options.retryMinMs > options.retryMaxMs) check.problem("'retryMaxMs' must be at least 'retryMinMs'.");
  if (options.slowRetryMinMs > options.slowRetryMaxMs) {
    check.problem("'slowRetryMaxMs' must be at least 'slowRetryMinMs'.");
  }
  check.done();

  const { tokenStore, proxy } = options;
  return Object.freeze({
    ...options,
    urls,
    deviceId,
    tokenStore: typeof tokenStore === 'string' ? new FileTokenStore(tokenStore, deviceId) : tokenStore,
    proxy: typeof proxy === 'function' ? proxy : () => proxy,
    outbox: outbox?.store,
  });
}

function problemOfUrl(value: unknown): string | undefined {
  const example = "for example 'wss://cloud.example.com/fedecks/websocket'";
  if (typeof value !== 'string' || !URL.canParse(value))
    return `'url' must be a URL with scheme and host, ${example}.`;
  const url = new URL(value);
  if (url.protocol === 'http:' || url.protocol === 'https:') {
    const scheme = url.protocol.replace('http', 'ws');
    return `'url' must start with '${scheme}//' instead of '${url.protocol}//', ${example}.`;
  }
  if (url.protocol !== 'ws:' && url.protocol !== 'wss:')
    return `'url' must start with ws:// or wss://, ${example}.`;
  if (url.username !== '' || url.password !== '') {
    return "'url' must not contain a user name or password: pass credentials to login().";
  }
  if (url.hash !== '') return "'url' must not have a fragment (#...): remove it.";
  return undefined;
}

function deviceIdOf(given: unknown): { readonly deviceId: string; readonly problem?: string } {
  let value = given;
  if (typeof given === 'function') {
    try {
      value = (given as () => unknown)();
    } catch (error) {
      return { deviceId: '', problem: `The function 'deviceId' threw: ${String(error)}.` };
    }
  }
  if (typeof value !== 'string' || value === '') {
    return {
      deviceId: '',
      problem: "'deviceId' must be a non-empty string, or a function that returns one.",
    };
  }
  const bytes = Buffer.byteLength(value);
  if (bytes <= MAX_DEVICE_ID_BYTES) return { deviceId: value };
  return {
    deviceId: value,
    problem: `'deviceId' has ${bytes} bytes, but at most ${MAX_DEVICE_ID_BYTES} fit into the payload of a ping.`,
  };
}

function isTokenStore(value: unknown): boolean {
  if (typeof value === 'string') return value !== '';
  if (typeof value !== 'object' || value === null) return false;
  const store = value as Partial<Record<keyof TokenStore, unknown>>;
  return [store.load, store.save, store.remove].every((method) => typeof method === 'function');
}

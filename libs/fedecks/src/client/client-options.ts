import { OptionsCheck } from '../options/index.js';
import { MAX_DEVICE_ID_BYTES } from '../wire/index.js';
import { FileTokenStore, type TokenStore } from './token-store.js';

/** What `new FedecksClient` takes. */
export interface FedecksClientOptions {
  /**
   * Where the cloud is: `wss://cloud.example.com/fedecks/websocket`. The scheme is `ws` or `wss`; without a path it
   * is `/`. It is told in events, so it holds no secrets: a user name or password in it is refused.
   */
  readonly url: string;

  /** What the device is called, from 1 to 125 bytes of UTF-8: it is the payload of its pings, which hold no more. */
  readonly deviceId: string;

  /**
   * Where the token is kept between two runs: a directory (made with mode 0700 if need be), or a store of your own.
   * To keep none, `new MemoryTokenStore()`: then every start of the process needs a login. If saving fails, the
   * client goes on with the token in memory and tells it with the event `token_store_failed`.
   */
  readonly tokenStore: string | TokenStore;

  /**
   * With a stored token, the first connection begins after a random part of this many milliseconds, so that a
   * fleet that is switched on at once does not connect at once. 0 connects at once.
   * @default 5_000
   */
  readonly startDelayMs?: number;

  /**
   * How long an attempt may take, in milliseconds, from the DNS query to the answer to the upgrade; then it has
   * failed. Also how long a login then waits for its token.
   * @default 10_000
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
   * The longest wait before the first retry, in milliseconds. It doubles with every failure; the wait itself is a
   * random part of it.
   * @default 1_000
   */
  readonly retryMinMs?: number;

  /**
   * What the longest wait grows to, in milliseconds. At least `retryMinMs`.
   * @default 60_000
   */
  readonly retryMaxMs?: number;

  /**
   * The shortest wait, in milliseconds, after the token was refused (HTTP 401 or 403), or the server closed with a
   * code from 4150 to 4199 (PROTOCOL.md §5). `login` ends the wait.
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
}

/** The options with defaults filled in. */
export interface ResolvedClientOptions extends Required<FedecksClientOptions> {
  readonly tokenStore: TokenStore;
}

const DEFAULTS = Object.freeze({
  startDelayMs: 5_000,
  upgradeTimeoutMs: 10_000,
  pingIntervalMs: 19_000,
  pongTimeoutMs: 19_000,
  retryMinMs: 1_000,
  retryMaxMs: 60_000,
  slowRetryMinMs: 15 * 60_000,
  slowRetryMaxMs: 60 * 60_000,
  stableAfterMs: 60_000,
  closeTimeoutMs: 2_000,
  maxFrameBytes: 16 * 1024 * 1024,
} satisfies Partial<FedecksClientOptions>);

const DURATIONS = (Object.keys(DEFAULTS) as (keyof typeof DEFAULTS)[]).filter((key) => key.endsWith('Ms'));
const OPTIONS = [
  'url',
  'deviceId',
  'tokenStore',
  ...(Object.keys(DEFAULTS) as (keyof typeof DEFAULTS)[]),
] as const;

/** The longest a timer of Node's can wait. */
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
  const options = { ...DEFAULTS, ...(defined as unknown as FedecksClientOptions) };

  const urlProblem = problemOfUrl(options.url);
  if (urlProblem !== undefined) check.problem(urlProblem);
  const deviceIdProblem = problemOfDeviceId(options.deviceId);
  if (deviceIdProblem !== undefined) check.problem(deviceIdProblem);
  if (!isTokenStore(options.tokenStore)) {
    check.problem(
      "'tokenStore' must be the path of a directory, or an object with load(), save(token) and remove(). " +
        'To keep the token in memory only: new MemoryTokenStore().',
    );
  }
  for (const key of DURATIONS) check.whole(key, 'milliseconds', key === 'startDelayMs' ? 0 : 1, MAX_TIMER_MS);
  check.whole('maxFrameBytes', 'bytes', 1024, 2 ** 30);
  if (options.retryMinMs > options.retryMaxMs) check.problem("'retryMaxMs' must be at least 'retryMinMs'.");
  if (options.slowRetryMinMs > options.slowRetryMaxMs) {
    check.problem("'slowRetryMaxMs' must be at least 'slowRetryMinMs'.");
  }
  check.done();

  const { tokenStore } = options;
  const store =
    typeof tokenStore === 'string' ? new FileTokenStore(tokenStore, options.deviceId) : tokenStore;
  return Object.freeze({ ...options, tokenStore: store });
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
    return "'url' must not hold a user name or password: credentials are given to login().";
  }
  if (url.hash !== '') return "'url' must not have a fragment (#...): it would not be sent.";
  return undefined;
}

function problemOfDeviceId(value: unknown): string | undefined {
  if (typeof value !== 'string' || value === '') return "'deviceId' must be a string that is not empty.";
  const bytes = Buffer.byteLength(value);
  if (bytes <= MAX_DEVICE_ID_BYTES) return undefined;
  return `'deviceId' has ${bytes} bytes, and at most ${MAX_DEVICE_ID_BYTES} fit into a ping, whose payload it is.`;
}

function isTokenStore(value: unknown): boolean {
  if (typeof value === 'string') return value !== '';
  if (typeof value !== 'object' || value === null) return false;
  const store = value as Partial<Record<keyof TokenStore, unknown>>;
  return [store.load, store.save, store.remove].every((method) => typeof method === 'function');
}

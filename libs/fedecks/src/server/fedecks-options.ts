import { type CanActivate, type Type } from '@nestjs/common';
import { OptionsCheck } from '../options/index.js';
import { DEFAULT_PATH } from '../wire/internal.js';
import { type DeviceAuthenticator } from './device.js';
import { type BackplaneFactory, InProcessBackplane } from './backplane.js';
import { type DeliveryStore, MemoryDeliveryStore, STORE_METHODS } from './deliveries/delivery-store.js';
import { type Duration, durationMs } from './duration.js';
import { type MetricsRecorder } from './metrics.js';
import { MemoryRevocations, type RevocationStore } from './revocations.js';
import { TrustedProxies } from './upgrade/address.js';

/** The injection token of the resolved options of an endpoint. */
export const FEDECKS_OPTIONS = Symbol('FEDECKS_OPTIONS');

/** The options of `FedecksModule.forRoot`. */
export interface FedecksOptions {
  /**
   * Devices connect to `path` followed by `/websocket`, with or without a trailing slash. It starts with `/`. The global
   * prefix of the app does not apply.
   * @default '/fedecks', so that devices open `ws://host/fedecks/websocket`
   */
  readonly path?: string;

  /**
   * The secrets that sign tokens, each at least 32 bytes: the first signs, all verify. To rotate, put a new one in
   * front, and remove the old one when its last token has expired (`tokenExpiry`). The app does not start with a
   * missing or short secret. Generate one with `openssl rand -base64 48`. Endpoints that share a secret accept each
   * other's tokens: if their devices differ, use different secrets.
   */
  readonly secrets: readonly (string | undefined)[];

  /** Checks the credentials of a login: the class of a provider of the app, or an object. */
  readonly authenticator: Type<DeviceAuthenticator> | DeviceAuthenticator;

  /**
   * Guards that run at the upgrade, in order, after authentication and before the websocket exists: classes of providers,
   * or objects. Their execution context has the type `http`, and `request.device` is the device. If a guard returns false
   * or throws an HttpException below 500, the cloud rejects the upgrade with 403; after any other error, with 503.
   * @default none
   */
  readonly guards?: readonly (Type<CanActivate> | CanActivate)[];

  /**
   * How often a connected device receives a new token. Must be less than `tokenExpiry`.
   * @default '3h'
   */
  readonly tokenRefresh?: Duration;

  /**
   * How long a token is valid: a device that is offline longer must log in again.
   * @default '28d'
   */
  readonly tokenExpiry?: Duration;

  /**
   * The cloud closes a connection with 1000 after this many milliseconds without a byte from the device. Devices ping
   * every 19 s. Frames to the device do not count. A single message may take this time plus 1 ms for each byte that has
   * arrived; pings do not extend that.
   * @default 60_000
   */
  readonly idleTimeoutMs?: number;

  /**
   * The largest message from a device, in bytes, in one frame or in fragments. The cloud closes the connection with 1009
   * as soon as a header announces a larger one.
   * @default 262_144
   */
  readonly maxFrameBytes?: number;

  /**
   * The timeout of authenticator and guards together, in milliseconds. After it, the cloud rejects the upgrade with 503,
   * and the device tries again. At most 1,000 upgrades with a token and 1,000 others wait at the same time, 500 of the
   * others from one address; the cloud rejects more with 503 immediately.
   * @default 10_000
   */
  readonly upgradeTimeoutMs?: number;

  /**
   * The maximum number of messages of one device that wait for handlers. At the limit the cloud stops reading the socket,
   * so that TCP slows the device down.
   * @default 64
   */
  readonly mailboxLimit?: number;

  /**
   * Like `mailboxLimit`, in bytes: the limit that is reached first applies. Messages that are unhandled when a connection
   * ends count against the next connection of the device: while they fill the mailbox, or while handlers of more than
   * `mailboxLimit` ended connections run, the cloud rejects upgrades of the device with 503.
   * @default 1_048_576
   */
  readonly mailboxBytes?: number;

  /**
   * The maximum number of elements of one message: every number, text, list, tuple, map, key and value counts, and
   * expensive ones count more than once (PROTOCOL.md §4.5). A message with more is a raw message. The limit bounds the
   * time to decode one message.
   * @default 100_000
   */
  readonly maxElements?: number;

  /**
   * Whether to inflate compressed terms, up to `maxBytes` in total and `maxRatio` times the size of the frame. A larger
   * one is a raw message, and with `false` every compressed term is. `true` means the default limits.
   * @default { maxRatio: 16, maxBytes: 65_536 }
   */
  readonly compressedTerms?: boolean | { readonly maxRatio: number; readonly maxBytes: number };

  /**
   * The maximum bytes buffered for a device that does not read. Above the limit the cloud closes the connection with
   * 4001. Data that the kernel accepts immediately does not count. A single message may be larger, up to 16 MiB, if
   * nothing is buffered before it.
   * @default 1_048_576
   */
  readonly maxBufferedBytes?: number;

  /**
   * What happens when a device id connects twice: `newest` closes the older connection with 4152, `oldest` rejects the
   * newer upgrade with 503, `allow` keeps both, and pushes go to both. Only one of them may deliver: the
   * older is closed with 4152 when the newer begins to.
   * @default 'newest'
   */
  readonly duplicates?: 'newest' | 'oldest' | 'allow';

  /**
   * What happens when two machines use one device id, for example because they started from one disk image (PROTOCOL.md
   * §1.8). `@OnSocketError` receives `clone_suspected` with both addresses. `refuse` also rejects, with 503, the machine
   * that is not connected while the other one is. A node that knows neither machine accepts it briefly, then closes it
   * with 4152. Requires `duplicates: 'newest'`, and devices that name their attempts.
   * @default 'report'
   */
  readonly clones?: 'report' | 'refuse';

  /**
   * The maximum frames per second from a device, including fragments, text frames, pings and pongs. The cloud closes the
   * connection of a device that sends more with 4003, and the device reconnects with backoff. Frames that arrive while
   * the socket is paused do not count against the second in which they are read. 0 disables the limit.
   * @default 1_000
   */
  readonly messagesPerSecond?: number;

  /**
   * Maximum upgrades accepted for authentication per second, across all addresses. The cloud rejects more with 503
   * and `Retry-After`. Upgrades with a valid token and all others (logins, bad tokens, garbage) have separate limits,
   * so that failed logins do not block devices with tokens. One address may use at most half of the limit for the
   * others. 0 disables the limit.
   * @default 1_000
   */
  readonly upgradesPerSecond?: number;

  /**
   * Maximum upgrades of one address accepted for authentication per minute. The cloud rejects more as with
   * `upgradesPerSecond`. Upgrades with a valid token and all others have separate limits. One device with a token may use
   * a tenth, and at least 10. IPv6 addresses count by their /64. Behind a proxy all devices share its address unless
   * `trustedProxies` contains it. 0 disables the limit.
   * @default 6_000
   */
  readonly upgradesPerAddressPerMinute?: number;

  /**
   * The proxies whose `X-Forwarded-For` is trusted: addresses, CIDR ranges, or `loopback`, `linklocal`, `uniquelocal`.
   * The address of a device is the last one in the header that is not a trusted proxy. Entries of the header may have a
   * port or brackets. For an entry that is not an address, the proxy that wrote it counts. If the option is not empty,
   * peers on a unix socket are trusted too.
   * @default none: uses the address of the peer, and ignores the header
   */
  readonly trustedProxies?: readonly string[];

  /**
   * Stores the revocations of {@link Fedecks.revoke}: the class of a provider of the app, or an object. Endpoints with the
   * same store share revocations. Not allowed together with `backplane`.
   * @default the store of the `backplane`; without one, memory, which a restart clears
   */
  readonly revocations?: Type<RevocationStore> | RevocationStore;

  /**
   * Links the nodes that serve this endpoint: `natsBackplane({ servers })` from `@fedecks/nest/nats`. Then any node can
   * push to any device and knows which devices are online, and `duplicates` applies across nodes.
   * @default none: this process serves all devices, and needs no server
   */
  readonly backplane?: BackplaneFactory;

  /**
   * Stores which deliveries of devices were handled, and what waits for devices: a provider's class, or an object.
   * @default the backplane's if there is one, otherwise `MemoryDeliveryStore`, which a restart empties
   */
  readonly deliveryStore?: Type<DeliveryStore> | DeliveryStore;

  /**
   * Lets devices migrate from an Elixir Fedecks server: the cloud accepts its tokens (plug_crypto 1 and 2), and replaces
   * them with its own. `secret` and `salt` are those of the Elixir server's socket.
   * @default none: rejects tokens of an Elixir server
   */
  readonly phoenix?: { readonly secret: string; readonly salt: string };

  /**
   * The time, in milliseconds, over which a shutdown closes the connections in stages, with 4000, so that devices do not
   * all reconnect in the same second. Requires `app.enableShutdownHooks()`. Running handlers may finish within this time,
   * and `@OnDisconnected` handlers have 1.2 s more. Then Nest calls `onModuleDestroy` and later hooks. The default leaves
   * the app three of the 10 s that `docker stop` waits. 0 closes all connections at once.
   * @default 5_000
   */
  readonly drainMs?: number;

  /**
   * The metrics recorder, for example for `prom-client`: the class of a provider of the app, or an object with `count` and
   * `observe`. `FEDECKS_METRICS` lists all metrics.
   * @default none: records no metrics
   */
  readonly metrics?: Type<MetricsRecorder> | MetricsRecorder;
}

/** The options with defaults filled in, durations in milliseconds. */
export interface ResolvedOptions extends Required<
  Omit<FedecksOptions, 'secrets' | 'tokenRefresh' | 'tokenExpiry' | 'phoenix' | 'metrics'>
> {
  readonly phoenix: FedecksOptions['phoenix'];
  readonly metrics: FedecksOptions['metrics'];
  readonly secrets: readonly string[];
  readonly tokenRefreshMs: number;
  readonly tokenExpiryMs: number;
}

const inProcess: BackplaneFactory = (endpoint) => new InProcessBackplane(endpoint);

const DEFAULTS = Object.freeze({
  path: DEFAULT_PATH,
  guards: [],
  tokenRefresh: '3h',
  tokenExpiry: '28d',
  idleTimeoutMs: 60_000,
  maxFrameBytes: 256 * 1024,
  upgradeTimeoutMs: 10_000,
  mailboxLimit: 64,
  mailboxBytes: 1024 * 1024,
  maxElements: 100_000,
  compressedTerms: true,
  maxBufferedBytes: 1024 * 1024,
  duplicates: 'newest',
  clones: 'report',
  messagesPerSecond: 1_000,
  upgradesPerSecond: 1_000,
  upgradesPerAddressPerMinute: 6_000,
  trustedProxies: [],
  revocations: MemoryRevocations,
  backplane: inProcess,
  deliveryStore: MemoryDeliveryStore,
  phoenix: undefined,
  drainMs: 5_000,
  metrics: undefined,
} satisfies { [K in keyof FedecksOptions]?: FedecksOptions[K] | undefined });

const OPTIONS = [...(Object.keys(DEFAULTS) as (keyof FedecksOptions)[]), 'secrets', 'authenticator'] as const;

const MIN_SECRET_BYTES = 32;
/** The maximum delay of a Node timer. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/**
 * Checks the options, and fills in the defaults.
 * @throws {InvalidOptionsError} with every problem of the options.
 */
export function resolveOptions(given: FedecksOptions): ResolvedOptions {
  const check = new OptionsCheck<FedecksOptions>('FedecksModule.forRoot', given, OPTIONS);
  const defined = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  const options = { ...DEFAULTS, ...(defined as unknown as FedecksOptions) };

  if (typeof options.path !== 'string' || !/^(\/[^/?#\s]+)+$/.test(options.path)) {
    check.problem(
      "'path' must start with a slash and have no trailing slash, query or space, for example '/fedecks'.",
    );
  }
  checkSecrets(check, options.secrets);
  if (!isProvider(options.authenticator, ['authenticate'])) {
    check.problem(
      "'authenticator' must be a class (a provider of your app) or an object with a method authenticate(credentials, device).",
    );
  }
  if (
    !Array.isArray(options.guards) ||
    !options.guards.every((guard) => isProvider(guard, ['canActivate']))
  ) {
    check.problem("'guards' must be an array of guards: classes, or objects with canActivate(context).");
  }
  const tokenRefreshMs = duration(check, 'tokenRefresh', options.tokenRefresh);
  const tokenExpiryMs = duration(check, 'tokenExpiry', options.tokenExpiry);
  if (tokenRefreshMs >= tokenExpiryMs) {
    check.problem(
      "'tokenRefresh' must be shorter than 'tokenExpiry': otherwise the tokens of connected devices expire.",
    );
  }
  check.whole('idleTimeoutMs', 'milliseconds', 1, MAX_TIMER_MS);
  check.whole('maxFrameBytes', 'bytes', 64, 2 ** 30);
  check.whole('upgradeTimeoutMs', 'milliseconds', 1, MAX_TIMER_MS);
  check.whole('mailboxLimit', 'messages', 1);
  check.whole('mailboxBytes', 'bytes', 1024);
  check.whole('maxElements', 'elements', 1);
  checkCompression(check, options.compressedTerms);
  check.whole('maxBufferedBytes', 'bytes', 1024);
  check.oneOf('duplicates', ['newest', 'oldest', 'allow']);
  check.oneOf('clones', ['report', 'refuse']);
  check.whole('messagesPerSecond', 'messages', 0);
  check.whole('upgradesPerSecond', 'upgrades', 0);
  check.whole('upgradesPerAddressPerMinute', 'upgrades', 0);
  check.whole('drainMs', 'milliseconds', 0, MAX_TIMER_MS);
  checkProxies(check, options.trustedProxies);
  if (!isProvider(options.revocations, ['revoke', 'revokedAt'])) {
    check.problem(
      "'revocations' must be a class or object with revoke(deviceId, at, until) and revokedAt(deviceId).",
    );
  }
  if (typeof options.backplane !== 'function') {
    check.problem("'backplane' must be the result of natsBackplane({ servers }) from '@fedecks/nest/nats'.");
  } else if (options.backplane !== inProcess && options.revocations !== MemoryRevocations) {
    check.problem(
      "Remove 'revocations': the 'backplane' stores revocations, and sends them to the other nodes.",
    );
  }
  if (!isProvider(options.deliveryStore, STORE_METHODS)) {
    check.problem(
      `'deliveryStore' must be a class or object with ${STORE_METHODS.map((method) => `${method}()`).join(', ')}.`,
    );
  } else if (options.backplane !== inProcess && options.deliveryStore instanceof MemoryDeliveryStore) {
    check.problem(
      "'deliveryStore' must not be a MemoryDeliveryStore where there is a 'backplane', as other nodes do not see it: " +
        'leave it out.',
    );
  }
  if (options.metrics !== undefined && !isProvider(options.metrics, ['count', 'observe'])) {
    check.problem(
      "'metrics' must be a class or object with count(name, labels, by) and observe(name, labels, value).",
    );
  }
  const { phoenix } = options;
  if (
    phoenix !== undefined &&
    !(
      isObject(phoenix) &&
      [phoenix.secret, phoenix.salt].every((each) => typeof each === 'string' && each !== '')
    )
  ) {
    check.problem(
      "'phoenix' must contain the 'secret' and the 'salt' of the Elixir server's socket, as non-empty strings.",
    );
  }
  check.done();

  return { ...options, secrets: options.secrets as string[], tokenRefreshMs, tokenExpiryMs };
}

function checkSecrets(check: OptionsCheck<FedecksOptions>, secrets: unknown): void {
  if (!Array.isArray(secrets) || secrets.length === 0) {
    check.problem(
      "'secrets' must be an array with at least one secret: secrets: [process.env.FEDECKS_SECRET].",
    );
    return;
  }
  secrets.forEach((secret: unknown, index) => {
    if (typeof secret === 'string' && Buffer.byteLength(secret) >= MIN_SECRET_BYTES) return;
    const what =
      typeof secret === 'string' && secret !== ''
        ? `has ${Buffer.byteLength(secret)} bytes`
        : 'is missing or empty';
    check.problem(
      `secrets[${index}] ${what}: set it to at least ${MIN_SECRET_BYTES} bytes, for example to the output of ` +
        '`openssl rand -base64 48`, in the environment variable that your code reads.',
    );
  });
}

function checkProxies(check: OptionsCheck<FedecksOptions>, proxies: unknown): void {
  try {
    if (!Array.isArray(proxies)) throw new TypeError('not an array');
    new TrustedProxies(proxies as string[]);
  } catch {
    check.problem(
      "'trustedProxies' must be an array of addresses or CIDR ranges, for example ['loopback', '10.0.0.0/8'].",
    );
  }
}

function checkCompression(check: OptionsCheck<FedecksOptions>, given: unknown): void {
  if (typeof given === 'boolean') return;
  if (
    isObject(given) &&
    [given['maxRatio'], given['maxBytes']].every((each) => Number.isInteger(each) && Number(each) >= 1)
  )
    return;
  check.problem(
    "'compressedTerms' must be true, false, or { maxRatio, maxBytes } with whole numbers of at least 1.",
  );
}

/** Whether a value is a class, which is resolved later, or an object with these methods. */
function isProvider(value: unknown, methods: readonly string[]): boolean {
  return (
    typeof value === 'function' ||
    (isObject(value) && methods.every((method) => typeof value[method] === 'function'))
  );
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function duration(
  check: OptionsCheck<FedecksOptions>,
  key: 'tokenRefresh' | 'tokenExpiry',
  value: unknown,
): number {
  const millis = durationMs(value);
  if (millis !== undefined) return millis;
  check.problem(`'${key}' must be a positive number of milliseconds or a duration such as '3h'.`);
  return NaN;
}

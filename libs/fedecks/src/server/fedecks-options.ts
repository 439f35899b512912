import { type CanActivate, type Type } from '@nestjs/common';
import { OptionsCheck } from '../options/index.js';
import { DEFAULT_PATH } from '../wire/internal.js';
import { type DeviceAuthenticator } from './device.js';
import { type BackplaneFactory, InProcessBackplane } from './backplane.js';
import { type Duration, durationMs } from './duration.js';
import { type MetricsRecorder } from './metrics.js';
import { MemoryRevocations, type RevocationStore } from './revocations.js';
import { TrustedProxies } from './upgrade/address.js';

/** Where the resolved options of an endpoint are provided. */
export const FEDECKS_OPTIONS = Symbol('FEDECKS_OPTIONS');

/** What `FedecksModule.forRoot` takes. */
export interface FedecksOptions {
  /**
   * Where devices connect: `path` followed by `/websocket`, with or without a trailing slash. It starts with `/`
   * and is not changed by the app's global prefix.
   * @default '/fedecks', so that devices open `ws://host/fedecks/websocket`
   */
  readonly path?: string;

  /**
   * The secrets of the tokens, each at least 32 bytes: the first signs, all verify. To rotate, put a new one in
   * front and remove the old one when its last token has expired (`tokenExpiry`). With a missing or short
   * secret the app does not start. A good one: `openssl rand -base64 48`. Endpoints that share a secret accept
   * each other's tokens: where their devices are not the same, give each endpoint its own.
   */
  readonly secrets: readonly (string | undefined)[];

  /** Checks the credentials of a login: a provider of the app, by its class, or an object. */
  readonly authenticator: Type<DeviceAuthenticator> | DeviceAuthenticator;

  /**
   * Guards that run at the upgrade, in order, after the token or credentials have been found good and before the
   * websocket exists: providers by their class, or objects. They see an `http` execution context whose request
   * holds the device as `request.device`. A guard that says no, or throws, refuses the upgrade with 403.
   * @default none
   */
  readonly guards?: readonly (Type<CanActivate> | CanActivate)[];

  /**
   * How long a connection lasts before the device is sent a fresh token, unasked. Less than `tokenExpiry`.
   * @default '3h'
   */
  readonly tokenRefresh?: Duration;

  /**
   * How long a token opens connections: a device that was away for longer must log in again.
   * @default '28d'
   */
  readonly tokenExpiry?: Duration;

  /**
   * After this many milliseconds without any byte from the device, its connection is closed with 1000. Devices
   * ping every 19 s. Frames to the device do not count: only what it sends shows that it is alive. A message may
   * take as long, and 1 ms more for each byte of it that has arrived; pings meanwhile do not extend that.
   * @default 60_000
   */
  readonly idleTimeoutMs?: number;

  /**
   * The largest message a device may send, in bytes, in one frame or in fragments. A larger one closes the
   * connection with 1009, on the length that its header claims.
   * @default 262_144
   */
  readonly maxFrameBytes?: number;

  /**
   * How long, in milliseconds, authenticator and guards may take to answer. Beyond that the upgrade is refused
   * with 503, which tells the device to try again. At most 1,000 upgrades with a token and 1,000 others wait for
   * them at the same time, 500 of the others from one address; more are refused with 503 at once.
   * @default 10_000
   */
  readonly upgradeTimeoutMs?: number;

  /**
   * How many messages of one device may wait for its handlers. At that number its socket is no longer read, so
   * that TCP slows the device down.
   * @default 64
   */
  readonly mailboxLimit?: number;

  /**
   * How many bytes of messages of one device may wait for its handlers. It works as `mailboxLimit` does, together
   * with it: whichever is reached first. What waits or is being handled when a connection ends counts against the
   * next of the same device: while it is as much, or the handlers of more than `mailboxLimit` of its connections that
   * have ended still run, upgrades of the device are refused with 503.
   * @default 1_048_576
   */
  readonly mailboxBytes?: number;

  /**
   * How many elements one message may hold: every number, text, list, tuple, map, key and value counts, and more
   * than once what takes long to build (PROTOCOL.md §4.5). More is a raw message. It bounds the time that one message
   * takes to decode.
   * @default 100_000
   */
  readonly maxElements?: number;

  /**
   * Whether terms that Erlang has compressed are inflated, and up to what: `maxBytes` in all, and `maxRatio` times
   * the bytes of the frame. What is beyond, or all with `false`, is a raw message. `true` is the default.
   * @default { maxRatio: 16, maxBytes: 65_536 }
   */
  readonly compressedTerms?: boolean | { readonly maxRatio: number; readonly maxBytes: number };

  /**
   * How many bytes may wait for a device that does not read. Beyond that it is closed with 4001. What the system
   * takes at once does not wait, and a single message may be larger, up to 16 MiB, if nothing waits before it.
   * @default 1_048_576
   */
  readonly maxBufferedBytes?: number;

  /**
   * What happens when a device id connects twice: `newest` closes the older connection with 4152, `oldest`
   * refuses the newer upgrade with 503, `allow` keeps both, and pushes go to both.
   * @default 'newest'
   */
  readonly duplicates?: 'newest' | 'oldest' | 'allow';

  /**
   * What happens when two machines are found to use one device id, as those do that were started from one disk image
   * (PROTOCOL.md §1.8). They are reported to `@OnSocketError` as `clone_suspected`, with both addresses; `refuse` then
   * also refuses with 503 the one that is not connected, for as long as the other is; a node of several that has not met
   * either of them lets it in for a moment, and closes it with 4152. It works with `duplicates: 'newest'`, for devices
   * that name their attempts.
   * @default 'report'
   */
  readonly clones?: 'report' | 'refuse';

  /**
   * How many frames a device may send in a second: messages, each fragment of one, text, pings and pongs. A device
   * that sends more is closed with 4003, and comes back with its backoff. What it sends while it is not read does not
   * count against the second in which it is read. 0 turns the limit off.
   * @default 1_000
   */
  readonly messagesPerSecond?: number;

  /**
   * Maximum upgrades accepted for authentication per second, across all addresses. More are refused with 503 and
   * `Retry-After`. It applies to upgrades with a good token and to all others (logins, bad tokens, garbage) apart,
   * so that failed logins do not block devices with tokens; one address may use at most half of the limit for the
   * others. 0 turns
   * the limit off.
   * @default 1_000
   */
  readonly upgradesPerSecond?: number;

  /**
   * Maximum upgrades of one address accepted for authentication per minute; more are refused as with
   * `upgradesPerSecond`. It applies to upgrades with a good token and to all others apart; with a token, one
   * device may take a tenth, and at least 10. IPv6 addresses are counted by their /64. Behind a proxy all devices
   * share its address unless `trustedProxies` names it. 0 turns the limit off.
   * @default 6_000
   */
  readonly upgradesPerAddressPerMinute?: number;

  /**
   * The trusted proxies for `X-Forwarded-For`: addresses, CIDR ranges, or `loopback`, `linklocal`,
   * `uniquelocal`: the address of a device is then the last one there that is no trusted proxy. Entries may have
   * a port or brackets. What is no address counts as the proxy that wrote it. If there are any, the peers of a
   * server that listens on a unix socket are trusted as well.
   * @default none: the peer's address is used, and the header is ignored
   */
  readonly trustedProxies?: readonly string[];

  /**
   * Keeps what {@link Fedecks.revoke} revokes: a provider of the app, by its class, or an object. What is revoked
   * at one endpoint is revoked at all that are given the same one.
   * @default where the `backplane` keeps them; without one in the memory of this process, which a restart forgets
   */
  readonly revocations?: Type<RevocationStore> | RevocationStore;

  /**
   * Links the nodes that serve this endpoint: `natsBackplane({ servers })` of `@fedecks/nest/nats`. With it any node
   * pushes to any device and knows who is online, and a device that comes to one node is replaced at the others.
   * @default none: this process serves all devices, and needs no server
   */
  readonly backplane?: BackplaneFactory;

  /**
   * Lets devices come over from an Elixir Fedecks server: its tokens (of plug_crypto 1 and 2) open the
   * connection, and the device gets one of ours in return. `secret` and `salt` are those of its socket.
   * @default tokens of an Elixir server are refused
   */
  readonly phoenix?: { readonly secret: string; readonly salt: string };

  /**
   * How long, in milliseconds, a shutdown takes to close the devices, in stages and with 4000, so that they do
   * not all come back in the same second. Needs `app.enableShutdownHooks()`. Handlers in progress finish, within
   * this time; `@OnDisconnected` handlers have 1.2 s more. Only then Nest calls `onModuleDestroy` and the hooks
   * after it. The default leaves the app three of the 10 s `docker stop` waits. 0 closes all at once.
   * @default 5_000
   */
  readonly drainMs?: number;

  /**
   * The recorder of metrics, for example for `prom-client`: a provider of the app, by its class, or an object with
   * `count` and
   * `observe`. `FEDECKS_METRICS` lists them all.
   * @default none: nothing is counted
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
  phoenix: undefined,
  drainMs: 5_000,
  metrics: undefined,
} satisfies { [K in keyof FedecksOptions]?: FedecksOptions[K] | undefined });

const OPTIONS = [...(Object.keys(DEFAULTS) as (keyof FedecksOptions)[]), 'secrets', 'authenticator'] as const;

const MIN_SECRET_BYTES = 32;
/** The maximum delay of a Node timer. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/**
 * Fills in the defaults.
 * @throws {InvalidOptionsError} naming everything that is wrong with what was given.
 */
export function resolveOptions(given: FedecksOptions): ResolvedOptions {
  const check = new OptionsCheck<FedecksOptions>('FedecksModule.forRoot', given, OPTIONS);
  const defined = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  const options = { ...DEFAULTS, ...(defined as unknown as FedecksOptions) };

  if (typeof options.path !== 'string' || !/^(\/[^/?#\s]+)+$/.test(options.path)) {
    check.problem("'path' must start with a slash and have no trailing slash, query or space: '/fedecks'.");
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
      "'tokenRefresh' must be shorter than 'tokenExpiry', or connected devices would end up without a token.",
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
    check.problem("'backplane' must be what natsBackplane({ servers }) of '@fedecks/nest/nats' returns.");
  } else if (options.backplane !== inProcess && options.revocations !== MemoryRevocations) {
    check.problem(
      "'revocations' must be left out where there is a 'backplane': it keeps them, and tells the other nodes.",
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
      "'phoenix' must hold the 'secret' and the 'salt' of the Elixir server's socket, as strings.",
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
      `secrets[${index}] ${what}: set it to at least ${MIN_SECRET_BYTES} bytes, for example the output of ` +
        '`openssl rand -base64 48` in the environment variable it is read from.',
    );
  });
}

function checkProxies(check: OptionsCheck<FedecksOptions>, proxies: unknown): void {
  try {
    if (!Array.isArray(proxies)) throw new TypeError('not an array');
    new TrustedProxies(proxies as string[]);
  } catch {
    check.problem(
      "'trustedProxies' must be an array of addresses or CIDR ranges: ['loopback', '10.0.0.0/8'].",
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

/** A class, whose provider will be looked up, or an object with the methods asked for. */
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

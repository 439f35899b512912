import { X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import { credsAuthenticator } from '@nats-io/transport-node';
import { type ClusterOptions } from '../cluster/index.js';
import { OptionsCheck } from '../options/index.js';

/** What `natsBackplane` takes. */
export interface NatsBackplaneOptions {
  /** Where the servers are: `'nats://10.0.0.1:4222'`, or several of one cluster; the others are learned from it. */
  readonly servers: string | readonly string[];
  /** A user of the server's, with `pass`. @default none */
  readonly user?: string | undefined;
  /** Its password. @default none */
  readonly pass?: string | undefined;
  /** A token of the server's, instead of a user. @default none */
  readonly token?: string | undefined;
  /** The text of a credentials file (JWT and seed), instead of a user or a token. @default none */
  readonly creds?: string | undefined;
  /**
   * TLS to the servers: PEM texts. `{}` is TLS with the system's authorities; `cert` and `key` are for servers that
   * ask for a certificate of the client.
   * @default none, or what `{}` is where the servers demand TLS
   */
  readonly tls?: { readonly ca?: string; readonly cert?: string; readonly key?: string } | undefined;
  /**
   * What subjects and buckets begin with. Apps that share servers and are not one fleet need one each: letters,
   * digits, `-` and `_`, at most 32.
   * @default 'fedecks'
   */
  readonly namespace?: string | undefined;
  /**
   * On how many servers of a cluster JetStream keeps presence and revocations; only looked at when they are made.
   * @default 1
   */
  readonly replicas?: 1 | 3 | 5 | undefined;
  /**
   * How long, in milliseconds, another node or a server may take to answer. Beyond that a push rejects with
   * `BackplaneError` `timeout`. The same on all nodes.
   * @default 5_000
   */
  readonly requestTimeoutMs?: number | undefined;
  /**
   * How often, in milliseconds, a node says that it lives. After three times that without a word it is lost, and
   * its devices are offline. The same on all nodes.
   * @default 5_000
   */
  readonly heartbeatMs?: number | undefined;
  /**
   * How long, in milliseconds, is kept when and why a device left: after that, presence does not know it any more.
   * At least ten times `heartbeatMs`, and the same on all nodes.
   * @default 2_592_000_000, 30 days
   */
  readonly presenceRetentionMs?: number | undefined;
  /** How many pushes to other nodes may wait for their answers. More reject with `overloaded`. @default 10_000 */
  readonly maxPending?: number | undefined;
  /** How many bytes of them. @default 67_108_864 */
  readonly maxPendingBytes?: number | undefined;
}

export interface ResolvedNatsOptions extends ClusterOptions {
  readonly servers: readonly string[];
  readonly user: string | undefined;
  readonly pass: string | undefined;
  readonly token: string | undefined;
  readonly creds: string | undefined;
  readonly tls: NatsBackplaneOptions['tls'];
  readonly replicas: number;
}

const DEFAULTS = Object.freeze({
  user: undefined,
  pass: undefined,
  token: undefined,
  creds: undefined,
  tls: undefined,
  namespace: 'fedecks',
  replicas: 1,
  requestTimeoutMs: 5_000,
  heartbeatMs: 5_000,
  presenceRetentionMs: 30 * 24 * 3_600_000,
  maxPending: 10_000,
  maxPendingBytes: 64 * 1024 * 1024,
} satisfies Partial<NatsBackplaneOptions>);

const OPTIONS = [...(Object.keys(DEFAULTS) as (keyof NatsBackplaneOptions)[]), 'servers'] as const;
const MAX_TIMER_MS = 2 ** 31 - 1;

/**
 * Fills in the defaults.
 * @throws {InvalidOptionsError} naming everything that is wrong with what was given.
 */
export function resolveNatsOptions(given: NatsBackplaneOptions): ResolvedNatsOptions {
  const check = new OptionsCheck<NatsBackplaneOptions>('natsBackplane', given, OPTIONS);
  const defined = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  const options = { ...DEFAULTS, ...(defined as unknown as NatsBackplaneOptions) };
  const servers: readonly unknown[] = [options.servers].flat();
  if (servers.length === 0 || !servers.every((server) => typeof server === 'string' && server !== '')) {
    check.problem(
      "'servers' must be the URL of a NATS server, for example 'nats://127.0.0.1:4222', or a non-empty array of URLs.",
    );
  } else if (servers.some((server) => (server as string).includes('@'))) {
    check.problem("'servers' must not contain a user or a token: set 'user' and 'pass', or 'token'.");
  }
  for (const key of ['user', 'pass', 'token', 'creds'] as const) {
    if (options[key] !== undefined && (typeof options[key] !== 'string' || options[key] === ''))
      check.problem(`'${key}' must be a non-empty string.`);
  }
  if ([options.user, options.token, options.creds].filter((each) => each !== undefined).length > 1) {
    check.problem("Set only one of 'user', 'token' and 'creds'.");
  }
  if ((options.user === undefined) !== (options.pass === undefined)) {
    check.problem("'user' and 'pass' go together: set both or neither.");
  }
  if (typeof options.creds === 'string' && !canBeRead(options.creds)) {
    check.problem("'creds' must be the text of a credentials file (JWT and seed), not its path.");
  }
  const tlsProblem = options.tls === undefined ? undefined : problemOf(options.tls);
  if (tlsProblem !== undefined) check.problem(`'tls' is invalid: ${tlsProblem}.`);
  if (typeof options.namespace !== 'string' || !/^[\w-]{1,32}$/.test(options.namespace)) {
    check.problem("'namespace' must have 1 to 32 letters, digits, '-' or '_'.");
  }
  if (![1, 3, 5].includes(options.replicas)) check.problem("'replicas' must be 1, 3 or 5.");
  check.whole('requestTimeoutMs', 'milliseconds', 10, MAX_TIMER_MS);
  check.whole('heartbeatMs', 'milliseconds', 10, 3_600_000);
  check.whole('presenceRetentionMs', 'milliseconds', 1_000, 100 * 365 * 24 * 3_600_000);
  if (options.presenceRetentionMs < 10 * options.heartbeatMs)
    check.problem("'presenceRetentionMs' must be at least ten times 'heartbeatMs'.");
  check.whole('maxPending', 'messages', 1);
  check.whole('maxPendingBytes', 'bytes', 1024);
  check.done();
  return { ...options, servers: servers as string[] };
}

function canBeRead(creds: string): boolean {
  try {
    credsAuthenticator(new TextEncoder().encode(creds))('nonce');
    return true;
  } catch {
    return false;
  }
}

function problemOf(tls: unknown): string | undefined {
  if (typeof tls !== 'object' || tls === null) return 'it must be an object { ca, cert, key } of PEM texts';
  const { ca, cert, key } = tls as NonNullable<NatsBackplaneOptions['tls']>;
  if ((cert === undefined) !== (key === undefined))
    return "'cert' and 'key' go together, so set both or neither";
  try {
    if (ca !== undefined) new X509Certificate(ca);
  } catch {
    return "'ca' must be a PEM text, not a path";
  }
  try {
    createSecureContext({ cert, key });
  } catch {
    return "'cert' and 'key' must be the PEM texts of a certificate and its private key, not paths";
  }
  return undefined;
}

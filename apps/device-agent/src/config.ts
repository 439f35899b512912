import { readFile } from 'node:fs/promises';
import { homedir, hostname } from 'node:os';
import { join } from 'node:path';
import { parseEnv } from 'node:util';
import { type TlsOptions } from '@fedecks/nest/client';
import { MAX_DEVICE_ID_BYTES } from '@fedecks/nest/wire';
import { CommandError, EXIT } from './cli/exit.js';
import { MAX_SOCKET_PATH_BYTES, socketPath } from './control/socket-path.js';
import { type AllowedCommands, readExecFile } from './exec/exec-file.js';
import { type SystemdSettings } from './service/systemd.js';
import { checkOutbox } from './telemetry/outbox-directory.js';

/** What the agent is told by its environment and its configuration file. */
export interface Config {
  /** Where the cloud is; of several, each attempt asks one. */
  readonly urls: readonly [string, ...string[]];
  readonly deviceId: string;
  /** The directory the token and the control socket are kept in. */
  readonly stateDir: string;
  /** The credentials of an unattended login. Without them, the agent waits for `device-agent login`. */
  readonly login: LoginSource;
  /** A file that is fresh while the agent is connected, for health checks. */
  readonly healthFile: string | undefined;
  /** The directory in which telemetry waits for the cloud. Without it, the agent measures only while connected. */
  readonly outbox: string | undefined;
  readonly tls: TlsOptions | undefined;
  /** The variables that name a proxy are in here. */
  readonly environment: Environment;
  readonly telemetryIntervalMs: number;
  /** What the cloud may run; undefined if it may run nothing. */
  readonly exec: AllowedCommands | undefined;
  /** See `startDelayMs` of `FedecksClient`; undefined leaves it at its default. */
  readonly startDelayMs: number | undefined;
  /** See `pingIntervalMs` of `FedecksClient`; undefined leaves it at its default. */
  readonly pingIntervalMs: number | undefined;
  /** See `phaseTimeoutMs` of `FedecksClient`; undefined leaves it at its default. */
  readonly phaseTimeoutMs: number | undefined;
  /** See `upgradeTimeoutMs` of `FedecksClient`; undefined leaves it at its default. */
  readonly upgradeTimeoutMs: number | undefined;
}

/** Where the credentials of an unattended login are. */
export type LoginSource =
  | { readonly type: 'none' }
  | { readonly type: 'login_file'; readonly path: string }
  | { readonly type: 'claim_file'; readonly path: string }
  | { readonly type: 'claim'; readonly code: string };

export type Environment = Readonly<Record<string, string | undefined>>;

/** Something keeps the agent from being configured. The message lists everything, and holds no value. */
export class ConfigError extends CommandError {
  constructor(problems: readonly string[]) {
    super(
      EXIT.config,
      `The configuration is wrong:\n${problems.map((problem) => `  - ${problem}`).join('\n')}`,
    );
  }
}

/** The limits of the telemetry interval, in milliseconds: a second, and a day. */
export const INTERVAL = { minMs: 1_000, maxMs: 86_400_000 } as const;
const DEFAULT_INTERVAL_MS = 60_000;
/** The limits of the ping interval, in milliseconds: a second, and an hour. */
const PING_INTERVAL = { minMs: 1_000, maxMs: 3_600_000 } as const;
/** The limits of what bounds an attempt to connect, in milliseconds: a second, and what the client lets them grow to. */
const TIMEOUT = { minMs: 1_000, maxMs: 120_000 } as const;
const MAX_START_DELAY_MS = 600_000;

/** Read if it is there and no other is named. */
export const DEFAULT_CONFIG_FILE = '/etc/fedecks/device-agent.env';
/** Under systemd the file is root's: systemd has read it, and handed it on as the environment. */
const HANDED_ON_BY = 'FEDECKS_URL';

/** Every variable there is, but for those that name a proxy, and what it is for, as the help shows it. */
export const VARIABLES = {
  FEDECKS_URL:
    'the URL of the cloud, wss://...; the agent tries several, separated by commas or spaces, in turn',
  FEDECKS_DEVICE_ID: `the id of the device, at most ${MAX_DEVICE_ID_BYTES} bytes (default: the host name)`,
  FEDECKS_STATE_DIR: 'the directory of the token and the control socket',
  FEDECKS_CLAIM: 'a claim code, for the first login without a person; ignored while the device has a token',
  FEDECKS_CLAIM_FILE: 'a file with a claim code, instead of FEDECKS_CLAIM',
  FEDECKS_LOGIN_FILE: 'a JSON file with credentials, for a login without a person',
  FEDECKS_HEALTH_FILE: 'a file that the agent writes every minute while connected, and removes otherwise',
  FEDECKS_OUTBOX:
    'a directory of its own, in which telemetry waits during an outage (default: it is not kept)',
  FEDECKS_EXEC_FILE: 'a JSON file with the commands that the cloud may run (default: it can run nothing)',
  FEDECKS_CA_FILE: 'PEM certificates of the CAs to trust, instead of the default CAs',
  FEDECKS_CERT_FILE: 'the PEM certificate of the device; needs FEDECKS_KEY_FILE',
  FEDECKS_KEY_FILE: 'the PEM private key of that certificate',
  FEDECKS_SERVERNAME: "the name in the cloud's certificate (default: the host of the URL)",
  FEDECKS_PINS: 'sha256/... of public keys, separated by commas or spaces; the cloud must have one of them',
  FEDECKS_START_DELAY_MS: 'the longest random delay before the first connection (default: 5000)',
  FEDECKS_PING_INTERVAL_MS: `the time between pings, ${PING_INTERVAL.minMs} to ${PING_INTERVAL.maxMs}; the cloud closes a connection after 60 s of silence (default: 19000)`,
  FEDECKS_PHASE_TIMEOUT_MS: `the timeout of each of DNS, TCP, TLS and the upgrade, ${TIMEOUT.minMs} to ${TIMEOUT.maxMs}; doubles after three timeouts (default: 20000)`,
  FEDECKS_UPGRADE_TIMEOUT_MS: `the timeout of all of them together, ${TIMEOUT.minMs} to ${TIMEOUT.maxMs}; doubles too (default: 60000)`,
  TELEMETRY_INTERVAL_MS: `the time between telemetry events, ${INTERVAL.minMs} to ${INTERVAL.maxMs} (default: ${DEFAULT_INTERVAL_MS})`,
} as const;

/**
 * Reads the configuration for `run`. The environment wins over the file. A variable set to nothing counts as not set:
 * that is how it is unset in a compose file.
 * @param file must be there; undefined stands for `DEFAULT_CONFIG_FILE`, which need not.
 * @throws {ConfigError} (rejects) naming everything that is wrong, and what to do about it.
 */
export async function readConfig(file?: string, env: Environment = process.env): Promise<Config> {
  const problems: string[] = [];
  const fromFile = await readConfigFile(file, problems, env);
  const environment = { ...fromFile, ...env };
  const get = (name: keyof typeof VARIABLES): string | undefined => environment[name] || undefined;

  const urls = list(get('FEDECKS_URL'));
  const urlProblem = urls.map(problemOfUrl).find((problem) => problem !== undefined);
  const [url, ...otherUrls] = urls;
  if (url === undefined) problems.push(`FEDECKS_URL must be set to the URL of the cloud, ${URL_EXAMPLE}.`);
  if (urlProblem !== undefined) problems.push(`FEDECKS_URL ${urlProblem}`);

  const deviceId = get('FEDECKS_DEVICE_ID') ?? hostname();
  const idBytes = Buffer.byteLength(deviceId);
  if (idBytes === 0 || idBytes > MAX_DEVICE_ID_BYTES) {
    problems.push(
      `FEDECKS_DEVICE_ID must have 1 to ${MAX_DEVICE_ID_BYTES} bytes. The default is the host name.`,
    );
  }

  const stateDir = get('FEDECKS_STATE_DIR') ?? defaultStateDir();
  const pathBytes = Buffer.byteLength(socketPath(stateDir));
  if (pathBytes > MAX_SOCKET_PATH_BYTES) {
    problems.push(
      `FEDECKS_STATE_DIR is ${pathBytes - MAX_SOCKET_PATH_BYTES} bytes too long for the path of a unix socket: use a shorter path.`,
    );
  }

  const login = readLogin(
    {
      FEDECKS_CLAIM: get('FEDECKS_CLAIM'),
      FEDECKS_CLAIM_FILE: get('FEDECKS_CLAIM_FILE'),
      FEDECKS_LOGIN_FILE: get('FEDECKS_LOGIN_FILE'),
    },
    problems,
  );

  const outbox = get('FEDECKS_OUTBOX');
  if (outbox !== undefined) await checkOutbox(outbox, stateDir, problems);

  const execFile = get('FEDECKS_EXEC_FILE');
  const exec = execFile === undefined ? undefined : await readExecFile(execFile, problems);

  const whole = (name: keyof typeof VARIABLES, minimum: number, maximum: number): number | undefined => {
    const text = get(name);
    if (text === undefined) return undefined;
    const value = /^\d{1,9}$/.test(text) ? Number(text) : NaN;
    if (!(value >= minimum && value <= maximum)) {
      problems.push(`${name} must be a whole number of milliseconds, from ${minimum} to ${maximum}.`);
    }
    return value;
  };
  const telemetryIntervalMs = whole('TELEMETRY_INTERVAL_MS', INTERVAL.minMs, INTERVAL.maxMs);
  const startDelayMs = whole('FEDECKS_START_DELAY_MS', 0, MAX_START_DELAY_MS);
  const pingIntervalMs = whole('FEDECKS_PING_INTERVAL_MS', PING_INTERVAL.minMs, PING_INTERVAL.maxMs);
  const phaseTimeoutMs = whole('FEDECKS_PHASE_TIMEOUT_MS', TIMEOUT.minMs, TIMEOUT.maxMs);
  const upgradeTimeoutMs = whole('FEDECKS_UPGRADE_TIMEOUT_MS', TIMEOUT.minMs, TIMEOUT.maxMs);

  // Loads OpenSSL's bindings, which the commands that only talk to the agent can do without.
  const { readTls } = await import('./connection/tls-files.js');
  const tls = await readTls(
    {
      FEDECKS_CA_FILE: get('FEDECKS_CA_FILE'),
      FEDECKS_CERT_FILE: get('FEDECKS_CERT_FILE'),
      FEDECKS_KEY_FILE: get('FEDECKS_KEY_FILE'),
      FEDECKS_SERVERNAME: get('FEDECKS_SERVERNAME'),
      FEDECKS_PINS: list(get('FEDECKS_PINS')),
    },
    problems,
  );
  if (tls !== undefined && urls.length > 0 && urls.every((each) => each.startsWith('ws:'))) {
    problems.push('FEDECKS_URL must start with wss:// if certificates or pins are configured.');
  }

  if (url === undefined || problems.length > 0) throw new ConfigError(problems);
  return {
    urls: [url, ...otherUrls],
    deviceId,
    stateDir,
    login,
    healthFile: get('FEDECKS_HEALTH_FILE'),
    outbox,
    tls,
    environment,
    telemetryIntervalMs: telemetryIntervalMs ?? DEFAULT_INTERVAL_MS,
    exec,
    startDelayMs,
    pingIntervalMs,
    phaseTimeoutMs,
    upgradeTimeoutMs,
  };
}

function readLogin(
  variables: Readonly<
    Record<'FEDECKS_CLAIM' | 'FEDECKS_CLAIM_FILE' | 'FEDECKS_LOGIN_FILE', string | undefined>
  >,
  problems: string[],
): LoginSource {
  const names = Object.entries(variables).flatMap(([name, value]) => (value === undefined ? [] : [name]));
  if (names.length > 1) problems.push(`${names.join(' and ')} are set: keep one of them.`);
  const { FEDECKS_CLAIM: code, FEDECKS_CLAIM_FILE: claimFile, FEDECKS_LOGIN_FILE: loginFile } = variables;
  if (code !== undefined) return { type: 'claim', code };
  if (claimFile !== undefined) return { type: 'claim_file', path: claimFile };
  return loginFile === undefined ? { type: 'none' } : { type: 'login_file', path: loginFile };
}

/**
 * The state directory alone, for the commands that talk to the running agent. The file is read only where the
 * environment does not say it: it may be meant for the agent's user alone.
 * @throws {ConfigError} (rejects) if the file cannot be read.
 */
export async function readStateDir(file?: string, env: Environment = process.env): Promise<string> {
  const given = env['FEDECKS_STATE_DIR'];
  if (file === undefined && given) return given;
  const problems: string[] = [];
  const { FEDECKS_STATE_DIR: fromFile } = await readConfigFile(file, problems, env);
  if (problems.length > 0) throw new ConfigError(problems);
  return (given ?? fromFile) || defaultStateDir();
}

/** Names are checked in the file, not in the environment, which others may put theirs into. */
async function readConfigFile(
  file: string | undefined,
  problems: string[],
  env: Environment,
): Promise<Environment> {
  const path = file ?? DEFAULT_CONFIG_FILE;
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown error';
    const isHandedOn = code === 'EACCES' && env[HANDED_ON_BY];
    if (file !== undefined || (code !== 'ENOENT' && !isHandedOn))
      problems.push(`The agent cannot read the file ${path} (${code}).`);
    return {};
  }
  const variables = parseEnv(text) as Environment;
  const ours = Object.keys(variables).filter((name) => /^(FEDECKS|TELEMETRY)_/.test(name));
  const unknown = ours.filter((name) => !Object.hasOwn(VARIABLES, name));
  if (unknown.length > 0) {
    problems.push(`${path} sets unknown variables: ${unknown.join(', ')}. See device-agent run --help.`);
  }
  return variables;
}

function defaultStateDir(): string {
  const root = process.getuid?.() === 0;
  return root ? '/var/lib/fedecks-agent' : join(homedir(), '.local', 'state', 'fedecks-agent');
}

function list(text = ''): string[] {
  return text.split(/[\s,]+/).filter((part) => part !== '');
}

const URL_EXAMPLE = 'for example wss://cloud.example.com/fedecks/websocket';

function problemOfUrl(value: string): string | undefined {
  const url = URL.canParse(value) ? new URL(value) : undefined;
  if (url?.protocol !== 'ws:' && url?.protocol !== 'wss:')
    return `must start with ws:// or wss://, ${URL_EXAMPLE}.`;
  if (url.username !== '' || url.password !== '') {
    return 'must not contain a user name or password: use device-agent login, or FEDECKS_LOGIN_FILE.';
  }
  if (url.hash !== '') return 'must not have a fragment (#...): remove it.';
  return undefined;
}

/** What systemd tells its services (sd_notify(3), sd_watchdog_enabled(3)), where it is what has started the agent. */
export function readSystemdSettings(env: NodeJS.ProcessEnv = process.env): SystemdSettings {
  const { NOTIFY_SOCKET, WATCHDOG_USEC = '', WATCHDOG_PID = String(process.pid), PATH } = env;
  const watched = /^[1-9]\d{0,14}$/.test(WATCHDOG_USEC) && WATCHDOG_PID === String(process.pid);
  return {
    notifySocket: NOTIFY_SOCKET || undefined,
    watchdogMs: watched ? Number(WATCHDOG_USEC) / 1000 : undefined,
    path: PATH,
  };
}

import { homedir, hostname } from 'node:os';
import { join } from 'node:path';
import { MAX_DEVICE_ID_BYTES } from '@fedecks/nest/wire';
import { type SystemdSettings } from './service/systemd.js';

/** What the agent is told by its environment. */
export interface Config {
  readonly url: string;
  readonly deviceId: string;
  /** The directory the token is kept in. */
  readonly stateDir: string;
  /** A JSON file with the credentials of the first login. Without it, the agent needs a token to be there. */
  readonly loginFile: string | undefined;
  readonly telemetryIntervalMs: number;
  /** See `startDelayMs` of `FedecksClient`; undefined leaves it at its default. */
  readonly startDelayMs: number | undefined;
}

/** The environment does not say what the agent needs to know. The message lists everything, and holds no value. */
export class ConfigError extends Error {
  constructor(problems: readonly string[]) {
    super(`device-agent cannot start:\n${problems.map((problem) => `  - ${problem}`).join('\n')}`);
  }
}

/** The limits of the telemetry interval, in milliseconds: a second, and a day. */
export const INTERVAL = { minMs: 1_000, maxMs: 86_400_000 } as const;
const DEFAULT_INTERVAL_MS = 10_000;
const MAX_START_DELAY_MS = 600_000;

/**
 * Reads the environment. `FEDECKS_URL` must be set. Defaults: `FEDECKS_DEVICE_ID` is the host name,
 * `FEDECKS_STATE_DIR` is /var/lib/fedecks-agent for root and ~/.local/state/fedecks-agent for others,
 * `TELEMETRY_INTERVAL_MS` is 10000; there is no `FEDECKS_LOGIN_FILE`.
 * @throws {ConfigError} naming everything that is wrong, and what to do about it.
 */
export function readConfig(env: NodeJS.ProcessEnv = process.env): Config {
  const problems: string[] = [];
  const { FEDECKS_URL: url = '', FEDECKS_DEVICE_ID: deviceId = hostname(), FEDECKS_LOGIN_FILE } = env;
  const { FEDECKS_STATE_DIR: stateDir = defaultStateDir() } = env;

  const urlProblem = problemOfUrl(url);
  if (urlProblem !== undefined) problems.push(`FEDECKS_URL ${urlProblem}`);
  const idBytes = Buffer.byteLength(deviceId);
  if (idBytes === 0 || idBytes > MAX_DEVICE_ID_BYTES) {
    problems.push(
      `FEDECKS_DEVICE_ID must have 1 to ${MAX_DEVICE_ID_BYTES} bytes. Unset, it is the host name.`,
    );
  }
  if (stateDir === '') problems.push('FEDECKS_STATE_DIR must be the path of a directory, or be unset.');
  const whole = (name: string, minimum: number, maximum: number): number | undefined => {
    const text = env[name];
    if (text === undefined) return undefined;
    const value = /^\d{1,9}$/.test(text) ? Number(text) : NaN;
    if (!(value >= minimum && value <= maximum)) {
      problems.push(`${name} must be a whole number of milliseconds, from ${minimum} to ${maximum}.`);
    }
    return value;
  };
  const telemetryIntervalMs =
    whole('TELEMETRY_INTERVAL_MS', INTERVAL.minMs, INTERVAL.maxMs) ?? DEFAULT_INTERVAL_MS;
  const startDelayMs = whole('FEDECKS_START_DELAY_MS', 0, MAX_START_DELAY_MS);

  if (problems.length > 0) throw new ConfigError(problems);
  // Set to nothing means not set: that is how it is unset in a compose file.
  return {
    url,
    deviceId,
    stateDir,
    loginFile: FEDECKS_LOGIN_FILE || undefined,
    telemetryIntervalMs,
    startDelayMs,
  };
}

function defaultStateDir(): string {
  const root = process.getuid?.() === 0;
  return root ? '/var/lib/fedecks-agent' : join(homedir(), '.local', 'state', 'fedecks-agent');
}

function problemOfUrl(value: string): string | undefined {
  const example = 'for example wss://cloud.example.com/fedecks/websocket';
  if (value === '') return `must be set: where the cloud is, ${example}.`;
  const url = URL.canParse(value) ? new URL(value) : undefined;
  if (url?.protocol !== 'ws:' && url?.protocol !== 'wss:')
    return `must start with ws:// or wss://, ${example}.`;
  if (url.username !== '' || url.password !== '') {
    return 'must hold no user name or password: those go into the file FEDECKS_LOGIN_FILE names.';
  }
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

import { isatty } from 'node:tty';
import { isWeak, secretIn } from './secret-in.js';

/** What the app is told about its operation. */
export interface OperationsConfig {
  /** The port of `/metrics` without an API key. Undefined: only the main port has it, with the API key. */
  readonly metricsPort: number | undefined;
  /** How long, in milliseconds, readiness is false before the devices are closed. */
  readonly drainDelayMs: number;
  /** How many HTTP requests an address may make in a minute. */
  readonly requestsPerMinute: number;
  readonly logFormat: 'text' | 'json';
  /** A device counts as offline when it was away for so many milliseconds. */
  readonly offlineGraceMs: number;
  readonly webhook: WebhookConfig | undefined;
}

/** Where it is reported that devices go offline or come back. */
export interface WebhookConfig {
  readonly url: string;
  /** The key of the signature. */
  readonly secret: string;
}

const MAX_PORT = 65_535;
const MIN_SECRET_BYTES = 32;
const DAY_MS = 86_400_000;

/** Reads the variables of operation. Adds to `problems` what is wrong. */
export function readOperations(env: NodeJS.ProcessEnv, problems: string[]): OperationsConfig {
  const number = (name: string, preset: number, [min, max]: readonly [number, number]): number => {
    const text = env[name] ?? String(preset);
    const value = /^\d{1,9}$/.test(text) ? Number(text) : NaN;
    if (!(value >= min && value <= max)) problems.push(`${name} must be a number from ${min} to ${max}.`);
    return value;
  };
  const { METRICS_PORT = '', LOG_FORMAT = isatty(1) ? 'text' : 'json' } = env;
  if (LOG_FORMAT !== 'text' && LOG_FORMAT !== 'json') problems.push('LOG_FORMAT must be text or json.');
  return {
    metricsPort: METRICS_PORT === '' ? undefined : number('METRICS_PORT', 0, [0, MAX_PORT]),
    drainDelayMs: number('DRAIN_DELAY_MS', 0, [0, 60_000]),
    requestsPerMinute: number('HTTP_REQUESTS_PER_MINUTE', 600, [1, 1_000_000]),
    logFormat: LOG_FORMAT === 'text' ? 'text' : 'json',
    offlineGraceMs: number('OFFLINE_GRACE_MS', 60_000, [0, DAY_MS]),
    webhook: readWebhook(env, problems),
  };
}

function readWebhook(env: NodeJS.ProcessEnv, problems: string[]): WebhookConfig | undefined {
  const { WEBHOOK_URL: url = '' } = env;
  if (url === '') return undefined;
  if (!isUrl(url)) {
    problems.push(
      'WEBHOOK_URL must be an http or https URL without a user name and password, for example https://example.com/hook',
    );
  }
  const secret = secretIn(env, 'WEBHOOK_SECRET', problems);
  if (isWeak(secret, MIN_SECRET_BYTES)) {
    problems.push(
      `WEBHOOK_SECRET must be set where WEBHOOK_URL is: at least ${MIN_SECRET_BYTES} bytes, at random. ` +
        'Create one with: openssl rand -base64 48',
    );
  }
  return { url, secret };
}

function isUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, username, password } = new URL(text);
  return /^https?:$/.test(protocol) && username === '' && password === '';
}

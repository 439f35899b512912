import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { type OperationsConfig, readOperations } from './operations/operations-config.js';
import { isWeak, secretIn } from './operations/secret-in.js';
import { type DatabaseConfig } from './database/open-database.js';
import { parseLogins } from './devices/logins-file.js';

/** What the app is told by its environment. */
export interface Config {
  readonly host: string;
  readonly port: number;
  /** The secrets of the tokens: the first signs, all verify. */
  readonly secrets: readonly string[];
  /** An API key with the role of an admin; undefined: there are only those in the database. */
  readonly apiKey: string | undefined;
  /** A file with logins of devices, besides those in the database. */
  readonly loginsFile: string | undefined;
  readonly database: DatabaseConfig;
  /** The NATS servers that link this process to others of the same fleet. Empty where it is the only one. */
  readonly natsServers: readonly string[];
  /** The proxies whose `X-Forwarded-For` is believed. Empty where devices connect without one. */
  readonly trustedProxies: readonly string[];
  readonly operations: OperationsConfig;
  /** The built console. Undefined: beside the app. */
  readonly consoleDirectory?: string;
  /** How often, in milliseconds, it is looked up whether those at `/live` still may watch. Undefined: once a minute. */
  readonly liveRecheckMs?: number;
}

/** The environment does not say what the app needs to know. The message lists everything, and holds no value. */
export class ConfigError extends Error {
  constructor(problems: readonly string[]) {
    super(`cloud-api cannot start:\n${problems.map((problem) => `  - ${problem}`).join('\n')}`);
  }
}

const MIN_SECRET_BYTES = 32;
const MIN_API_KEY_BYTES = 16;
const MAX_PORT = 65_535;

/**
 * Reads the environment: only `FEDECKS_SECRET` must be set. `PORT` is 3000 and `HOST` 0.0.0.0 by default; port 0 takes a free
 * one. `DATABASE_URL` is a Postgres server; without it the database is embedded in `DATA_DIR`, `./data` by default. `API_KEY`
 * is one more key of an admin, `DEVICE_LOGINS_FILE` has more logins of devices. `NATS_URL` links several processes that serve
 * one fleet. `TRUSTED_PROXIES` names the proxies in front of it: without it all devices behind one share the proxy's address,
 * and so its limits. `<name>_FILE` names a file instead for each secret.
 * @throws {ConfigError} naming everything that is wrong, and what to do about it.
 */
export function readConfig(env: NodeJS.ProcessEnv = process.env): Config {
  const problems: string[] = [];
  const { HOST: host = '0.0.0.0', PORT = '3000', DEVICE_LOGINS_FILE = '' } = env;

  const port = /^\d{1,5}$/.test(PORT) ? Number(PORT) : NaN;
  if (!(port <= MAX_PORT)) problems.push(`PORT must be a number from 0 to ${MAX_PORT}.`);
  if (host === '')
    problems.push('HOST must be an address to listen on, for example 0.0.0.0 for all interfaces.');

  const secrets = secretIn(env, 'FEDECKS_SECRET', problems)
    .split(',')
    .map((secret) => secret.trim());
  if (secrets.some((secret) => isWeak(secret, MIN_SECRET_BYTES))) {
    problems.push(
      `FEDECKS_SECRET must be set: random secrets of at least ${MIN_SECRET_BYTES} bytes, separated by commas; the ` +
        'first one signs. Create one with: openssl rand -base64 48',
    );
  }
  const apiKey = secretIn(env, 'API_KEY', problems);
  if (apiKey !== '' && isWeak(apiKey, MIN_API_KEY_BYTES)) {
    problems.push(
      `API_KEY must have at least ${MIN_API_KEY_BYTES} random bytes. Create one with: openssl rand -hex 24`,
    );
  }
  const database = readDatabase(env, problems);
  const loginsProblem = DEVICE_LOGINS_FILE === '' ? undefined : problemOfLogins(DEVICE_LOGINS_FILE);
  if (loginsProblem !== undefined) problems.push(`DEVICE_LOGINS_FILE ${loginsProblem}`);

  const natsServers = listIn(env['NATS_URL']);
  if (!natsServers.every((url) => /^(nats|tls):\/\/\S+$/.test(url))) {
    problems.push(
      'NATS_URL must be the URLs of NATS servers, separated by commas, for example nats://127.0.0.1:4222',
    );
  }

  const trustedProxies = listIn(env['TRUSTED_PROXIES']);
  if (!trustedProxies.every(isProxy)) {
    problems.push(
      'TRUSTED_PROXIES must be addresses or CIDR ranges, separated by commas, or loopback, linklocal or uniquelocal, ' +
        'for example loopback,10.0.0.0/8',
    );
  }

  const operations = readOperations(env, problems);

  if (problems.length > 0) throw new ConfigError(problems);
  return {
    host,
    port,
    secrets,
    apiKey: apiKey === '' ? undefined : apiKey,
    loginsFile: DEVICE_LOGINS_FILE === '' ? undefined : DEVICE_LOGINS_FILE,
    database,
    natsServers,
    trustedProxies,
    operations,
  };
}

function listIn(text = ''): readonly string[] {
  return text
    .split(',')
    .map((each) => each.trim())
    .filter((each) => each !== '');
}

/** Stricter than what reads them, to which `1` is the address 0.0.0.1. */
function isProxy(text: string): boolean {
  if (['loopback', 'linklocal', 'uniquelocal'].includes(text)) return true;
  const [, address = '', bits = '1'] = /^([^/]*)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  const version = isIP(address);
  return version !== 0 && Number(bits) >= 1 && Number(bits) <= (version === 4 ? 32 : 128);
}

/** `DATABASE_URL` may hold a password: `DATABASE_URL_FILE` names a file instead. */
function readDatabase(env: NodeJS.ProcessEnv, problems: string[]): DatabaseConfig {
  const url = secretIn(env, 'DATABASE_URL', problems);
  const { DATA_DIR: directory = './data' } = env;
  if (directory === '')
    problems.push('DATA_DIR must be a directory for the files of the app, for example ./data');
  if (url === '') return { url: undefined, directory };
  const isPostgres = URL.canParse(url) && /^postgres(ql)?:$/.test(new URL(url).protocol);
  if (!isPostgres || new URL(url).pathname.length < 2) {
    problems.push(
      'DATABASE_URL must be the URL of a Postgres database, for example postgres://user:password@localhost/fedecks. ' +
        'Without it the database is embedded, in DATA_DIR.',
    );
  }
  return { url, directory };
}

function problemOfLogins(path: string): string | undefined {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    return `names a file that cloud-api cannot read (${(error as NodeJS.ErrnoException).code ?? 'unknown error'}).`;
  }
  try {
    parseLogins(text);
    return undefined;
  } catch (error) {
    return `names an invalid file: ${(error as Error).message}`;
  }
}

import { createHash } from 'node:crypto';
import { chmod, mkdir, rename, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { isAbsolute, join, resolve } from 'node:path';
import { FileTokenStore, proxyFromEnvironment } from '../client/index.js';
import { type Args, type Option } from './command.js';
import { CommandError, UsageError } from './exit.js';
import { readSmallFile } from './input.js';

/** A cloud, the device id to use there, and TLS files. */
export interface Login {
  readonly url: string;
  readonly deviceId: string;
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

/** A PEM file with all public CAs has 250 KB. */
const MAX_PEM_BYTES = 1024 * 1024;
const MAX_LOGIN_BYTES = 64 * 1024;

export const TLS_OPTIONS = {
  ca: { value: 'FILE', help: 'trust the CAs in this PEM file instead of the default CAs' },
  cert: { value: 'FILE', help: 'client certificate (PEM) for a cloud that requires one; needs --key' },
  key: { value: 'FILE', help: 'private key of --cert (PEM)' },
} as const satisfies Record<string, Option>;

export const LOGIN_OPTIONS = {
  url: { value: 'URL', help: 'the URL of the cloud (default: from the last login)' },
  id: { value: 'ID', help: 'the device id (default: from the last login)' },
  ...TLS_OPTIONS,
} as const satisfies Record<string, Option>;

/** The directory for the tokens of this user. */
function stateDirectory(env: NodeJS.ProcessEnv = process.env): string {
  const { XDG_STATE_HOME: named = '' } = env;
  // Ignores a relative path, as the XDG Base Directory Specification requires.
  const base =
    (isAbsolute(named) && named) ||
    (process.platform === 'win32' && env['LOCALAPPDATA']) ||
    join(homedir(), '.local', 'state');
  return join(base, 'fedecks');
}

const loginFile = (): string => join(stateDirectory(), 'login.json');

/** The token store of a login: files of mode 0600. */
export function tokenStoreOf({ url, deviceId }: Login): FileTokenStore {
  const name = createHash('sha256')
    .update(JSON.stringify([url, deviceId]))
    .digest('hex')
    .slice(0, 32);
  return new FileTokenStore(join(stateDirectory(), 'tokens', name), deviceId);
}

/** The TLS files of the command line, as absolute paths. */
export function tlsFilesOf(args: Args): Pick<Login, 'ca' | 'cert' | 'key'> {
  const files = (['ca', 'cert', 'key'] as const).flatMap((name) => {
    const path = args.text(name);
    return path === undefined ? [] : [[name, resolve(path)] as const];
  });
  return Object.fromEntries(files);
}

/** The `tls` option of the client; undefined for Node's defaults. */
export async function tlsOf({
  ca,
  cert,
  key,
}: Pick<Login, 'ca' | 'cert' | 'key'>): Promise<
  { readonly ca?: Buffer; readonly cert?: Buffer; readonly key?: Buffer } | undefined
> {
  if (ca === undefined && cert === undefined && key === undefined) return undefined;
  const read = async (path: string | undefined): Promise<Buffer | undefined> =>
    path === undefined ? undefined : readSmallFile(path, MAX_PEM_BYTES);
  const [caPem, certPem, keyPem] = await Promise.all([read(ca), read(cert), read(key)]);
  return { ...(caPem && { ca: caPem }), ...(certPem && { cert: certPem }), ...(keyPem && { key: keyPem }) };
}

/**
 * The login of a command: the last one, or the one that its options name.
 * @throws {CommandError} (rejects) if there is none.
 */
export async function loginOf(args: Args): Promise<Login> {
  const [url, deviceId] = [args.text('url'), args.text('id')];
  const last = await lastLogin();
  if (last === undefined && (url === undefined || deviceId === undefined)) {
    throw new CommandError('No login yet. Log in: fedecks login URL --id ID');
  }
  const chosen = { url: url ?? last?.url ?? '', deviceId: deviceId ?? last?.deviceId ?? '' };
  // The TLS files of one cloud are not used for another.
  const files = chosen.url === last?.url ? last : {};
  return { ...files, ...chosen, ...tlsFilesOf(args) };
}

/** Stores a login, without secrets, for later commands. */
export async function rememberLogin(login: Login): Promise<void> {
  await mkdir(stateDirectory(), { recursive: true, mode: 0o700 });
  const unfinished = `${loginFile()}.${process.pid}`;
  await writeFile(unfinished, `${JSON.stringify(login, undefined, 2)}\n`, { mode: 0o600 });
  await chmod(unfinished, 0o600);
  await rename(unfinished, loginFile());
}

async function lastLogin(): Promise<Login | undefined> {
  let text: string;
  try {
    text = (await readSmallFile(loginFile(), MAX_LOGIN_BYTES)).toString();
  } catch (error) {
    if (error instanceof CommandError && error.message.includes('ENOENT')) return undefined;
    throw error;
  }
  try {
    const { url, deviceId, ...files } = JSON.parse(text) as Partial<Record<keyof Login, unknown>>;
    if (typeof url === 'string' && typeof deviceId === 'string') {
      const paths = Object.entries(files).filter(([, path]) => typeof path === 'string');
      return { url, deviceId, ...Object.fromEntries(paths) };
    }
  } catch {
    // Reported below.
  }
  throw new CommandError(`${loginFile()} is damaged: delete it, and log in again.`);
}

/** The proxy of the environment; none for localhost, which a proxy cannot reach. */
export function proxyOf(url: string): string | undefined {
  const isHere = /^(localhost|127\.[\d.]+|\[::1\])$/.test(new URL(url).hostname);
  return isHere ? undefined : proxyFromEnvironment(process.env)(url);
}

/** @throws {UsageError} if `--id` is missing. */
export function requireId(args: Args): string {
  const id = args.text('id');
  if (id === undefined || id === '') throw new UsageError('--id is missing: set it to the device id.');
  return id;
}

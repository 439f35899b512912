import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, chownSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';

/** A server that may run on this machine already, and lets us in. */
const LOCAL = 'postgres://postgres@127.0.0.1:5432/postgres';
const STARTS_WITHIN_MS = 60_000;
const POLL_MS = 50;
/** Where Debian keeps the programs of each version, which are not on the PATH. */
const DEBIAN = '/usr/lib/postgresql';

/**
 * The set-up of a run of Jest: finds the server of this machine, or starts one that ends with the run, and makes a directory
 * for what a run makes once: `TestDatabase` and `bundleOf` use it.
 */
export default async function setUp(): Promise<void> {
  const files = mkdtempSync(join(tmpdir(), 'cloud-api-run-'));
  // A test runs a program that is in it as another user.
  chmodSync(files, 0o755);
  process.env['CLOUD_API_TEST_FILES'] = files;
  process.env['CLOUD_API_TEST_PREFIX'] = `cloud_api_test_${randomBytes(4).toString('hex')}`;
  if (await accepts(LOCAL)) {
    process.env['CLOUD_API_TEST_POSTGRES'] = LOCAL;
    return;
  }
  const server = await PostgresServer.start(await anyPort());
  process.env['CLOUD_API_TEST_POSTGRES'] = server.url;
  // For the tear-down, which is another module of this process.
  Object.assign(globalThis, { cloudApiTestServer: server });
}

/**
 * A Postgres server of its own on a free port, with its files in a temporary directory: to be killed and restarted. On Debian
 * it needs the package `postgresql`, which `npm test` installs if permitted.
 */
export class PostgresServer {
  private child: ChildProcess | undefined;
  /** The ids of its processes that are stopped, besides the main one. */
  private frozen: readonly number[] = [];

  private constructor(
    private readonly directory: string,
    private readonly port: number,
  ) {}

  /** @param port from `freePort` of the tests: what is killed finds it free when it is started again. */
  static async start(port: number): Promise<PostgresServer> {
    const directory = mkdtempSync(join(tmpdir(), 'cloud-api-postgres-'));
    const owner = ownerOfFiles();
    if (owner) chownSync(directory, owner.uid, owner.gid);
    const files = ['-D', join(directory, 'data'), '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--no-sync'];
    const { status, stderr } = spawnSync(program('initdb'), files, {
      ...owner,
      cwd: directory,
      encoding: 'utf8',
    });
    if (status !== 0) throw new Error(`initdb failed: ${stderr}`);
    const server = new PostgresServer(directory, port);
    await server.restart();
    return server;
  }

  get url(): string {
    return `postgres://postgres@127.0.0.1:${this.port}/postgres`;
  }

  /** Returns the URL of a new database without tables. Restarts the server if it was killed. */
  async createDatabase(): Promise<string> {
    if (!this.isRunning) await this.restart();
    const url = new URL(this.url);
    url.pathname = `/test_${randomBytes(6).toString('hex')}`;
    const client = new pg.Client({ connectionString: this.url });
    await client.connect();
    await client.query(`CREATE DATABASE ${url.pathname.slice(1)}`);
    await client.end();
    return url.href;
  }

  private get isRunning(): boolean {
    return this.child?.exitCode === null && this.child.signalCode === null;
  }

  /** Starts it on its port with its files; resolves when it takes queries. */
  async restart(): Promise<void> {
    const args = [
      '-D',
      join(this.directory, 'data'),
      '-h',
      '127.0.0.1',
      '-p',
      String(this.port),
      '-k',
      this.directory,
      // What it has written survives its end, if not that of the machine.
      '-c',
      'fsync=off',
    ];
    this.child = spawn(program('postgres'), args, {
      ...ownerOfFiles(),
      cwd: this.directory,
      stdio: 'ignore',
    });
    const deadline = Date.now() + STARTS_WITHIN_MS;
    while (!(await accepts(this.url))) {
      if (Date.now() > deadline || this.child.exitCode !== null) throw new Error('postgres did not start');
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  /** As after a crash: its connections end, and nothing is written any more. */
  async kill(): Promise<void> {
    if (!this.child || !this.isRunning) return;
    const ended = once(this.child, 'exit');
    // "Immediate shutdown": SIGKILL would leave its worker processes running.
    this.child.kill('SIGQUIT');
    await ended;
  }

  /** All its processes stop: connections are accepted by the system, and nobody answers. */
  freeze(): void {
    this.child?.kill('SIGSTOP');
    this.frozen = childrenOf(this.child);
    for (const pid of this.frozen) process.kill(pid, 'SIGSTOP');
  }

  /** @param connections false: those of before stay frozen, and only new ones are answered. */
  thaw({ connections = true } = {}): void {
    const staying = connections ? [] : this.frozen.filter(isIdleConnection);
    for (const pid of this.frozen) if (!staying.includes(pid)) process.kill(pid, 'SIGCONT');
    this.frozen = staying;
    this.child?.kill('SIGCONT');
  }

  async close(): Promise<void> {
    this.thaw();
    await this.kill();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** Whether a server lets us in at this address. */
export async function accepts(url: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 1_000 });
  client.on('error', () => undefined);
  try {
    await client.connect();
    return true;
  } catch {
    return false;
  } finally {
    await client.end().catch(() => undefined);
  }
}

function childrenOf(child: ChildProcess | undefined): number[] {
  const { pid } = child ?? {};
  if (pid === undefined) return [];
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').trim().split(' ').map(Number);
}

/** One that waits for a query: it holds no lock. */
function isIdleConnection(pid: number): boolean {
  return / idle\0*$/.test(readFileSync(`/proc/${pid}/cmdline`, 'latin1').trimEnd());
}

/** Postgres refuses to run as root. */
function ownerOfFiles(): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const [, uid, gid] = /^postgres:[^:]*:(\d+):(\d+):/m.exec(readFileSync('/etc/passwd', 'utf8')) ?? [];
  return { uid: Number(uid), gid: Number(gid) };
}

function program(name: string): string {
  const versions = existsSync(DEBIAN) ? readdirSync(DEBIAN).sort((a, b) => Number(b) - Number(a)) : [];
  const path = versions.map((version) => join(DEBIAN, version, 'bin', name)).find((each) => existsSync(each));
  return path ?? name;
}

/** For the set-up, which nothing runs beside. */
async function anyPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (typeof address !== 'object' || address === null) throw new Error('no port is free');
  return address.port;
}

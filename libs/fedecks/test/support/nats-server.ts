/**
 * A real nats-server with JetStream on free ports of this machine, with its files in a temporary directory.
 *
 *     const nats = await NatsServer.start();        // one server; also .start(['--user', 'u', '--pass', 'p'])
 *     const nats = await NatsServer.configured('authorization { token: t }');       // with a configuration file
 *     await nats.kill();                            // SIGKILL; freeze() and thaw() send SIGSTOP and SIGCONT
 *     await nats.restart();                         // same port and files; loseFiles() deletes the files
 *     await nats.close();                           // kills it and removes its files
 *
 *     const cluster = await NatsCluster.start();    // three connected servers, with a leader elected
 *     cluster.urls;  cluster.servers[0].kill();  await cluster.close();
 *
 * It must be on the PATH. On Debian: `apt-get install nats-server` (`npm test` does this if permitted).
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect as connectTcp } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from './free-port.js';
import { freeze } from './freeze.js';

const STARTS_WITHIN_MS = 15_000;
const POLL_MS = 20;

export class NatsServer {
  readonly url: string;
  private child: ChildProcess | undefined;

  private constructor(
    private readonly port: number,
    private readonly directory: string,
    private args: readonly string[],
  ) {
    this.url = `nats://127.0.0.1:${port}`;
  }

  /** @param args additional command line arguments. */
  static async start(args: readonly string[] = []): Promise<NatsServer> {
    const server = NatsServer.on(await freePort(), args);
    await server.restart();
    return server;
  }

  /** @param config the text of its configuration file. */
  static async configured(config: string): Promise<NatsServer> {
    const server = NatsServer.on(await freePort());
    server.configure(config);
    await server.restart();
    return server;
  }

  /** A server that `restart` will start. */
  static on(port: number, args: readonly string[] = []): NatsServer {
    if (!onPath('nats-server')) {
      throw new Error(
        'nats-server is not on the PATH: install it to run this test. On Debian: apt-get install nats-server',
      );
    }
    return new NatsServer(port, mkdtempSync(join(tmpdir(), 'fedecks-nats-')), args);
  }

  /** Replaces its configuration for the next `restart`. */
  configure(config: string): void {
    const file = join(this.directory, 'config');
    writeFileSync(file, config);
    this.args = ['-c', file];
  }

  /** Starts it on its port with its files; resolves when it accepts connections. */
  async restart(): Promise<void> {
    const log = join(this.directory, 'log');
    const args = ['-a', '127.0.0.1', '-p', String(this.port), '-js', '-sd', this.directory, '-l', log];
    this.child = spawn('nats-server', [...args, ...this.args], { stdio: 'ignore' });
    const deadline = Date.now() + STARTS_WITHIN_MS;
    while (!(await accepts(this.port))) {
      if (Date.now() > deadline || this.child.exitCode !== null) {
        throw new Error(`nats-server did not start:\n${existsSync(log) ? readFileSync(log, 'utf8') : ''}`);
      }
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  async kill(): Promise<void> {
    const { child } = this;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }

  /** Kills it, and starts it again without its JetStream files. */
  async loseFiles(): Promise<void> {
    await this.kill();
    rmSync(join(this.directory, 'jetstream'), { recursive: true, force: true });
    await this.restart();
  }

  /** Sends SIGSTOP; resolves when it has stopped, as it serves until its last thread has received the signal. */
  async freeze(): Promise<void> {
    if (this.child) await freeze(this.child);
  }

  thaw(): void {
    this.child?.kill('SIGCONT');
  }

  async close(): Promise<void> {
    await this.kill();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

export class NatsCluster {
  private constructor(readonly servers: readonly NatsServer[]) {}

  static async start(): Promise<NatsCluster> {
    const ports = await Promise.all(Array.from({ length: 6 }, freePort));
    const routes = ports.slice(3).map((port) => `nats://127.0.0.1:${port}`);
    const servers = ports.slice(0, 3).map((port, index) => {
      const cluster = ['--cluster_name', 'test', '--cluster', routes[index]!, '--routes', routes.join(',')];
      return NatsServer.on(port, ['-n', `server-${index}`, ...cluster]);
    });
    await Promise.all(servers.map((server) => server.restart()));
    return new NatsCluster(servers);
  }

  get urls(): string[] {
    return this.servers.map(({ url }) => url);
  }

  async close(): Promise<void> {
    await Promise.all(this.servers.map((server) => server.close()));
  }
}

async function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connectTcp(port, '127.0.0.1');
    socket.once('error', () => resolve(false));
    // The server's greeting: an open port alone does not mean it is ready.
    socket.once('data', () => {
      socket.destroy();
      resolve(true);
    });
  });
}

function onPath(program: string): boolean {
  return (process.env['PATH'] ?? '').split(':').some((directory) => existsSync(join(directory, program)));
}

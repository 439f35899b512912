import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';

const STARTS_WITHIN_MS = 10_000;

let running;
// Kills all children when this process exits for any reason.
process.on('exit', () => running?.kill('SIGKILL'));

/** A nats-server from the PATH, with JetStream, on a free port of this machine. */
export class NatsProcess {
  #child;

  constructor(child, port, monitorPort) {
    this.#child = child;
    this.pid = child.pid;
    this.url = `nats://127.0.0.1:${port}`;
    /** Its HTTP monitoring port. */
    this.monitor = `http://127.0.0.1:${monitorPort}`;
  }

  /** @param directory for its files. */
  static async start(directory) {
    const [port, monitorPort] = [await freePort(), await freePort()];
    const ports = ['-p', String(port), '-m', String(monitorPort)];
    const args = ['-a', '127.0.0.1', ...ports, '-js', '-sd', directory];
    running = spawn('nats-server', args, { stdio: 'ignore' });
    const failed = once(running, 'error').then(() => {
      throw new Error('nats-server is not on the PATH. On Debian: apt-get install nats-server');
    });
    await Promise.race([failed, accepting(port)]);
    return new NatsProcess(running, port, monitorPort);
  }

  async stop() {
    if (this.#child.exitCode !== null) return;
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGTERM');
    await ended;
  }
}

async function accepting(port) {
  const deadline = Date.now() + STARTS_WITHIN_MS;
  while (!(await accepts(port))) {
    if (Date.now() > deadline) throw new Error('nats-server did not start');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function accepts(port) {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('error', () => resolve(false));
    socket.once('data', () => {
      socket.destroy();
      resolve(true);
    });
  });
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

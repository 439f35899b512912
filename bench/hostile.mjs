// Measures an honest device next to 100 hostile ones: see README.md. Build first: npm run build.
import { fork, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { availableParallelism, setPriority } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { HostileDevice, sendRequests } from './hostile-device.mjs';
import { SCENES } from './hostile-scenes.mjs';
import { binary, event } from './hostile-terms.mjs';
import { device, masked } from './load.mjs';

const DEVICES = Number(process.env.HOSTILE_DEVICES ?? 100);
const SECONDS = Number(process.env.HOSTILE_SECONDS ?? 8);
/** The timeout for the server's figures. */
const ANSWER_MS = 30_000;
/** The time for the server to handle the remaining messages of disconnected hostile devices. */
const SETTLE_MS = 10_000;
/** The memory that the allocator may retain. */
const SETTLED_BYTES = 16 * 1024 * 1024;
/** The number of warm-up devices before each scene: below the login limit per address and second. */
const GUESTS = 300;
const GUEST_ECHOES = 20;

/** Lowers the priority of this process, whose hostile devices share a core with the honest one. */
const HOSTILE_NICENESS = 10;

// With two cores, the server has its own one: threads of the load, such as those of its garbage collector,
// must not run there either.
const pin = availableParallelism() > 1 && spawnSync('taskset', ['--version']).status === 0;
if (pin) spawnSync('taskset', ['-acp', '1', String(process.pid)]);
setPriority(HOSTILE_NICENESS);

class Child {
  static async start(file, core, ...args) {
    const path = fileURLToPath(new URL(file, import.meta.url));
    // Set before the fork, because a later change would affect only the child's first thread.
    setPriority(0);
    const child = new Child(
      fork(path, args, { execArgv: ['--expose-gc'], stdio: ['ignore', 'ignore', 'inherit', 'ipc'] }),
    );
    setPriority(HOSTILE_NICENESS);
    child.process.once('exit', () => (child.ended = true));
    if (pin) spawnSync('taskset', ['-acp', String(core), String(child.process.pid)]);
    [child.hello] = await once(child.process, 'message');
    return child;
  }

  constructor(process) {
    this.process = process;
    this.ended = false;
  }

  /** Resolves with the answer, or undefined if the process has exited or does not answer. */
  async ask(question) {
    if (this.ended) return {};
    this.process.send(question);
    const [answer] = await Promise.race([
      once(this.process, 'message'),
      once(this.process, 'exit'),
      sleep(ANSWER_MS, [undefined], { ref: false }),
    ]);
    return typeof answer === 'object' && answer !== null ? answer : {};
  }

  /** Its peak memory. */
  get peakBytes() {
    if (this.ended) return NaN;
    const status = readFileSync(`/proc/${this.process.pid}/status`, 'utf8');
    return Number(/VmHWM:\s+(\d+)/.exec(status)?.[1]) * 1024;
  }

  kill() {
    this.process.kill('SIGKILL');
  }
}

async function play(name, scene) {
  const server = await Child.start('server-hostile.mjs', 0);
  const { port } = server.hello;
  await warmUp(port);
  const honest = await Child.start('honest.mjs', 1, String(port));
  await sleep(1_000);
  const before = await server.ask('collect garbage');
  // Garbage from before does not count for the scene.
  await sleep(500);
  await honest.ask('reset');
  await server.ask('reset');

  const counts = { accepted: 0, refused: 0 };
  const stops = begin(port, scene, counts);
  await sleep(1_000 * SECONDS);
  const latency = await honest.ask('report');
  const { stallMs, stallCpuMs } = await server.ask('report');
  await Promise.all(stops.map((stop) => stop()));
  const peak = server.peakBytes;
  const after = await settled(server, before);
  const row = {
    scene: name,
    echoes: latency.echoes,
    'p50 (ms)': round(latency.p50),
    'p99 (ms)': round(latency.p99),
    'max (ms)': round(latency.max),
    'longest stall (ms)': round(stallMs),
    'in CPU time, main thread (ms)': [stallCpuMs?.process, stallCpuMs?.main].map(round).join(' '),
    'RSS before, peak, after (MiB)': [before.rss, peak, after.rss].map(mib).join(' '),
    'let in': counts.accepted,
    refused: counts.refused,
    server: server.ended ? 'ended' : after.rss === undefined ? 'hangs' : latency.closed ? 'closed it' : 'up',
  };
  honest.kill();
  server.kill();
  return row;
}

/** Its memory once it has returned to the level before, or after {@link SETTLE_MS}. */
async function settled(server, before) {
  const deadline = performance.now() + SETTLE_MS;
  for (;;) {
    await sleep(2_000);
    const after = await server.ask('collect garbage');
    const isBack = after.rss <= before.rss + SETTLED_BYTES;
    if (isBack || after.rss === undefined || performance.now() >= deadline) return after;
  }
}

/** Warms up the server, so that its code is compiled. */
async function warmUp(port) {
  const echoes = Buffer.concat(Array(GUEST_ECHOES).fill(masked(event('echo', binary('?')))));
  for (let guest = 0; guest < GUESTS; guest++) {
    const { socket } = await device(port, `guest-${guest}`);
    socket.write(echoes);
    await once(socket, 'data');
    socket.destroy();
  }
}

/** Starts the hostile devices, and returns a function that stops them. */
function begin(port, scene, counts) {
  if (scene.request) return [sendRequests(port, scene.request, scene.perSecond, counts)];
  if (Object.keys(scene).length === 0) return [];
  const devices = Array.from(
    { length: DEVICES },
    (_, index) => new HostileDevice(port, `hostile-${index}`, scene, counts),
  );
  return devices.map((device) => () => device.stop());
}

function round(value) {
  return value === undefined ? undefined : +value.toFixed(1);
}

function mib(bytes) {
  return bytes ? Math.round(bytes / 1024 / 1024) : '-';
}

const only = process.argv[2];
const rows = [];
for (const [name, scene] of Object.entries(SCENES)) {
  if (only && !name.includes(only)) continue;
  rows.push(await play(name, scene));
  console.log(JSON.stringify(rows.at(-1)));
}
console.table(rows);

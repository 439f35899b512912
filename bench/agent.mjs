// Compares the agent's cost with a bare Node process with one `ws` connection: see README.md.
// Build first: npm run build && npm run bundle.
import { spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as pass } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { tokenHeader } from '../libs/fedecks/dist/client/auth.js';

const ROUNDS = Number(process.env.ROUNDS ?? 5);
const IDLE_MS = Number(process.env.IDLE_MS ?? 30_000);
/** Node flags for the agent, to measure their savings. */
const FLAGS = process.env.AGENT_FLAGS?.split(' ') ?? [];
const [AGENT, BARE] = ['greenhouse-1', 'bare-1'];
const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const cloudDir = here('../dist/cloud-api/apps/cloud-api/src/');

const directory = mkdtempSync(join(tmpdir(), 'fedecks-bench-'));
const running = new Set();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
  rmSync(directory, { recursive: true, force: true });
});

const credentials = { username: 'gardener', password: 'a password of this run' };
const made = spawnSync(process.execPath, [join(cloudDir, 'device-password.js'), credentials.username, '*'], {
  input: `${credentials.password}\n`,
  encoding: 'utf8',
});
const logins = keep('logins.json', made.stdout);
const cloud = start([join(cloudDir, 'main.js')], {
  HOST: '127.0.0.1',
  PORT: '0',
  FEDECKS_SECRET: randomBytes(48).toString('base64url'),
  API_KEY: randomBytes(24).toString('base64url'),
  LOG_FORMAT: 'text',
  DEVICE_LOGINS_FILE: logins,
  DATA_DIR: join(directory, 'cloud'),
});
const [, origin] = await said(cloud, /Listening on http:(\S+)/);
const url = `ws:${origin}/fedecks/websocket`;

// All have their tokens before the measurement.
const agentEnv = (id) => ({
  FEDECKS_URL: url,
  FEDECKS_DEVICE_ID: id,
  FEDECKS_STATE_DIR: join(directory, id),
  FEDECKS_START_DELAY_MS: '0',
});
const bundle = here('../dist/device-agent.mjs');
const loginFile = keep('login.json', JSON.stringify(credentials));
for (const id of [AGENT, BARE]) {
  const agent = start([bundle, 'run'], { ...agentEnv(id), FEDECKS_LOGIN_FILE: loginFile });
  await said(agent, /Logged in/);
  await stop(agent);
}
const [token] = readFileSync(join(directory, BARE, 'token'), 'latin1')
  .trim()
  .split('\n')
  .slice(-1);
const header = tokenHeader(BARE, Buffer.from(token, 'base64').toString());

const kinds = {
  'bare ws': () => start([here('agent-bare.mjs')], { URL: url, HEADER: header }),
  agent: () => start([...FLAGS, bundle, 'run'], agentEnv(AGENT)),
};
const figures = Object.fromEntries(Object.keys(kinds).map((kind) => [kind, []]));
for (let round = 0; round < ROUNDS; round++) {
  const devices = [];
  // Started sequentially, in rotating order; idle at the same time.
  const order = Object.keys(kinds);
  if (round % 2 === 1) order.reverse();
  for (const kind of order) {
    const from = performance.now();
    const device = kinds[kind]();
    await said(device, /Connected/);
    devices.push({ kind, device, connectedMs: performance.now() - from });
    await pass(1_000);
  }
  await pass(IDLE_MS);
  for (const { kind, device, connectedMs } of devices) {
    figures[kind].push({ connectedMs, ...memory(device.pid) });
    await stop(device);
  }
}
await stop(cloud);

const row = (kind, digits = 1) =>
  Object.fromEntries(
    ['connectedMs', 'rssMiB', 'pssMiB'].map((figure) => [figure, +median(kind, figure).toFixed(digits)]),
  );
const ratio = (figure) => +(median('agent', figure) / median('bare ws', figure)).toFixed(2);
console.table({
  'bare ws': row('bare ws'),
  agent: row('agent'),
  ratio: { connectedMs: ratio('connectedMs'), rssMiB: ratio('rssMiB'), pssMiB: ratio('pssMiB') },
});

function start(args, env) {
  const { PATH } = process.env;
  const child = spawn(process.execPath, args, {
    env: { PATH, NO_COLOR: '1', ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  running.add(child);
  child.once('exit', () => running.delete(child));
  child.lines = createInterface({ input: child.stdout });
  return child;
}

/** Resolves when it has written a matching line. */
function said(child, pattern) {
  return new Promise((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`ended with ${code} before it said ${pattern}`)));
    child.lines.on('line', (line) => {
      const match = pattern.exec(line);
      if (match) resolve(match);
    });
  });
}

async function stop(child) {
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  await ended;
}

/** Memory by the kernel. PSS divides shared pages, such as Node's program, among the processes that use them. */
function memory(pid) {
  const kibibytes = (file, name) =>
    Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(readFileSync(`/proc/${pid}/${file}`, 'utf8'))[1]);
  return { rssMiB: kibibytes('status', 'VmRSS') / 1024, pssMiB: kibibytes('smaps_rollup', 'Pss') / 1024 };
}

function median(kind, figure) {
  const values = figures[kind].map((each) => each[figure]).sort((a, b) => a - b);
  return values[values.length >> 1];
}

function keep(name, text) {
  const path = join(directory, name);
  writeFileSync(path, text, { mode: 0o600 });
  return path;
}

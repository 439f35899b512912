// Runs examples/ as a user does: copies them out of the repository, installs the packed library in each, starts each
// cloud and the device with `npm start`, and stops both as Ctrl-C does. Prints one line per check.
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command } from './examples/command.mjs';

const CLOUDS = ['cloud-nest12-esm', 'cloud-nest11-commonjs'];
const DEVICE = 'device-plain-js';
const INSTALLED_WITHIN_MS = 120_000;
const ANSWERED_WITHIN_MS = 10_000;

const library = fileURLToPath(new URL('../libs/fedecks', import.meta.url));
const examples = fileURLToPath(new URL('../examples', import.meta.url));
const work = mkdtempSync(join(tmpdir(), 'fedecks-examples-'));
let failures = 0;
let tarball;

/** The user's environment, without the variables of the examples. */
const env = { ...process.env, NO_COLOR: '1' };
for (const name of Object.keys(env)) {
  if (/^(FEDECKS_|GREENHOUSE_|CLOUD_|DEVICE_|PORT$|HOST$|NODE_DEBUG$)/.test(name)) delete env[name];
}
const password = { GREENHOUSE_PASSWORD: 'a password of this run' };
const secret = { FEDECKS_SECRET: 's'.repeat(32) };

process.on('exit', () => rmSync(work, { recursive: true, force: true }));
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(1));

if (await check('the library is packed', pack)) {
  const names = [...CLOUDS, DEVICE];
  const installed = await Promise.all(
    names.map((name) => check(`${name}: npm install`, () => install(name))),
  );
  if (installed.every(Boolean)) for (const cloud of CLOUDS) await checkPair(cloud);
}
process.exitCode = failures === 0 ? 0 : 1;

/** Runs `body`, and prints whether it succeeded. */
async function check(title, body) {
  const begin = performance.now();
  const line = (result) => `${result} ${title} (${((performance.now() - begin) / 1000).toFixed(1)} s)`;
  try {
    await body();
    console.log(line('ok    '));
    return true;
  } catch (error) {
    failures++;
    console.log(`${line('failed')}\n${error.message}`);
    return false;
  }
}

/** FEDECKS_TARBALL names the output of an earlier `npm pack`. */
async function pack() {
  tarball = process.env.FEDECKS_TARBALL;
  if (tarball) return;
  await run(library, 'npm', 'pack', '--loglevel=error', '--pack-destination', work);
  tarball = join(
    work,
    readdirSync(work).find((file) => file.endsWith('.tgz')),
  );
}

async function install(name) {
  const manifest = (directory) => JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8'));
  const range = manifest(join(examples, name)).dependencies['@fedecks/nest'];
  const { version } = manifest(library);
  if (range !== `^${version}`) throw new Error(`it asks for @fedecks/nest ${range}: write ^${version}`);
  const here = join(work, name);
  cpSync(join(examples, name), here, {
    recursive: true,
    filter: (path) => !/\/(node_modules|dist|state)$/.test(path),
  });
  await run(
    here,
    'npm',
    'install',
    '--prefer-offline',
    '--no-audit',
    '--no-fund',
    '--loglevel=error',
    tarball,
  );
}

async function checkPair(name) {
  const pair = (text) => `${name} with ${DEVICE}: ${text}`;
  rmSync(join(work, DEVICE, 'state'), { recursive: true, force: true });
  let cloud;
  let device;
  let origin;
  const startDevice = (more) => {
    device = start(DEVICE, { CLOUD_URL: `${origin.replace('http:', 'ws:')}/fedecks/websocket`, ...more });
  };
  const steps = [
    [
      'the cloud without a secret does not start, and says what to set',
      async () => {
        const refused = start(name, password);
        await refused.prints(/secrets\[0\] is missing or empty/);
        await refused.fails();
      },
    ],
    [
      'the cloud starts',
      async () => {
        // It is compiled since the start that was refused.
        cloud = start(name, { ...secret, ...password, PORT: '0' }, '--ignore-scripts');
        [, origin] = await cloud.prints(/Listening on (http:\S+)/);
      },
    ],
    [
      'a device with a wrong password ends, and says what was refused',
      async () => {
        startDevice({ GREENHOUSE_PASSWORD: 'wrong' });
        await device.prints(/LoginFailedError: .*403/);
        await device.fails();
      },
    ],
    [
      'the device logs in, and its reading goes up',
      async () => {
        startDevice(password);
        await device.prints(/event \{ type: 'token_stored' \}/);
        await cloud.prints(/greenhouse-1: 2[67]\.\d+ degrees/);
      },
    ],
    [
      'the reply of the handler comes down',
      () => device.prints(/message \{ event: 'fan', data: \{ on: true \} \}/),
    ],
    [
      'a push over HTTP comes down',
      async () => {
        const status = await pushFan(origin, { on: false });
        if (status !== 202) throw new Error(`the push was answered ${status}`);
        await device.prints(/message \{ event: 'fan', data: \{ on: false \} \}/);
      },
    ],
    [
      'a push over HTTP that is no fan command is refused',
      async () => {
        const status = await pushFan(origin, { on: 'perhaps' });
        if (status !== 400) throw new Error(`the push was answered ${status}`);
      },
    ],
    [
      'Ctrl-C ends the device, and the cloud knows',
      async () => {
        await device.interrupt();
        await device.prints(/event \{ type: 'stopped' \}/);
        const status = await pushFan(origin, { on: true });
        if (status !== 404) throw new Error(`the push was answered ${status}`);
      },
    ],
    [
      'the device comes back with its token, without a password',
      async () => {
        startDevice({});
        await device.prints(/with: 'token'[^]*event \{ type: 'connected' \}/);
        await cloud.prints(/(degrees[^]*){2}/);
      },
    ],
    [
      'Ctrl-C ends the cloud, which closes its devices before',
      async () => {
        await cloud.interrupt();
        await device.prints(/type: 'connection_lost',\s+cause: 'closed',\s+code: 4000/);
        await device.interrupt();
      },
    ],
  ];
  // Stops at the first failure, as later steps depend on it.
  for (const [title, body] of steps) if (!(await check(pair(title), body))) break;
  for (const each of [device, cloud]) each?.signal('SIGKILL');
}

async function pushFan(origin, command) {
  const { status } = await fetch(`${origin}/devices/greenhouse-1/fan`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(command),
    signal: AbortSignal.timeout(ANSWERED_WITHIN_MS),
  });
  return status;
}

function start(name, more, ...options) {
  return new Command(join(work, name), ['npm', 'start', ...options], { ...env, ...more });
}

async function run(cwd, ...command) {
  await new Command(cwd, command, env).succeeds(INSTALLED_WITHIN_MS);
}

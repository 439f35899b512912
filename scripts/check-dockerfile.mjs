// Executes the steps of the agent's Dockerfile without an engine, runs the result as the image would run, and
// lets it connect to a cloud. Build the cloud first: npm run build. An argument selects another Dockerfile.
//
// It cannot check that the base image exists for every architecture, and contains what this machine has (/usr,
// /lib, /etc and Node stand in for it). `RUN` commands run on this machine, so they must stay in their WORKDIR. Where one
// would install the locked dependencies, hard links to those that are installed here take their place.
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CloudProcess } from './demo/cloud-process.mjs';
import { Container } from './dockerfile/container.mjs';
import { buildStages, copyContext } from './dockerfile/stages.mjs';

const DEVICE = 'greenhouse-1';
const STOP_WITHIN_MS = 10_000;
const repository = fileURLToPath(new URL('..', import.meta.url));

const scratch = mkdtempSync(join(tmpdir(), 'fedecks-dockerfile-'));
// The image's user must be able to enter this directory.
chmodSync(scratch, 0o755);
let cloud;
try {
  await check(process.argv[2] ?? join(repository, 'apps/device-agent/Dockerfile'));
} finally {
  await cloud?.stop();
  rmSync(scratch, { recursive: true, force: true });
}

async function check(dockerfile) {
  const context = join(scratch, 'context');
  mkdirSync(context);
  copyContext(repository, context);
  const image = buildStages(dockerfile, context, scratch, join(repository, 'node_modules'));
  must(
    /^[1-9]\d*:[1-9]\d*$/.test(image.user ?? ''),
    'USER must be a number that is not root, as 10001:10001',
  );
  must(image.volumes.length === 1, 'there must be one VOLUME, for the state');

  const login = { username: 'gardener', password: 'a password of this run' };
  mkdirSync(join(image.root, 'run/secrets'), { recursive: true });
  writeFileSync(join(image.root, 'run/secrets/login.json'), JSON.stringify(login), { mode: 0o644 });
  cloud = new CloudProcess(scratch, DEVICE, login);
  const url = await cloud.url();

  const container = new Container(image);
  say(
    `runs as ${process.getuid() === 0 ? image.user : 'this user, being no root'}, read-only ${container.mounts ? 'by mounts' : 'by file modes (no mounts allowed here)'}`,
  );
  const env = {
    FEDECKS_URL: url,
    FEDECKS_DEVICE_ID: DEVICE,
    FEDECKS_LOGIN_FILE: '/run/secrets/login.json',
    FEDECKS_START_DELAY_MS: '0',
  };
  const agent = container.spawn([...image.entrypoint, ...image.cmd], env, {
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  try {
    const ended = once(agent, 'exit');
    const early = ended.then(([code, signal]) => Promise.reject(new Error(`it ended: ${signal ?? code}`)));
    await Promise.race([cloud.line(new RegExp(`${DEVICE}.*connected`, 'i')), early]);
    early.catch(() => undefined);
    say('the agent connects to the cloud');

    await until(
      'the HEALTHCHECK says it is well',
      async () => (await statusOf(container, image.health, env)) === 0,
    );
    const write = (path) =>
      statusOf(container, ['node', '-e', 'fs.writeFileSync(process.argv[1], "")', path], {});
    must((await write('/opt/fedecks/device-agent.mjs')) !== 0, 'it must not be able to write to its program');
    must((await write('/opt/fedecks/new')) !== 0, 'it must not be able to write beside its program');
    must((await write(`${image.volumes[0]}/new`)) === 0, 'it must be able to write to its volume');

    agent.kill(image.stopSignal);
    const late = setTimeout(() => agent.kill('SIGKILL'), STOP_WITHIN_MS);
    const [code, signal] = await ended;
    clearTimeout(late);
    must(code === 0, `it must end with status 0 at ${image.stopSignal}, not with ${signal ?? code}`);
    say(`the agent exits with status 0 at ${image.stopSignal}`);
  } finally {
    agent.kill('SIGKILL');
  }
}

/** The exit status of a command in the container, within 10 s as for the HEALTHCHECK. */
async function statusOf(container, command, env) {
  const child = container.spawn(command, env, { stdio: 'ignore', timeout: 10_000, killSignal: 'SIGKILL' });
  const [code] = await once(child, 'exit');
  return code;
}

async function until(what, holds, deadline = Date.now() + 15_000) {
  while (!(await holds())) must(Date.now() < deadline, `${what}: not within 15 s`);
  say(what);
}

function must(holds, what) {
  if (!holds) throw new Error(what);
}

function say(text) {
  console.log(`Dockerfile: ${text}`);
}

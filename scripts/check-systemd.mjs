// Boots this machine's systemd in a container, installs the agent with its unit, and tests it: a login,
// telemetry, a hang, a stop and a start, with a cloud on this machine. Build first: npm run build && npm run bundle.
//
// The container has little more than this machine's /usr. It needs root and systemd-nspawn (Debian:
// systemd-container); otherwise nothing is checked. It cannot check MemoryMax without a memory controller.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CloudProcess } from './demo/cloud-process.mjs';

const DEVICE = 'greenhouse-1';
const LOGIN = { username: 'gardener', password: 'a password of this run' };
const repository = fileURLToPath(new URL('..', import.meta.url));

/** Runs a command in a container with its own cgroups and mounts, which end with it. */
const CONTAIN = `
for tree in /sys/fs/cgroup /sys/fs/cgroup/unified /sys/fs/cgroup/systemd; do
  [ -e $tree/cgroup.procs ] && mkdir $tree/$0 && echo $$ > $tree/$0/cgroup.procs
done
mkdir -p /run/systemd/nspawn && mount -t tmpfs tmpfs /run/systemd/nspawn
root=$1
shift
exec systemd-nspawn --quiet --directory=$root --bind-ro=/usr --register=no --keep-unit --machine=$0 --console=pipe "$@"`;
const BOOT = ['--boot', '--', '--unit=device-agent.service', '--show-status=no'];

/** The unit with shorter timeouts, this machine's Node, and a signal that makes the agent hang. */
const DROP_IN = `[Service]
ExecStart=
ExecStart=${process.execPath} /opt/fedecks/device-agent.mjs run
WatchdogSec=2
RestartSec=0
Environment=NODE_OPTIONS=--require=/opt/fedecks/hang.cjs FEDECKS_START_DELAY_MS=0
`;

const name = `fedecks-${process.pid}`;
const scratch = mkdtempSync(join(tmpdir(), 'fedecks-systemd-'));
let cloud;
let machine;
let log = '';
try {
  lay(join(scratch, 'trial'));
  const trial = spawnSync(...container('trial', [process.execPath, '--version']), { encoding: 'utf8' });
  if (trial.status === 0) await check();
  else
    say(
      'NOT CHECKED: it takes root, mounts, Node in /usr and systemd-nspawn (apt-get install systemd-container), and ' +
        `no container came of it here: ${(trial.stderr || trial.error?.message || '').trim()}`,
    );
} catch (error) {
  console.error(log + journal());
  throw error;
} finally {
  await powerOff();
  await cloud?.stop();
  rmSync(scratch, { recursive: true, force: true });
}

async function check() {
  cloud = new CloudProcess(scratch, DEVICE, LOGIN);
  install(join(scratch, 'root'), await cloud.url());

  machine = spawn(...container('root', BOOT), { stdio: ['ignore', 'pipe', 'pipe'] });
  for (const stream of [machine.stdout, machine.stderr]) stream.on('data', (text) => (log += text));
  await until('it has started, without a connection', () => shown('ActiveState') === 'active');

  const login = inside(
    [process.execPath, '/opt/fedecks/device-agent.mjs', 'login', '--stdin'],
    JSON.stringify(LOGIN),
  );
  must(login.status === 0, `it must let root log it in: ${login.stderr}`);
  await cloud.line(new RegExp(`"${DEVICE}" telemetry: .* memory free, .* disk free, .* received`));
  say('the agent is logged in by root, and sends all telemetry');

  cloud.lines.forget();
  inside(['systemctl', 'kill', '--signal=USR2', '--kill-whom=main', 'device-agent']);
  await cloud.line(new RegExp(`"${DEVICE}" connected`));
  must(shown('NRestarts') === '1', 'it must be started again');
  must(
    !/SIGABRT/.test(journal()) && /with signal SIGKILL/.test(journal()),
    'what hangs must be killed at once',
  );
  say('the agent is killed when it hangs, and restarted');

  must(inside(['systemctl', 'stop', 'device-agent']).status === 0, 'it must stop');
  must(shown('Result') === 'success', `it must end in order, and not with ${shown('Result')}`);
  await cloud.line(new RegExp(`"${DEVICE}" disconnected: closed_by_device \\(1000\\)`));
  cloud.lines.forget();
  must(inside(['systemctl', 'start', 'device-agent']).status === 0, 'it must start');
  await cloud.line(new RegExp(`"${DEVICE}" connected`));
  say('the agent stops cleanly, and reconnects with its token');
}

/** The command that runs a container on a root directory. */
function container(root, args) {
  const contain = [
    '--mount',
    '--propagation=private',
    'sh',
    '-ec',
    CONTAIN,
    name,
    join(scratch, root),
    ...args,
  ];
  return ['unshare', contain];
}

/** Creates a root directory with this machine's programs. */
function lay(root) {
  for (const path of ['usr', 'var/lib', 'run', 'proc', 'sys', 'dev', 'tmp', 'opt/fedecks', 'etc/fedecks']) {
    mkdirSync(join(root, path), { recursive: true });
  }
  for (const path of ['bin', 'sbin', 'lib', 'lib64']) symlinkSync(`usr/${path}`, join(root, path));
  for (const path of ['etc/passwd', 'etc/group', 'etc/os-release'])
    copyFileSync(`/${path}`, join(root, path));
  writeFileSync(join(root, 'etc/machine-id'), '');
}

/** Creates a root directory with the agent, as deploy/README.md installs it. */
function install(root, url) {
  lay(root);
  const unit = join(root, 'etc/systemd/system/device-agent.service');
  mkdirSync(`${unit}.d`, { recursive: true });
  copyFileSync(join(repository, 'apps/device-agent/deploy/device-agent.service'), unit);
  writeFileSync(`${unit}.d/check.conf`, DROP_IN);
  copyFileSync(join(repository, 'dist/device-agent.mjs'), join(root, 'opt/fedecks/device-agent.mjs'));
  writeFileSync(join(root, 'opt/fedecks/hang.cjs'), "process.on('SIGUSR2', () => { for (;;); });");
  writeFileSync(
    join(root, 'etc/fedecks/device-agent.env'),
    `FEDECKS_URL=${url}\nFEDECKS_DEVICE_ID=${DEVICE}\n`,
  );
}

/** The container's init process: all others end with it. */
function init() {
  return readFileSync(`/proc/${machine.pid}/task/${machine.pid}/children`, 'utf8').trim();
}

/** Runs a command in the container as root. */
function inside(command, input = '') {
  must(machine.exitCode === null, 'the container has ended');
  const env = ['env', '-i', 'PATH=/usr/bin:/bin'];
  const args = ['-t', init(), '-m', '-p', '-u', '-i', '-C', '--', ...env, ...command];
  return spawnSync('nsenter', args, { input, encoding: 'utf8', timeout: 30_000 });
}

function shown(property) {
  return inside(['systemctl', 'show', '--value', `--property=${property}`, 'device-agent']).stdout.trim();
}

function journal() {
  return machine?.exitCode === null ? inside(['journalctl', '--no-pager', '--unit=device-agent']).stdout : '';
}

async function powerOff() {
  if (machine?.exitCode === null) {
    const ended = once(machine, 'exit');
    const late = setTimeout(() => process.kill(Number(init()), 'SIGKILL'), 10_000);
    machine.kill('SIGTERM');
    await ended;
    clearTimeout(late);
  }
  for (const tree of ['/sys/fs/cgroup', '/sys/fs/cgroup/unified', '/sys/fs/cgroup/systemd']) {
    spawnSync('find', [join(tree, name), '-depth', '-type', 'd', '-exec', 'rmdir', '{}', ';']);
  }
}

async function until(what, holds, deadline = Date.now() + 15_000) {
  while (!holds()) {
    must(Date.now() < deadline, `${what}: not within 15 s`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  say(what);
}

function must(holds, what) {
  if (!holds) throw new Error(what);
}

function say(text) {
  console.log(`systemd: ${text}`);
}

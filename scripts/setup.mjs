// Prepares a fresh clone: installs the locked dependencies, unless they are installed already.
// With --servers, also installs missing server programs for the tests, if permitted.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { fileURLToPath } from 'node:url';

/** Programs that tests need, and their Debian packages. */
const SERVERS = {
  chromium: 'chromium',
  ip: 'iproute2',
  'nats-server': 'nats-server',
  nginx: 'nginx-light',
  openssl: 'openssl',
  pg_ctlcluster: 'postgresql',
  python3: 'python3',
  'systemd-notify': 'systemd',
  'systemd-nspawn': 'systemd-container',
};

const root = fileURLToPath(new URL('..', import.meta.url));
const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`Node ${process.versions.node} is too old: install Node 20.19 or later.`);
  process.exit(1);
}

const stamp = `${root}node_modules/.fedecks-lock`;
const lock = createHash('sha256')
  .update(readFileSync(`${root}package-lock.json`))
  .digest('hex');
if (!existsSync(stamp) || readFileSync(stamp, 'utf8') !== lock) {
  console.log('Installing the locked dependencies (npm ci), once.');
  const shell = process.platform === 'win32';
  const { status } = spawnSync('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: root,
    stdio: 'inherit',
    shell,
  });
  if (status !== 0) {
    console.error('npm ci failed: see above.');
    process.exit(status ?? 1);
  }
  writeFileSync(stamp, lock);
}

if (process.argv.includes('--servers')) {
  const missing = Object.entries(SERVERS).filter(([program]) => !onPath(program));
  const packages = missing.map(([, name]) => name);
  const isForbidden = process.env.FEDECKS_INSTALL === 'no';
  const may = process.getuid?.() === 0 && onPath('apt-get') && !isForbidden;
  console.log(
    'npm test runs all tests, many of them against real servers and processes: some 10 minutes on two cores. For one file: ' +
      'npm test -- PATH.',
  );
  if (packages.length === 0) console.log('All server programs that it needs are installed.');
  if (packages.length > 0 && may) {
    console.log('FEDECKS_INSTALL=no keeps it from installing Debian packages.');
    console.log(`Installing ${packages.join(' and ')} for the tests (apt-get), once.`);
    apt('update', '-qq');
    apt('install', '-y', '-qq', '--no-install-recommends', ...packages);
  }
  for (const [program, name] of missing) {
    if (onPath(program)) continue;
    console.log(`${program} is not on the PATH: its tests will not run. On Debian: apt-get install ${name}`);
  }
}

function onPath(program) {
  return (process.env.PATH ?? '').split(':').some((directory) => existsSync(`${directory}/${program}`));
}

function apt(...args) {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' };
  spawnSync('apt-get', args, { stdio: ['ignore', 'ignore', 'inherit'], env });
}

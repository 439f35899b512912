// Packs the library as `npm publish` would, and uses it as README says: in the output of `nest new` of Nest 10, 11 and 12,
// in an app with the lowest versions the package allows, and on a device. Prints one line per check.
// Run: node scripts/check-skeletons.mjs [10|11|12|lowest ...]
//
// What `nest new` adds for style and coverage is not installed: nothing here runs it.
import { spawn } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const library = join(root, 'libs/fedecks');
const sources = join(root, 'scripts/skeletons');
const work = mkdtempSync(join(tmpdir(), 'fedecks-skeletons-'));
const device = join(work, 'device');
const npmOptions = ['--prefer-offline', '--no-audit', '--no-fund', '--loglevel=error'];
const COMMAND_LIMIT_MS = 600_000;
/** Development dependencies of `nest new` that neither a build nor a test uses. */
const UNUSED =
  /^(@eslint\/.*|@nestjs\/mau|@typescript-eslint\/.*|@vitest\/coverage.*|eslint.*|globals|oxlint.*|prettier|source-map-support|ts-node|typescript-eslint)$/;
const password = 'a password of this run';
const env = { ...process.env, CI: 'true', FEDECKS_SECRET: 's'.repeat(32), GREENHOUSE_PASSWORD: password };
/** The tsconfig of the build that also checks the types in packages. */
const CHECKED = 'tsconfig.checked.json';
let failures = 0;
/** Resolves when apps have a device to talk to. */
let deviceInstalled;

const chosen = process.argv.slice(2);
const wants = (name) => chosen.length === 0 || chosen.includes(name);
const running = new Set();

try {
  const tarball = await pack();
  deviceInstalled = check('device: installs rxjs and ws, and nothing of the cloud', () =>
    installDevice(tarball),
  );
  // Two in parallel: one waits for npm while the other compiles.
  await Promise.all([
    deviceInstalled,
    (async () => {
      if (wants('10')) await checkSkeleton('10', tarball, ['tsc', 'swc', 'webpack']);
      if (wants('lowest')) await checkLowest(tarball);
    })(),
    (async () => {
      await check('package: publint finds nothing', () =>
        run(root, bin('publint'), 'run', '--strict', tarball),
      );
      await check('package: the types resolve in every mode (attw)', () => run(root, bin('attw'), tarball));
      if (wants('11')) await checkSkeleton('11', tarball, ['tsc', 'swc', 'webpack']);
      if (wants('12')) await checkSkeleton('12', tarball, ['tsc']);
    })(),
  ]);
} finally {
  for (const child of running) killGroup(child);
  rmSync(work, { recursive: true, force: true });
}
process.exitCode = failures === 0 ? 0 : 1;

/** FEDECKS_TARBALL names the output of an earlier `npm pack`. */
async function pack() {
  if (process.env.FEDECKS_TARBALL) return process.env.FEDECKS_TARBALL;
  await run(library, 'npm', 'pack', '--silent', '--pack-destination', work);
  return join(
    work,
    readdirSync(work).find((name) => name.endsWith('.tgz')),
  );
}

/** The device of README in a separate project, as on a real device. */
async function installDevice(tarball) {
  mkdirSync(device);
  writeFileSync(join(device, 'package.json'), '{ "private": true, "type": "module" }');
  const readme = readFileSync(join(library, 'README.md'), 'utf8');
  const [, code] = /```js\n(\/\/ device\.mjs\n[^]*?)```/.exec(readme) ?? [];
  if (code === undefined)
    throw new Error('libs/fedecks/README.md has no block that starts with // device.mjs');
  writeFileSync(join(device, 'device.js'), code);
  await run(device, 'npm', 'install', ...npmOptions, tarball);
  const installed = readdirSync(join(device, 'node_modules')).filter((name) => !name.startsWith('.'));
  // rxjs depends on tslib.
  if (installed.join() !== '@fedecks,rxjs,tslib,ws') throw new Error(`npm installed ${installed.join(', ')}`);
}

/**
 * Leaves the output of `nest new` unchanged, except for one import in its AppModule, the development dependencies that are
 * UNUSED, and a tsconfig of its own for the build by tsc.
 */
async function checkSkeleton(version, tarball, builders) {
  const app = join(work, `nest-${version}`);
  const isEsm = version === '12';
  const title = (text) => `nest ${version}: ${text}`;
  const made = await check(title('nest new, npm install @fedecks/nest'), async () => {
    const nest = ['--yes', '--prefer-offline', `@nestjs/cli@${version}`];
    await run(work, 'npx', ...nest, 'new', `nest-${version}`, '--skip-git', '--skip-install', '-p', 'npm');
    removeUnused(app);
    const builderPackages = builders.includes('swc') ? ['@swc/cli', '@swc/core'] : [];
    await run(app, 'npm', 'install', ...npmOptions, tarball, ...builderPackages);
    addGreenhouse(app, isEsm);
  });
  if (!made) return;
  await check(title('npm test, with the fake device'), () => run(app, 'npm', 'test'));
  await check(title('npm run test:e2e, with a device'), () => run(app, 'npm', 'run', 'test:e2e'));
  for (const builder of builders) {
    const isChecked = builder === 'tsc';
    const types = isChecked ? ' with the types of the library (skipLibCheck: false)' : '';
    await check(
      title(`nest build --builder ${builder}${types}, node dist/main, a device talks`),
      async () => {
        const path = isChecked ? ['--path', CHECKED] : [];
        await run(app, bin('nest'), 'build', '--builder', builder, ...path);
        await talk(app, version);
      },
    );
    if (builder === 'tsc') await checkUseClass(app, version);
  }
}

/** The source of the Nest 10 app, with the lowest version of every peer dependency. */
async function checkLowest(tarball) {
  const app = join(work, 'lowest');
  await check('lowest versions: compiles, starts, a device talks', async () => {
    const { dependencies, peerDependencies } = JSON.parse(
      readFileSync(join(library, 'package.json'), 'utf8'),
    );
    const lowest = Object.entries({ ...dependencies, ...peerDependencies }).map(([name, range]) => [
      name,
      /\d+\.\d+\.\d+/.exec(range)[0],
    ]);
    const versions = Object.fromEntries(lowest);
    versions['@nestjs/platform-express'] = versions['@nestjs/core'];
    const typescript = { typescript: '^5.1.3', '@types/node': '^20.3.1' };
    mkdirSync(app);
    const manifest = { private: true, dependencies: { ...versions, '@fedecks/nest': `file:${tarball}` } };
    writeFileSync(join(app, 'package.json'), JSON.stringify({ ...manifest, devDependencies: typescript }));
    await run(app, 'npm', 'install', ...npmOptions);
    for (const [name, version] of lowest) {
      const installed = JSON.parse(
        readFileSync(join(app, 'node_modules', name, 'package.json'), 'utf8'),
      ).version;
      if (installed !== version) throw new Error(`npm installed ${name} ${installed} in place of ${version}`);
    }
    if (existsSync(join(app, 'node_modules/@fedecks/nest/node_modules'))) {
      throw new Error('npm installed a package twice');
    }
    cpSync(join(work, 'nest-10/src'), join(app, 'src'), { recursive: true });
    for (const name of ['tsconfig.json', 'tsconfig.build.json'])
      cpSync(join(work, 'nest-10', name), join(app, name));
    await run(app, bin('tsc'), '-p', 'tsconfig.build.json');
    const entries = ['', '/client', '/client-nest', '/nats', '/testing', '/wire'].map(
      (each) => `@fedecks/nest${each}`,
    );
    await run(app, 'node', '-e', entries.map((entry) => `require('${entry}');`).join(' '));
    await talk(app, 'lowest');
  });
}

function removeUnused(app) {
  const file = join(app, 'package.json');
  const manifest = JSON.parse(readFileSync(file, 'utf8'));
  const kept = Object.entries(manifest.devDependencies).filter(([name]) => !UNUSED.test(name));
  writeFileSync(
    file,
    JSON.stringify({ ...manifest, devDependencies: Object.fromEntries(kept) }, undefined, 2),
  );
}

function addGreenhouse(app, isEsm) {
  for (const name of [
    'src/greenhouse.ts',
    'src/greenhouse.module.ts',
    'src/greenhouse.spec.ts',
    'src/use-class.ts',
  ]) {
    put(name);
  }
  put('test/greenhouse.e2e-spec.ts');
  const testing = readFileSync(join(library, 'docs/how-to/testing.md'), 'utf8');
  const [, documented] = /```ts\n(\/\/ app\.e2e-spec\.ts\n[^]*?)```/.exec(testing) ?? [];
  if (documented === undefined)
    throw new Error('docs/how-to/testing.md has no block that starts with // app.e2e-spec.ts');
  write('test/documented.e2e-spec.ts', documented);
  // The types of this library and Nest only: those of Jest would take half a minute.
  const checked = {
    extends: './tsconfig.build.json',
    compilerOptions: { skipLibCheck: false, types: ['node'] },
  };
  writeFileSync(join(app, CHECKED), JSON.stringify(checked));
  const file = join(app, 'src/app.module.ts');
  const text = readFileSync(file, 'utf8');
  if (!text.includes('imports: [],'))
    throw new Error('the output of `nest new` no longer contains `imports: [],`');
  const line = `import { GreenhouseModule } from './greenhouse.module${isEsm ? '.js' : ''}';\n`;
  writeFileSync(file, line + text.replace('imports: [],', 'imports: [GreenhouseModule],'));

  function put(name) {
    write(name, readFileSync(join(sources, name), 'utf8'));
  }

  function write(name, code) {
    writeFileSync(join(app, name), isEsm ? code : code.replace(/(from '\.[^']*)\.js'/g, "$1'"));
  }
}

/** Starts the app as `npm run start:prod` does; the device of README logs in, sends, and gets a reply. */
async function talk(app, name) {
  await deviceInstalled;
  const port = await freePort();
  const cloud = start(app, 'node', ['dist/main'], { PORT: String(port) });
  try {
    await listening(port, cloud);
    const home = join(device, `state-${name}`);
    rmSync(home, { recursive: true, force: true });
    mkdirSync(home);
    const CLOUD_URL = `ws://127.0.0.1:${port}/fedecks/websocket`;
    const client = start(home, 'node', [join(device, 'device.js')], { CLOUD_URL });
    try {
      await client.prints("the cloud says { event: 'fan', data: { on: true } }");
      await cloud.prints('nerves-242a: 27.5 degrees');
      // Nest's own logger has the level debug on, in every version.
      await cloud.prints('received event "temperature"');
    } finally {
      killGroup(client.child);
    }
  } finally {
    killGroup(cloud.child);
  }
}

/** Nest 10 ignores enhancers of such a provider: the app must fail at start-up, and say what to do. */
async function checkUseClass(app, version) {
  const isRefused = version === '10';
  const what = isRefused ? 'is refused with what to change' : 'works';
  await check(`nest ${version}: an enhanced handler in a provider with useClass ${what}`, async () => {
    const attempt = start(app, 'node', ['dist/use-class.js']);
    const code = await attempt.exit;
    const message = 'OnlyPlausible would not run on Greenhouse.record';
    const advice = "providers: [Greenhouse, { provide: 'greenhouse', useExisting: Greenhouse }]";
    const said = isRefused ? [message, advice] : ['started'];
    const missing = said.find((text) => !attempt.output().includes(text));
    if (missing !== undefined) throw new Error(`not printed: ${missing}\n${attempt.output()}`);
    if ((code !== 0) !== isRefused) throw new Error(`exit code ${code}\n${attempt.output()}`);
  });
}

async function check(title, body) {
  const begin = performance.now();
  const seconds = () => `${((performance.now() - begin) / 1000).toFixed(1)} s`;
  try {
    await body();
    console.log(`ok      ${title} (${seconds()})`);
    return true;
  } catch (error) {
    failures++;
    console.log(`failed  ${title} (${seconds()})\n${error.message}`);
    return false;
  }
}

async function run(cwd, command, ...args) {
  const { exit, output } = start(cwd, command, args);
  const code = await exit;
  if (code !== 0)
    throw new Error(`${command} ${args.join(' ')} ended with ${code}:\n${output().slice(-6_000)}`);
}

/** The program of a package in the current directory, without the second that npx takes. */
function bin(name) {
  return `node_modules/.bin/${name}`;
}

/** A program in its own process group, so that all its processes can be killed. */
function start(cwd, command, args, more = {}) {
  const child = spawn(command, args, {
    cwd,
    env: { ...env, ...more },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  running.add(child);
  let text = '';
  let onOutput = () => undefined;
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk) => {
      text += chunk;
      onOutput();
    });
  }
  const limit = setTimeout(() => killGroup(child), COMMAND_LIMIT_MS);
  const exit = new Promise((resolve) => {
    child.once('error', (error) => {
      text += error.message;
      resolve(null);
    });
    child.once('close', (code, signal) => resolve(code ?? signal));
  }).finally(() => {
    clearTimeout(limit);
    running.delete(child);
    onOutput();
  });
  const prints = async (line) => {
    const deadline = setTimeout(() => killGroup(child), 30_000);
    try {
      while (!text.includes(line)) {
        if (!running.has(child)) throw new Error(`not printed: ${line}\n${text}`);
        await new Promise((resolve) => (onOutput = resolve));
      }
    } finally {
      clearTimeout(deadline);
    }
  };
  return { child, exit, prints, output: () => text };
}

function killGroup(child) {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // It has exited.
  }
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function listening(port, { child, output }) {
  while (running.has(child)) {
    const isOpen = await new Promise((resolve) => {
      const socket = connect(port, '127.0.0.1');
      socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
      socket.once('connect', () => socket.destroy());
    });
    if (isOpen) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`the app has ended:\n${output()}`);
}

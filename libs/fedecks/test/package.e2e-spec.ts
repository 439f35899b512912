import { execFile, spawn } from 'node:child_process';
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
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Certificates } from './support/certificates.js';
import { examples as allExamples, root } from './support/documents.js';
import { freePort } from './support/free-port.js';

const run = promisify(execFile);
const library = join(root, 'libs/fedecks');
/** An e2e test is one of an app that `nest new` has made: scripts/check-skeletons.mjs runs it. */
const examples = new Map([...allExamples()].filter(([name]) => !name.endsWith('.e2e-spec.ts')));

/** A Nest app outside this repository, with the packed library installed. */
let app: string;
/** FEDECKS_TARBALL names the output of an earlier `npm pack`. */
let tarball: string;
const certificates = new Certificates();
/** The environment variables of the examples. */
let env: NodeJS.ProcessEnv;

beforeAll(async () => {
  app = mkdtempSync(join(tmpdir(), 'fedecks-user-'));
  const { certFile, keyFile } = certificates.make({ name: 'localhost' });
  env = { ...process.env, TLS_CERT: certFile, TLS_KEY: keyFile };
  const { FEDECKS_TARBALL } = process.env;
  tarball = FEDECKS_TARBALL ? FEDECKS_TARBALL : await pack(app);
  const versions = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>;
    devDependencies: Record<string, string>;
  };
  const wanted = (names: string[]): Record<string, string> => {
    const known = { ...versions.dependencies, ...versions.devDependencies };
    return Object.fromEntries(names.map((name) => [name, known[name]!]));
  };
  writeFileSync(
    join(app, 'package.json'),
    JSON.stringify({
      name: 'greenhouse',
      private: true,
      type: 'module',
      dependencies: {
        '@fedecks/nest': `file:${tarball}`,
        ...wanted(['@nestjs/common', '@nestjs/core', '@nestjs/platform-express', 'class-transformer']),
        ...wanted(['class-validator', 'reflect-metadata', 'rxjs']),
        ...wanted(['@nats-io/jetstream', '@nats-io/kv', '@nats-io/transport-node']),
      },
      devDependencies: wanted(['@types/node', 'typescript']),
    }),
  );
  const compilerOptions = {
    target: 'es2023',
    module: 'nodenext',
    strict: true,
    noUncheckedIndexedAccess: true,
    experimentalDecorators: true,
    emitDecoratorMetadata: true,
    types: ['node'],
    skipLibCheck: true,
    outDir: 'dist',
    rootDir: 'src',
  };
  writeFileSync(join(app, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['src'] }));
  mkdirSync(join(app, 'src'));
  for (const [name, { text }] of examples) {
    writeFileSync(name.endsWith('.ts') ? join(app, 'src', name) : join(app, name), text);
  }
  await run('npm', ['install', '--no-audit', '--no-fund', '--prefer-offline'], { cwd: app });
  await run('npx', ['tsc', '-p', '.'], { cwd: app });
}, 240_000);

async function pack(directory: string): Promise<string> {
  const { stdout } = await run('npm', ['pack', '--json', '--pack-destination', directory], { cwd: library });
  const [{ filename }] = JSON.parse(stdout.slice(stdout.indexOf('['))) as [{ filename: string }];
  return join(directory, filename);
}

afterAll(() => {
  certificates.remove();
  rmSync(app, { recursive: true, force: true });
});

/** The path of an example, compiled if needed. */
function script(name: string): string {
  return name.endsWith('.ts') ? join(app, 'dist', name.replace(/\.ts$/, '.js')) : join(app, name);
}

/** The examples of README and docs/ in one app. scripts/check-skeletons.mjs tests apps of all Nest versions. */
describe('the packed library', () => {
  it('contains the expected examples', () => {
    expect([...examples.keys()]).toEqual(expect.arrayContaining(['main.ts', 'device.mjs', 'handlers.ts']));
  });

  it('exports the documented entries only', async () => {
    const entries = ['', '/client', '/client-nest', '/nats', '/testing', '/wire'];
    const probe = `
      for (const entry of ${JSON.stringify(entries)}) await import('@fedecks/nest' + entry);
      for (const hidden of ['/dist/server/index.js', '/server', '/handlers', '/wire/internal']) {
        await import('@fedecks/nest' + hidden).then(() => process.exit(1), () => undefined);
      }`;
    await run('node', ['--input-type=module', '-e', probe], { cwd: app });
  });

  it.each(['5.1.3', '5.4.5'])(
    'has types that TypeScript %s accepts, including its declaration files',
    async (version) => {
      const old = join(app, `typescript-${version}`);
      mkdirSync(old);
      writeFileSync(join(old, 'package.json'), JSON.stringify({ private: true, type: 'module' }));
      await run('npm', ['install', '--no-audit', '--no-fund', '--prefer-offline', `typescript@${version}`], {
        cwd: old,
      });
      cpSync(join(library, 'types-test/packed.ts'), join(old, 'packed.ts'));
      const strict = '--strict --skipLibCheck false --target es2022 --module nodenext --types node --noEmit';
      const decorators = '--experimentalDecorators --emitDecoratorMetadata';
      await run('npx', ['tsc', ...`${strict} ${decorators}`.split(' '), 'packed.ts'], { cwd: old });
    },
    120_000,
  );

  it('installs the program fedecks, which needs no other package', async () => {
    const fedecks = join(app, 'node_modules/.bin/fedecks');
    const { stdout } = await run(fedecks, ['encode', '{"$tuple":[{"$atom":"ok"},1]}'], { cwd: app });
    expect(stdout).toBe('83680277026f6b6101\n');
    const { version } = JSON.parse(readFileSync(join(library, 'package.json'), 'utf8')) as {
      version: string;
    };
    expect((await run(fedecks, ['--version'], { cwd: app })).stdout).toBe(`${version}\n`);
    const failed = run(fedecks, ['check', 'ws://127.0.0.1:1/fedecks/websocket'], { cwd: app });
    await expect(failed).rejects.toMatchObject({ code: 4 });
    expect(existsSync(join(app, 'node_modules/@fedecks/nest/dist/cjs/cli'))).toBe(false);
  });

  it('installs no server dependencies on a device', async () => {
    const device = join(app, 'device');
    mkdirSync(device);
    writeFileSync(join(device, 'package.json'), JSON.stringify({ private: true, type: 'module' }));
    await run('npm', ['install', '--no-audit', '--no-fund', '--prefer-offline', tarball], {
      cwd: device,
    });
    const probe = `
      const { FedecksClient } = await import('@fedecks/nest/client');
      const { encodeTerm } = await import('@fedecks/nest/wire');
      console.log(typeof FedecksClient, encodeTerm(1).length);`;
    const { stdout } = await run('node', ['--input-type=module', '-e', probe], { cwd: device });
    expect(stdout).toBe('function 3\n');
    // rxjs depends on tslib.
    const installed = readdirSync(join(device, 'node_modules')).filter((name) => !name.startsWith('.'));
    expect(installed).toEqual(['@fedecks', 'rxjs', 'tslib', 'ws']);
  }, 60_000);

  it.each([...examples].filter(([, { prints }]) => prints !== undefined))(
    'prints what the documents show: %s',
    async (name, { prints }) => {
      const { stdout } = await run('node', [script(name)], { cwd: app, env });
      expect(stdout).toBe(prints);
    },
    60_000,
  );

  it('runs the cloud and the device of the tutorial', async () => {
    const port = await freePort();
    const env = {
      ...process.env,
      PORT: String(port),
      FEDECKS_SECRET: 's'.repeat(32),
      GREENHOUSE_PASSWORD: 'a password of this run',
      CLOUD_URL: `ws://127.0.0.1:${port}/fedecks/websocket`,
    };
    const cloud = spawn('node', [script('main.ts')], { cwd: app, env });
    try {
      const said = lines(cloud.stdout);
      await waitUntilListening(port);
      const first = spawn('node', [script('device.mjs')], { cwd: app, env });
      const firstSaid = lines(first.stdout);
      await firstSaid("the cloud says { event: 'fan', data: { on: true } }");
      await firstSaid('logged in');
      await said('nerves-242a is here');
      await said('nerves-242a: 27.5 degrees');
      first.kill('SIGKILL');

      // The second time it has a token and needs no password.
      const second = spawn('node', [script('device.mjs')], {
        cwd: app,
        env: { ...env, GREENHOUSE_PASSWORD: '' },
      });
      await said('nerves-242a is here');
      second.kill('SIGKILL');
    } finally {
      cloud.kill('SIGKILL');
    }
  });

  it('fails at start-up without a secret, and says what to set', async () => {
    const env = { ...process.env, FEDECKS_SECRET: '' };
    const failed = run('node', [script('main.ts')], { cwd: app, env });
    await expect(failed).rejects.toMatchObject({ code: expect.any(Number) as number });
    const { stdout, stderr } = (await failed.catch((error: unknown) => error)) as {
      stdout: string;
      stderr: string;
    };
    expect(stdout + stderr).toContain('secrets[0] is missing or empty: set it to at least 32 bytes');
  });
});

/** Waits for a line of the process, among those not yet consumed. */
function lines(stream: NodeJS.ReadableStream): (line: string) => Promise<void> {
  const printed: string[] = [];
  let rest = '';
  let heard: () => void = () => undefined;
  stream.on('data', (chunk: Buffer) => {
    const parts = (rest + chunk.toString()).split('\n');
    rest = parts.pop() ?? '';
    printed.push(...parts);
    heard();
  });
  return async (line) => {
    const deadline = Date.now() + 15_000;
    while (!printed.includes(line)) {
      if (Date.now() > deadline) throw new Error(`not printed: ${line}; but: ${printed.join(' / ')}`);
      await new Promise<void>((resolve) => {
        heard = resolve;
        setTimeout(resolve, 500).unref();
      });
    }
    printed.splice(printed.indexOf(line), 1);
  };
}

async function waitUntilListening(port: number): Promise<void> {
  const deadline = Date.now() + 15_000;
  for (;;) {
    const answered = await fetch(`http://127.0.0.1:${port}/`).then(
      () => true,
      () => false,
    );
    if (answered) return;
    if (Date.now() > deadline) throw new Error('the cloud does not listen');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

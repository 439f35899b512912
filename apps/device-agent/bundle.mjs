// Makes the agent one file that needs Node and nothing else: dist/device-agent.mjs, with the licences of what is in
// it beside it. It takes what `nest build` has compiled, because esbuild does not write down the types of constructor
// parameters, which Nest reads. Run: npm run bundle.
import { readFileSync, readdirSync, writeFileSync, chmodSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'acorn';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('../..', import.meta.url));
const compiled = join(root, 'dist/device-agent/apps/device-agent/src/main.js');
const outfile = join(root, 'dist/device-agent.mjs');

/** What Nest asks for only in apps of other kinds. */
const ABSENT = ['microservices', 'websockets', 'platform-express'].flatMap((name) => [
  `@nestjs/${name}`,
  `@nestjs/${name}/*`,
]);

/**
 * What Nest's ValidationPipe uses of the packages it loads whole. The rest of them, mostly the telephone numbers of
 * the world, is four tenths of the bundle and 6 MB of a device's memory.
 */
const PICKED = {
  'class-validator': 'validate, getMetadataStorage',
  'class-transformer': 'plainToInstance, classToPlain',
};

const frugal = {
  name: 'only what is used',
  setup(plugin) {
    // The ES modules of RxJS, of which the unused can be left out; on Node its package offers only the others.
    plugin.onResolve({ filter: /^rxjs(\/operators)?$/ }, ({ path }) => ({
      path: join(root, `node_modules/rxjs/dist/esm${path.slice('rxjs'.length)}/index.js`),
      sideEffects: false,
    }));
    plugin.onResolve({ filter: /^class-(validator|transformer)$/ }, ({ path, kind }) =>
      kind === 'dynamic-import' ? { path, namespace: 'picked' } : undefined,
    );
    plugin.onLoad({ filter: /./, namespace: 'picked' }, ({ path }) => ({
      contents: `export { ${PICKED[path]} } from '${path}';`,
      resolveDir: root,
    }));
  },
};

/**
 * Makes Node's own modules load when they are first used, and not before the first line: a Node that is too old lacks
 * some of their exports, and would print the bundle instead of what `require-node.ts` says.
 */
const lateBuiltins = {
  name: "Node's own modules when they are used",
  setup(plugin) {
    const names = builtinModules.map((name) => name.replaceAll('/', '\\/')).join('|');
    plugin.onResolve({ filter: new RegExp(`^(node:)?(${names})$`) }, ({ path, kind }) =>
      kind === 'import-statement' ? { path, namespace: 'builtin' } : undefined,
    );
    plugin.onLoad({ filter: /./, namespace: 'builtin' }, ({ path }) => ({
      contents: `module.exports = require('${path}');`,
    }));
  },
};

const { metafile } = await build({
  absWorkingDir: root,
  entryPoints: [compiled],
  outfile,
  bundle: true,
  platform: 'node',
  format: 'esm',
  // Every Node that starts ES modules at all must get as far as `require-node.ts`.
  target: 'node16',
  mainFields: ['es2015', 'module', 'main'],
  // Names stay, so that a stack trace from the field can be read.
  minifyWhitespace: true,
  minifySyntax: true,
  external: ABSENT,
  plugins: [frugal, lateBuiltins],
  // Native parts of `ws` that are not there, so they need not be looked for.
  define: { 'process.env.WS_NO_BUFFER_UTIL': '"1"', 'process.env.WS_NO_UTF_8_VALIDATE': '"1"' },
  banner: {
    js: [
      '// Made by `npm run bundle`. The licences of the packages in it: device-agent.licenses.txt.',
      "import { createRequire as bundleRequire } from 'node:module';",
      'const require = bundleRequire(import.meta.url);',
    ].join('\n'),
  },
  legalComments: 'eof',
  metafile: true,
  logLevel: 'warning',
});
chmodSync(outfile, 0o755);
mustReachItsGuard(readFileSync(outfile, 'utf8'));

const [{ bytes, inputs }] = Object.values(metafile.outputs);
const packages = new Set(
  Object.entries(inputs).flatMap(([path, { bytesInOutput }]) => {
    const [directory] = /^node_modules\/(@[^/]+\/)?[^/]+/.exec(path) ?? [];
    return directory !== undefined && bytesInOutput > 0 ? [directory] : [];
  }),
);
const notices = [...packages].sort().map(notice);
writeFileSync(join(root, 'dist/device-agent.licenses.txt'), notices.join(`\n${'-'.repeat(80)}\n`));
console.log(`dist/device-agent.mjs: ${Math.round(bytes / 1024)} KiB, with ${packages.size} packages in it`);

/** Node 16 has to parse the bundle (ECMAScript 2022), and to find all it imports before the first line runs. */
function mustReachItsGuard(text) {
  const { body } = parse(text, { ecmaVersion: 2022, sourceType: 'module', allowHashBang: true });
  const imported = body.filter(({ type }) => type === 'ImportDeclaration').map(({ source }) => source.value);
  if (imported.join() !== 'node:module') {
    throw new Error(
      `the bundle must import node:module alone before it runs, and imports ${imported.join(', ')}`,
    );
  }
}

/** A package's name, version and licence, with the text its licence asks to be passed on. */
function notice(directory) {
  const { name, version, license } = JSON.parse(readFileSync(join(root, directory, 'package.json'), 'utf8'));
  const files = readdirSync(join(root, directory)).filter((file) =>
    /^(licen[cs]e|copying|notice|copyright)/i.test(file),
  );
  if (files.length === 0) console.warn(`${directory} has no licence file`);
  const texts = files.map((file) => readFileSync(join(root, directory, file), 'utf8').trim());
  return [`${name} ${version}: ${license}\n`, ...texts].join('\n');
}

/**
 * Bundles of TypeScript programs that tests run as processes, compiled as the tests compile them. A run of Jest makes each
 * of them once.
 *
 *     const file = await bundleOf('/path/of/main.ts');
 *     spawn(process.execPath, [file]);
 */
import { mkdir, readFile, symlink } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { transform } from '@swc/core';
import { build, type Plugin } from 'esbuild';
import { fileOfRun, makeOnce } from './test-run.js';

const root = fileURLToPath(new URL('../../../..', import.meta.url));

const EXTERNAL = [
  // Only imported in other apps, and not installed.
  ...['@nestjs/microservices', '@nestjs/microservices/*', '@fastify/*', 'pg-native'],
  // With files beside their code.
  ...['argon2', '@electric-sql/pglite', '@electric-sql/pglite/*'],
];

/** For the packages in CommonJS. */
const REQUIRE =
  "import { createRequire as requireOf } from 'node:module'; const require = requireOf(import.meta.url);";

/** @returns the file to run. @param entry the path of the first file of the program. */
export async function bundleOf(entry: string): Promise<string> {
  const directory = fileOfRun('programs');
  // From there programs find the packages of this repository.
  await makeOnce('programs', async () => {
    await mkdir(directory, { recursive: true });
    await symlink(join(root, 'node_modules'), join(directory, 'node_modules'));
  });
  const name = `${relative(root, entry).replaceAll('/', '_')}.mjs`;
  const file = join(directory, name);
  await makeOnce(name, () => bundle(entry, file));
  return file;
}

async function bundle(entry: string, file: string): Promise<void> {
  await build({
    entryPoints: [entry],
    outfile: file,
    // With its packages, Node starts a program with Nest in a third of the time.
    bundle: true,
    keepNames: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    external: EXTERNAL,
    banner: { js: REQUIRE },
    logLevel: 'silent',
    plugins: [AS_THE_TESTS],
  });
}

const AS_THE_TESTS: Plugin = {
  name: 'as the tests compile',
  setup(plugin) {
    plugin.onResolve({ filter: /^@fedecks\/nest(\/[\w-]+)?$/ }, ({ path }) => ({
      path: join(root, `libs/fedecks/src/${path.split('/')[2] ?? 'server'}/index.ts`),
    }));
    // Nest needs the types of constructor parameters, which esbuild does not emit.
    plugin.onLoad({ filter: /\.ts$/ }, async ({ path }) => {
      const { code } = await transform(await readFile(path, 'utf8'), {
        filename: path,
        jsc: {
          target: 'es2022',
          parser: { syntax: 'typescript', decorators: true },
          transform: { legacyDecorator: true, decoratorMetadata: true, useDefineForClassFields: false },
        },
        module: { type: 'es6' },
      });
      // The program is elsewhere than its files.
      const url = JSON.stringify(pathToFileURL(path).href);
      return { contents: code.replaceAll('import.meta.url', url), loader: 'js' };
    });
  },
};

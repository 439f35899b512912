// Builds the files for `npm pack`: dist/ as ES modules, and dist/cjs/ as CommonJS for apps and tests that use `require`.
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

run('nest', 'build', 'fedecks');
run('tsc', '-p', 'libs/fedecks/tsconfig.cjs.json');
// Node and TypeScript read the module type of a .js file from the nearest package.json.
writeFileSync(`${root}libs/fedecks/dist/cjs/package.json`, '{ "type": "commonjs" }\n');

function run(program, ...args) {
  const { status } = spawnSync(`${root}node_modules/.bin/${program}`, args, { cwd: root, stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}

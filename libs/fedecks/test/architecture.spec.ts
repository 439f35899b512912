import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const text = readFileSync(`${root}/ARCHITECTURE.md`, 'utf8');
const files = ['libs/fedecks/src', 'libs/fedecks/test', 'libs/fedecks/types-test', 'apps', 'docs'].flatMap(
  (folder) =>
    readdirSync(`${root}/${folder}`, { recursive: true, encoding: 'utf8' })
      .filter((file) => !file.includes('node_modules'))
      .map((file) => `${folder}/${file}`),
);

it('names only files that exist', () => {
  const named = [...text.matchAll(/`([\w./-]+\.(?:ts|mjs))`/g)].map(([, name]) => name!);
  expect(named.length).toBeGreaterThan(30);
  expect(named.filter((name) => !files.some((file) => `/${file}`.endsWith(`/${name}`)))).toEqual([]);
});

it('names each folder of the library', () => {
  const folders = readdirSync(`${root}/libs/fedecks/src`);
  expect(folders.filter((folder) => !text.includes(`| \`${folder}\``))).toEqual([]);
});

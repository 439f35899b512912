import { readFileSync } from 'node:fs';
import { VERSION } from './version.js';

it('equals the version of the workspace', () => {
  const { version } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  expect(VERSION).toBe(version);
});

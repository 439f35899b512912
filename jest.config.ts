/** @jest-config-loader esbuild-register */
import type { Config } from 'jest';

/**
 * `npm run test:embedded` runs the tests of cloud-api that have a database. The browser tests of the console are left out:
 * they check what the page shows, and the API that it reads is tested.
 */
const isEmbedded = process.env['CLOUD_API_TEST_DATABASE'] === 'pglite';

const config: Config = {
  testEnvironment: 'node',
  roots: isEmbedded ? ['<rootDir>/apps/cloud-api/test'] : ['<rootDir>/libs', '<rootDir>/apps'],
  testPathIgnorePatterns: isEmbedded ? ['<rootDir>/apps/cloud-api/test/console-'] : [],
  testRegex: String.raw`\.(spec|e2e-spec)\.ts$`,
  // Most tests wait for sockets and processes: two at a time keep even a small machine busy.
  maxWorkers: 2,
  // Jest keeps the modules of each test file: at 1 GB a worker ends so slowly that Jest suspects the tests of a leak.
  workerIdleMemoryLimit: '512MB',
  modulePathIgnorePatterns: ['<rootDir>/dist/', '<rootDir>/libs/fedecks/dist/'],
  extensionsToTreatAsEsm: ['.ts'],
  transform: {
    [String.raw`\.ts$`]: [
      '@swc/jest',
      {
        sourceMaps: 'inline',
        jsc: {
          target: 'es2022',
          parser: { syntax: 'typescript', decorators: true },
          transform: { legacyDecorator: true, decoratorMetadata: true, useDefineForClassFields: false },
        },
        module: { type: 'es6' },
      },
    ],
  },
  moduleNameMapper: {
    '^@fedecks/nest$': '<rootDir>/libs/fedecks/src/server/index.ts',
    '^@fedecks/nest/(client|client-nest|nats|testing|wire)$': '<rootDir>/libs/fedecks/src/$1/index.ts',
    [String.raw`^(\.{1,2}/.*)\.js$`]: '$1',
  },
  setupFiles: ['<rootDir>/libs/fedecks/test/support/forget-contexts.ts'],
  // Finds or starts the Postgres server of the tests.
  globalSetup: '<rootDir>/apps/cloud-api/test/support/postgres-server.ts',
  globalTeardown: '<rootDir>/apps/cloud-api/test/support/drop-test-databases.ts',
  // Of a test that hangs. On a busy machine a process alone takes 10 s to start.
  testTimeout: 60_000,
  // Sockets, timers and child processes left behind are defects: the run must end by itself.
  forceExit: false,
};

export default config;

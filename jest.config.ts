/** @jest-config-loader esbuild-register */
import type { Config } from 'jest';

const config: Config = {
  testEnvironment: 'node',
  roots: ['<rootDir>/libs', '<rootDir>/apps'],
  testRegex: String.raw`\.(spec|e2e-spec)\.ts$`,
  // Most tests wait for sockets and processes: two at a time keep even a small machine busy.
  maxWorkers: 2,
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
  testTimeout: 20_000,
  // Sockets, timers and child processes left behind are defects: the run must end by itself.
  forceExit: false,
};

export default config;

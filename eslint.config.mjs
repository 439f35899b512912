import js from '@eslint/js';
import tseslint from 'typescript-eslint';

export default tseslint.config(
  // What is in scripts/skeletons is compiled in the apps it is copied into, with their types.
  { ignores: ['**/dist/**', 'node_modules/**', 'coverage/**', 'scripts/skeletons/**'] },
  js.configs.recommended,
  {
    files: ['**/*.ts', '**/*.tsx'],
    extends: [...tseslint.configs.strictTypeChecked],
    // Projects by name: the project service finds them itself, and takes an eighth more time.
    languageOptions: { parserOptions: { project: 'tsconfig.json', tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'inline-type-imports' }],
      // Nest modules are classes whose decorators are all they hold.
      '@typescript-eslint/no-extraneous-class': ['error', { allowWithDecorator: true }],
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true },
      ],
      // Nest declares its options as classes, and takes them as literals.
      '@typescript-eslint/no-unsafe-class-instance-assignment': 'off',
      // Async overrides and test doubles keep the signature of what they stand for.
      '@typescript-eslint/require-await': 'off',
      '@typescript-eslint/no-confusing-void-expression': [
        'error',
        { ignoreArrowShorthand: true, ignoreVoidReturningFunctions: true },
      ],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', ignoreRestSiblings: true }],
    },
  },
  {
    files: ['libs/fedecks/src/wire/*.ts', 'libs/fedecks/src/server/websocket/*.ts'],
    rules: {
      // Bytes are read where their number has been checked, which the compiler cannot know, and a check more costs.
      '@typescript-eslint/no-non-null-assertion': 'off',
    },
  },
  {
    files: ['**/*.spec.ts', '**/*.e2e-spec.ts', '**/test/**/*.ts'],
    rules: {
      // A test that reads a value it has just made says so by failing.
      '@typescript-eslint/no-non-null-assertion': 'off',
    },
  },
  {
    // Tests of types are compiled, and never run.
    files: ['**/*.tst.ts'],
    rules: {
      '@typescript-eslint/unbound-method': 'off',
      '@typescript-eslint/no-unused-expressions': 'off',
    },
  },
  {
    files: ['apps/cloud-api/console/**'],
    languageOptions: { parserOptions: { project: 'apps/cloud-api/console/tsconfig.json' } },
  },
  {
    files: ['libs/fedecks/types-test/**'],
    languageOptions: { parserOptions: { project: 'libs/fedecks/types-test/tsconfig.json' } },
  },
  {
    // Examples have no node_modules here: their types are those of the library's source and of the newest Nest.
    files: ['examples/**/*.ts'],
    languageOptions: { parserOptions: { project: 'examples/tsconfig.eslint.json' } },
  },
  {
    files: ['**/*.mjs', 'examples/**/*.js'],
    languageOptions: {
      globals: {
        process: 'readonly',
        console: 'readonly',
        Buffer: 'readonly',
        setTimeout: 'readonly',
        clearTimeout: 'readonly',
        setInterval: 'readonly',
        clearInterval: 'readonly',
        setImmediate: 'readonly',
        URL: 'readonly',
        AbortSignal: 'readonly',
        performance: 'readonly',
        fetch: 'readonly',
        TextEncoder: 'readonly',
        TextDecoder: 'readonly',
        structuredClone: 'readonly',
      },
    },
  },
);

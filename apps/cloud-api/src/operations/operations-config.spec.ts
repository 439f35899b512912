import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readOperations } from './operations-config.js';
import { isWeak, secretIn } from './secret-in.js';

const SECRET = 'webhook-secret-0123456789-abcdefg';

function problemsOf(env: NodeJS.ProcessEnv): string[] {
  const problems: string[] = [];
  readOperations(env, problems);
  return problems;
}

describe('readOperations', () => {
  it('reads all variables', () => {
    const env = {
      METRICS_PORT: '9464',
      DRAIN_DELAY_MS: '5000',
      HTTP_REQUESTS_PER_MINUTE: '60',
      LOG_FORMAT: 'text',
      OFFLINE_GRACE_MS: '1000',
      WEBHOOK_URL: 'https://example.com/hook',
      WEBHOOK_SECRET: SECRET,
    };
    expect(problemsOf(env)).toEqual([]);
    expect(readOperations(env, [])).toEqual({
      metricsPort: 9464,
      drainDelayMs: 5_000,
      requestsPerMinute: 60,
      logFormat: 'text',
      offlineGraceMs: 1_000,
      webhook: { url: 'https://example.com/hook', secret: SECRET },
    });
  });

  it.each<[string, NodeJS.ProcessEnv]>([
    ['METRICS_PORT', { METRICS_PORT: '70000' }],
    ['DRAIN_DELAY_MS', { DRAIN_DELAY_MS: '-1' }],
    ['HTTP_REQUESTS_PER_MINUTE', { HTTP_REQUESTS_PER_MINUTE: '0' }],
    ['LOG_FORMAT', { LOG_FORMAT: 'xml' }],
    ['OFFLINE_GRACE_MS', { OFFLINE_GRACE_MS: '1e3' }],
    ['WEBHOOK_URL', { WEBHOOK_URL: 'ftp://example.com', WEBHOOK_SECRET: SECRET }],
    ['WEBHOOK_URL', { WEBHOOK_URL: 'https://user:hunter2@example.com', WEBHOOK_SECRET: SECRET }],
    ['WEBHOOK_SECRET', { WEBHOOK_URL: 'https://example.com' }],
    ['WEBHOOK_SECRET', { WEBHOOK_URL: 'https://example.com', WEBHOOK_SECRET: 'hunter2' }],
    ['WEBHOOK_SECRET', { WEBHOOK_URL: 'https://example.com', WEBHOOK_SECRET: 'hunter2'.repeat(9) }],
  ])('reports what is wrong with %s, without its value', (name, env) => {
    const problems = problemsOf(env);
    expect(problems).toEqual([expect.stringMatching(new RegExp(`^${name} must be`))]);
    expect(problems.join()).not.toContain('hunter2');
  });
});

describe('secretIn', () => {
  let directory: string;
  beforeEach(() => (directory = mkdtempSync(join(tmpdir(), 'cloud-api-secret-'))));
  afterEach(() => rmSync(directory, { recursive: true }));

  it('reads a file, without the line break at its end', () => {
    const path = join(directory, 'key');
    writeFileSync(path, `${SECRET}\n`);
    expect(secretIn({ KEY_FILE: path }, 'KEY', [])).toBe(SECRET);
    const problems: string[] = [];
    secretIn({ KEY: SECRET, KEY_FILE: path }, 'KEY', problems);
    expect(problems).toEqual(['KEY and KEY_FILE are both set: remove one of them.']);
  });

  it('reports a file that cannot be read', () => {
    const problems: string[] = [];
    expect(secretIn({ KEY_FILE: join(directory, 'none') }, 'KEY', problems)).toBe('');
    expect(problems).toEqual(['KEY_FILE names a file that cloud-api cannot read (ENOENT).']);
  });
});

it.each([
  ['x'.repeat(64), true],
  ['changeme'.repeat(8), true],
  ['0123456789abcdef', true],
  ['0123456789abcdef0123456789abcdef', false],
])('tells that a secret is weak: %s', (secret, expected) => {
  expect(isWeak(secret, 32)).toBe(expected);
});

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ConfigError, readConfig } from './config.js';
import { hashPassword } from './devices/password.js';

describe('readConfig', () => {
  let directory: string;
  beforeEach(() => (directory = mkdtempSync(join(tmpdir(), 'cloud-api-config-'))));
  afterEach(() => rmSync(directory, { recursive: true }));

  function logins(text: string): string {
    const path = join(directory, 'logins.json');
    writeFileSync(path, text);
    return path;
  }

  function messageFor(env: NodeJS.ProcessEnv): string {
    try {
      readConfig(env);
    } catch (error) {
      if (error instanceof ConfigError) return error.message;
      throw error;
    }
    return '';
  }

  const secrets = ['0123456789-secret'.repeat(2), '9876543210-secret'.repeat(3)];
  const good = { FEDECKS_SECRET: secrets.join(', '), API_KEY: 'k-0123456789-key' };

  it('reads all variables, and several secrets for rotation', () => {
    const loginsFile = logins('{}');
    const env = { ...good, DEVICE_LOGINS_FILE: loginsFile, PORT: '0', HOST: '127.0.0.1', LOG_FORMAT: 'json' };
    expect(readConfig(env)).toEqual({
      host: '127.0.0.1',
      port: 0,
      secrets,
      apiKey: 'k-0123456789-key',
      loginsFile,
      database: { url: undefined, directory: './data' },
      natsServers: [],
      trustedProxies: [],
      operations: {
        metricsPort: undefined,
        drainDelayMs: 0,
        requestsPerMinute: 600,
        logFormat: 'json',
        offlineGraceMs: 60_000,
        webhook: undefined,
      },
    });
    const linked = { ...env, NATS_URL: 'nats://10.0.0.1:4222, nats://10.0.0.2:4222' };
    expect(readConfig(linked).natsServers).toEqual(['nats://10.0.0.1:4222', 'nats://10.0.0.2:4222']);
    expect(messageFor({ ...env, NATS_URL: 'http://10.0.0.1' })).toMatch(/NATS_URL must be the URLs of NATS/);
  });

  it('reads the trusted proxies', () => {
    const env = { ...good, DEVICE_LOGINS_FILE: logins('{}') };
    expect(
      readConfig({ ...env, TRUSTED_PROXIES: 'loopback, 10.0.0.0/8,2001:db8::/32' }).trustedProxies,
    ).toEqual(['loopback', '10.0.0.0/8', '2001:db8::/32']);
    expect(readConfig({ ...env, TRUSTED_PROXIES: '' }).trustedProxies).toEqual([]);
  });

  it.each(['localhost', '10.0.0.0/33', '0.0.0.0/0', '10.0.0.0/', '::1/129', 'true', '1'])(
    'rejects the trusted proxy %s',
    (proxy) => {
      const message = messageFor({
        ...good,
        DEVICE_LOGINS_FILE: logins('{}'),
        TRUSTED_PROXIES: `loopback,${proxy}`,
      });
      expect(message).toContain('- TRUSTED_PROXIES must be addresses');
    },
  );

  it('listens on port 3000 of all addresses by default', () => {
    expect(readConfig({ ...good, DEVICE_LOGINS_FILE: logins('{}') })).toMatchObject({
      host: '0.0.0.0',
      port: 3000,
    });
  });

  it('reports all missing and invalid variables at once, and how to fix them', () => {
    const message = messageFor({
      PORT: '70000',
      HOST: '',
      API_KEY: 'short',
      DATABASE_URL: 'mysql://localhost/x',
      DATA_DIR: '',
      DEVICE_LOGINS_FILE: '/nowhere/logins.json',
    });
    const names = [
      'PORT',
      'HOST',
      'FEDECKS_SECRET',
      'API_KEY',
      'DATABASE_URL',
      'DATA_DIR',
      'DEVICE_LOGINS_FILE',
    ];
    for (const name of names) {
      expect(message).toContain(`- ${name} `);
    }
    expect(message).toContain('openssl rand');
  });

  it.each<[string, NodeJS.ProcessEnv]>([
    ['FEDECKS_SECRET', { FEDECKS_SECRET: `${secrets[0]},tooshort` }],
    ['API_KEY', { API_KEY: 'tooshort' }],
    ['PORT', { PORT: 'tooshort' }],
    ['DEVICE_LOGINS_FILE', { DEVICE_LOGINS_FILE: 'tooshort' }],
  ])('does not show the value of an invalid %s', (name, env) => {
    const message = messageFor({ ...good, DEVICE_LOGINS_FILE: logins('{}'), ...env });
    expect(message).toContain(`- ${name} `);
    expect(message).not.toContain('tooshort');
  });

  it.each([
    ['is not JSON', 'hunter2', 'not JSON'],
    ['holds a list', '["hunter2"]', 'an object'],
    ['holds a password in clear', '{"bob":{"password":"hunter2","devices":["*"]}}', '"bob" is not a hash'],
    ['holds nothing for a name', '{"bob":null}', '"bob" is not a hash'],
  ])('rejects a logins file that %s, without showing it', (_what, text, expected) => {
    const message = messageFor({ ...good, DEVICE_LOGINS_FILE: logins(text) });
    expect(message).toContain(expected);
    expect(message).not.toContain('hunter2');
  });

  it('rejects a login that does not list its devices', async () => {
    const text = JSON.stringify({ bob: { password: await hashPassword('hunter2'), devices: '*' } });
    expect(messageFor({ ...good, DEVICE_LOGINS_FILE: logins(text) })).toContain('"devices" of "bob"');
  });
});

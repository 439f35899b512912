import { hostname } from 'node:os';
import { ConfigError, readConfig } from './config.js';

const url = 'wss://cloud.example.com/fedecks/websocket';

function messageFor(env: NodeJS.ProcessEnv): string {
  try {
    readConfig(env);
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  }
  return '';
}

describe('readConfig', () => {
  it('needs only the url', () => {
    expect(readConfig({ FEDECKS_URL: url })).toEqual({
      url,
      deviceId: hostname(),
      stateDir: expect.stringMatching(/fedecks-agent$/) as string,
      loginFile: undefined,
      telemetryIntervalMs: 10_000,
      startDelayMs: undefined,
    });
  });

  it('takes all that is set', () => {
    const env = {
      FEDECKS_URL: url,
      FEDECKS_DEVICE_ID: 'greenhouse-1',
      FEDECKS_STATE_DIR: '/data/agent',
      FEDECKS_LOGIN_FILE: '/data/login.json',
      FEDECKS_START_DELAY_MS: '0',
      TELEMETRY_INTERVAL_MS: '1000',
    };
    expect(readConfig(env)).toEqual({
      url,
      deviceId: 'greenhouse-1',
      stateDir: '/data/agent',
      loginFile: '/data/login.json',
      telemetryIntervalMs: 1000,
      startDelayMs: 0,
    });
  });

  it('takes a login file set to nothing as none', () => {
    expect(readConfig({ FEDECKS_URL: url, FEDECKS_LOGIN_FILE: '' }).loginFile).toBeUndefined();
  });

  it('names everything that is missing or wrong at once', () => {
    const message = messageFor({
      FEDECKS_DEVICE_ID: 'é'.repeat(63),
      FEDECKS_STATE_DIR: '',
      FEDECKS_START_DELAY_MS: '1.5',
      TELEMETRY_INTERVAL_MS: 'often',
    });
    const names = [
      'FEDECKS_URL',
      'FEDECKS_DEVICE_ID',
      'FEDECKS_STATE_DIR',
      'FEDECKS_START_DELAY_MS',
      'TELEMETRY_INTERVAL_MS',
    ];
    for (const name of names) expect(message).toContain(`- ${name} `);
  });

  it.each([
    '',
    'cloud.example.com',
    'https://cloud.example.com',
    'ws://',
    'wss://user:hunter2@cloud.example.com',
  ])('refuses the url %j, without showing it', (wrong) => {
    const message = messageFor({ FEDECKS_URL: wrong });
    expect(message).toContain('- FEDECKS_URL ');
    expect(message).not.toContain('hunter2');
  });

  it.each(['0', '999', '86400001', '-1000', '1e4', ' 1000', ''])('refuses an interval of %j', (wrong) => {
    expect(messageFor({ FEDECKS_URL: url, TELEMETRY_INTERVAL_MS: wrong })).toContain('TELEMETRY_INTERVAL_MS');
  });
});

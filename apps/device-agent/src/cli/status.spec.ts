import { type AgentStatus } from '../control/status.js';
import { table } from './status.js';

const NOW = new Date('2027-05-04T10:00:00.500Z');
const CONNECTED: AgentStatus = {
  state: 'connected',
  since: '2027-05-04T09:57:00.400Z',
  deviceId: 'greenhouse-1',
  url: 'wss://cloud.example.com/fedecks/websocket',
  lastError: null,
  nextAttemptAt: null,
  tokenHeld: true,
  tokenExpiresAt: '2027-06-01T10:00:00.000Z',
  tokenRefused: false,
  clone: null,
  lastLoss: null,
  fileLogin: null,
  outbox: null,
  settings: { telemetryIntervalMs: 60_000, logLevel: 'debug' },
  version: '0.1.0',
  pid: 42,
  startedAt: '2027-05-02T10:00:00.000Z',
};

describe('the table of the status', () => {
  it('shows one line per item, with relative times', () => {
    expect(table(CONNECTED, NOW)).toBe(
      [
        'State         connected',
        'Since         2027-05-04T09:57:00Z (3 min ago)',
        'Device id     greenhouse-1',
        'URL           wss://cloud.example.com/fedecks/websocket',
        'Last error    none',
        'Next attempt  none scheduled',
        'Token         held, expires 2027-06-01T10:00:00Z (in 28 d)',
        'Settings      telemetryIntervalMs 60000, logLevel debug',
        'Agent         0.1.0, process 42, started 2027-05-02T10:00:00Z (2 d ago)',
        '',
      ].join('\n'),
    );
  });

  it('shows the last error and the next attempt', () => {
    const waiting: AgentStatus = {
      ...CONNECTED,
      state: 'connection_scheduled',
      lastError: 'connection_lost: ended',
      nextAttemptAt: '2027-05-04T10:00:12.600Z',
      tokenExpiresAt: null,
    };
    const text = table(waiting, NOW);
    expect(text).toContain('State         connection scheduled\n');
    expect(text).toContain('Last error    connection_lost: ended\n');
    expect(text).toContain('Next attempt  2027-05-04T10:00:12Z (in 12 s)\n');
    expect(text).toContain('Token         held\n');
  });

  it('shows that another machine uses the device id, since when, and when this was last detected', () => {
    const since = '2027-05-04T09:00:00.500Z';
    const words = 'Clone         another machine uses this device id, since 2027-05-04T09:00:00Z (1 h ago)';
    const remedy = ': give each an id and a login of its own\n';
    expect(table({ ...CONNECTED, clone: { since, at: since } }, NOW)).toContain(`${words}${remedy}`);
    expect(table({ ...CONNECTED, clone: { since, at: '2027-05-04T09:57:00.400Z' } }, NOW)).toContain(
      `${words}, last noticed 2027-05-04T09:57:00Z (3 min ago)${remedy}`,
    );
  });

  it('shows how many messages may be lost with the last connection', () => {
    const at = '2027-05-04T09:57:00.400Z';
    const tableOf = (unconfirmed: number): string =>
      table({ ...CONNECTED, lastLoss: { at, unconfirmed } }, NOW);
    const when = 'with the connection that ended 2027-05-04T09:57:00Z (3 min ago)\n';
    expect(tableOf(3)).toContain(`Perhaps lost  up to 3 messages, ${when}`);
    expect(tableOf(1)).toContain(`Perhaps lost  up to 1 message, ${when}`);
    expect(tableOf(0)).not.toContain('lost');
  });

  it('shows an expired token, and one that the cloud rejects', () => {
    const expired = {
      ...CONNECTED,
      state: 'connection_scheduled',
      tokenExpiresAt: '2027-05-01T10:00:00.000Z',
    } as const;
    expect(table(expired, NOW)).toContain('Token         held, expired 2027-05-01T10:00:00Z (3 d ago)\n');
    expect(table({ ...expired, tokenRefused: true }, NOW)).toContain(
      'Token         held, but the cloud rejects it (expired or revoked): device-agent login\n',
    );
  });

  it('shows that the agent tries a login file, and why that failed', () => {
    const fileLogin = { file: '/data/login.json', nextTryAt: null, lastError: null };
    const unregistered = {
      ...CONNECTED,
      state: 'unregistered',
      tokenHeld: false,
      tokenExpiresAt: null,
    } as const;
    const trying = table({ ...unregistered, fileLogin }, NOW);
    expect(trying).toContain('Token         none\nLogin         with /data/login.json, being tried\n');
    const nextTryAt = '2027-05-04T10:00:45.500Z';
    const lastError = 'The agent cannot read the login file (ENOENT).';
    expect(table({ ...unregistered, fileLogin: { ...fileLogin, nextTryAt, lastError } }, NOW)).toContain(
      'Login         with /data/login.json, tried again 2027-05-04T10:00:45Z (in 45 s). The agent cannot read the login file (ENOENT).\n',
    );
  });

  it('shows what waits in the outbox, and what was not handled', () => {
    const losses = { full: 0, expired: 0, rejected: 0, replaced: 0, failed: 0, damaged: 0 };
    const outbox = { size: 0, bytes: 0, state: 'flowing', losses } as const;
    expect(table({ ...CONNECTED, outbox }, NOW)).toMatch(
      /\nOutbox {8}0 messages, 0 bytes, flowing\nSettings /,
    );
    const full = {
      size: 1,
      bytes: 90,
      state: 'not_supported',
      losses: { ...losses, full: 7, expired: 1 },
    } as const;
    expect(table({ ...CONNECTED, outbox: full }, NOW)).toContain(
      'Outbox        1 message, 90 bytes, not supported\nNot handled   7 full, 1 expired\n',
    );
  });

  it('shows no date from a clock that must be wrong', () => {
    const text = table(
      { ...CONNECTED, since: '1970-01-01T00:00:10.000Z', startedAt: '1970-01-01T00:00:05.000Z' },
      new Date('1970-01-01T00:03:10.000Z'),
    );
    expect(text).toContain('Since         3 min ago\n');
    expect(text).toContain('started 3 min ago\n');
    expect(text).toContain('Token         held, expires 2027-06-01T10:00:00Z\n');
    expect(text).not.toContain('1970');
  });

  it('shows how to get a token if there is none', () => {
    const text = table({ ...CONNECTED, state: 'unregistered', tokenHeld: false, tokenExpiresAt: null }, NOW);
    expect(text).toContain('Token         none: device-agent login\n');
  });
});

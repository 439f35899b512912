import { readSystemdSettings } from '../config.js';

describe('readSystemdSettings', () => {
  it('is empty without systemd', () => {
    const nothing = { notifySocket: undefined, watchdogMs: undefined, path: undefined };
    expect(readSystemdSettings({})).toEqual(nothing);
    expect(readSystemdSettings({ NOTIFY_SOCKET: '', WATCHDOG_USEC: '' })).toEqual(nothing);
  });

  it('reads the variables of systemd', () => {
    const env = {
      NOTIFY_SOCKET: '/run/systemd/notify',
      WATCHDOG_USEC: '60000000',
      WATCHDOG_PID: String(process.pid),
      PATH: '/usr/bin',
    };
    expect(readSystemdSettings(env)).toEqual({
      notifySocket: '/run/systemd/notify',
      watchdogMs: 60_000,
      path: '/usr/bin',
    });
  });

  it.each([
    { WATCHDOG_USEC: '60000000', WATCHDOG_PID: '1' },
    { WATCHDOG_USEC: '0' },
    { WATCHDOG_USEC: '-5' },
    { WATCHDOG_USEC: 'often' },
  ])('feeds no watchdog of another process, or an invalid one (%j)', (env) => {
    expect(readSystemdSettings(env).watchdogMs).toBeUndefined();
  });
});

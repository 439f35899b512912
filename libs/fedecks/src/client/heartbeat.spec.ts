import { jest } from '@jest/globals';
import { Heartbeat } from './heartbeat.js';

describe('Heartbeat (§3)', () => {
  const ping = jest.fn();
  const missed = jest.fn();
  /** What the link has done so far. */
  const link = { bytesRead: 0, unconfirmedBytes: 0 };
  let heartbeat: Heartbeat;

  const make = (pingIntervalMs: number, pongTimeoutMs: number): void => {
    heartbeat = new Heartbeat(
      { pingIntervalMs, pongTimeoutMs, minBytesPerSecond: 1_000 },
      {
        ping,
        missed,
        bytesRead: () => link.bytesRead,
        unconfirmedBytes: () => link.unconfirmedBytes,
      },
    );
    heartbeat.start();
  };

  beforeEach(() => {
    jest.useFakeTimers();
    ping.mockReset();
    missed.mockReset();
    Object.assign(link, { bytesRead: 0, unconfirmedBytes: 0 });
  });

  afterEach(() => {
    heartbeat.stop();
    expect(jest.getTimerCount()).toBe(0);
    jest.useRealTimers();
  });

  it('pings at every interval', () => {
    make(1_000, 10_000);
    jest.advanceTimersByTime(999);
    expect(ping).not.toHaveBeenCalled();
    jest.advanceTimersByTime(2_001);
    expect(ping).toHaveBeenCalledTimes(3);
  });

  it('misses a heartbeat when nothing has come within the timeout of a ping, and says so once', () => {
    make(1_000, 500);
    jest.advanceTimersByTime(1_499);
    expect(missed).not.toHaveBeenCalled();
    jest.advanceTimersByTime(2);
    expect(missed).toHaveBeenCalledTimes(1);
    jest.advanceTimersByTime(10_000);
    expect(missed).toHaveBeenCalledTimes(1);
    expect(ping).toHaveBeenCalledTimes(1);
  });

  it('counts from the oldest ping that nothing has followed, not from the newest', () => {
    make(1_000, 2_500);
    jest.advanceTimersByTime(3_499);
    expect(ping).toHaveBeenCalledTimes(3);
    expect(missed).not.toHaveBeenCalled();
    jest.advanceTimersByTime(2);
    expect(missed).toHaveBeenCalledTimes(1);
  });

  it('lives as long as some frame follows every ping', () => {
    make(1_000, 1_000);
    for (let second = 0; second < 100; second++) {
      jest.advanceTimersByTime(1_000);
      heartbeat.alive();
    }
    expect(missed).not.toHaveBeenCalled();
    expect(ping).toHaveBeenCalledTimes(100);
  });

  it('does not take a frame from before the ping for an answer to it', () => {
    make(1_000, 500);
    jest.advanceTimersByTime(900);
    heartbeat.alive();
    jest.advanceTimersByTime(601);
    expect(missed).toHaveBeenCalledTimes(1);
  });

  it('takes its verdict back when a frame was waiting to be read, as after the device was suspended', async () => {
    jest.useFakeTimers({ doNotFake: ['setImmediate', 'clearImmediate'] });
    make(1_000, 500);
    jest.advanceTimersByTime(1_500);
    // Past the deadline, and now the event loop comes to the frames, before it comes to immediates.
    heartbeat.alive();
    await new Promise((resolve) => setImmediate(resolve));
    expect(missed).not.toHaveBeenCalled();

    jest.advanceTimersByTime(1_500);
    await new Promise((resolve) => setImmediate(resolve));
    expect(missed).toHaveBeenCalledTimes(1);
  });

  /** Passes time, in which bytes of a frame come that does not end. */
  function drip(ms: number, bytesPerMs: number): void {
    for (let passed = 0; passed < ms; passed += 100) {
      link.bytesRead += 100 * bytesPerMs;
      jest.advanceTimersByTime(100);
    }
  }

  it('lives while a large frame comes over a slow link', () => {
    make(19_000, 19_000);
    drip(600_000, 3);
    expect(missed).not.toHaveBeenCalled();
  });

  it('misses a heartbeat when a frame comes slower than a byte per millisecond', () => {
    make(19_000, 19_000);
    drip(38_000, 0.5);
    expect(missed).not.toHaveBeenCalled();
    drip(38_000, 0.5);
    expect(missed).toHaveBeenCalledTimes(1);
  });

  it('misses a heartbeat within two timeouts when the bytes of a frame stop coming', () => {
    make(1_000, 1_000);
    drip(10_000, 100);
    expect(missed).not.toHaveBeenCalled();
    jest.advanceTimersByTime(2_001);
    expect(missed).toHaveBeenCalledTimes(1);
  });

  it('waits a millisecond longer for each byte that was on its way before the ping', () => {
    link.unconfirmedBytes = 200_000;
    make(19_000, 19_000);
    jest.advanceTimersByTime(19_000 + 19_000 + 199_000);
    expect(missed).not.toHaveBeenCalled();
    jest.advanceTimersByTime(20_001);
    expect(missed).toHaveBeenCalledTimes(1);
  });

  it('does nothing any more when stopped', () => {
    make(1_000, 500);
    jest.advanceTimersByTime(1_000);
    heartbeat.stop();
    jest.advanceTimersByTime(10_000);
    expect(ping).toHaveBeenCalledTimes(1);
    expect(missed).not.toHaveBeenCalled();
  });

  it('starts anew without what was before', () => {
    make(1_000, 500);
    jest.advanceTimersByTime(1_000);
    heartbeat.start();
    jest.advanceTimersByTime(999);
    expect(missed).not.toHaveBeenCalled();
    expect(ping).toHaveBeenCalledTimes(1);
  });
});

import { jest } from '@jest/globals';
import { Heartbeat } from './heartbeat.js';

describe('Heartbeat (§3)', () => {
  const ping = jest.fn();
  const missed = jest.fn();
  /** The recorded calls. */
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

  it('times out, once, when nothing arrives within the timeout of a ping', () => {
    make(1_000, 500);
    jest.advanceTimersByTime(1_499);
    expect(missed).not.toHaveBeenCalled();
    jest.advanceTimersByTime(2);
    expect(missed).toHaveBeenCalledTimes(1);
    jest.advanceTimersByTime(10_000);
    expect(missed).toHaveBeenCalledTimes(1);
    expect(ping).toHaveBeenCalledTimes(1);
  });

  it('measures from the oldest unanswered ping, not from the newest', () => {
    make(1_000, 2_500);
    jest.advanceTimersByTime(3_499);
    expect(ping).toHaveBeenCalledTimes(3);
    expect(missed).not.toHaveBeenCalled();
    jest.advanceTimersByTime(2);
    expect(missed).toHaveBeenCalledTimes(1);
  });

  it('stays alive as long as any frame follows every ping', () => {
    make(1_000, 1_000);
    for (let second = 0; second < 100; second++) {
      jest.advanceTimersByTime(1_000);
      heartbeat.alive();
    }
    expect(missed).not.toHaveBeenCalled();
    expect(ping).toHaveBeenCalledTimes(100);
  });

  it('does not treat a frame from before the ping as an answer', () => {
    make(1_000, 500);
    jest.advanceTimersByTime(900);
    heartbeat.alive();
    jest.advanceTimersByTime(601);
    expect(missed).toHaveBeenCalledTimes(1);
  });

  it('stays alive if a frame was waiting to be read, as after the device was suspended', async () => {
    jest.useFakeTimers({ doNotFake: ['setImmediate', 'clearImmediate'] });
    make(1_000, 500);
    jest.advanceTimersByTime(1_500);
    // The deadline has passed. The event loop reads frames before it runs immediates.
    heartbeat.alive();
    await new Promise((resolve) => setImmediate(resolve));
    expect(missed).not.toHaveBeenCalled();

    jest.advanceTimersByTime(1_500);
    await new Promise((resolve) => setImmediate(resolve));
    expect(missed).toHaveBeenCalledTimes(1);
  });

  /** Advances time while bytes of an incomplete frame arrive. */
  function drip(ms: number, bytesPerMs: number): void {
    for (let passed = 0; passed < ms; passed += 100) {
      link.bytesRead += 100 * bytesPerMs;
      jest.advanceTimersByTime(100);
    }
  }

  it('stays alive while a large frame arrives over a slow link', () => {
    make(19_000, 19_000);
    drip(600_000, 3);
    expect(missed).not.toHaveBeenCalled();
  });

  it('times out when a frame arrives slower than a byte per millisecond', () => {
    make(19_000, 19_000);
    drip(38_000, 0.5);
    expect(missed).not.toHaveBeenCalled();
    drip(38_000, 0.5);
    expect(missed).toHaveBeenCalledTimes(1);
  });

  it('times out within two timeouts when the bytes of a frame stop arriving', () => {
    make(1_000, 1_000);
    drip(10_000, 100);
    expect(missed).not.toHaveBeenCalled();
    jest.advanceTimersByTime(2_001);
    expect(missed).toHaveBeenCalledTimes(1);
  });

  it('waits one millisecond longer for each byte that was queued before the ping', () => {
    link.unconfirmedBytes = 200_000;
    make(19_000, 19_000);
    jest.advanceTimersByTime(19_000 + 19_000 + 199_000);
    expect(missed).not.toHaveBeenCalled();
    jest.advanceTimersByTime(20_001);
    expect(missed).toHaveBeenCalledTimes(1);
  });

  it('does nothing after stop()', () => {
    make(1_000, 500);
    jest.advanceTimersByTime(1_000);
    heartbeat.stop();
    jest.advanceTimersByTime(10_000);
    expect(ping).toHaveBeenCalledTimes(1);
    expect(missed).not.toHaveBeenCalled();
  });

  it('restarts without its previous state', () => {
    make(1_000, 500);
    jest.advanceTimersByTime(1_000);
    heartbeat.start();
    jest.advanceTimersByTime(999);
    expect(missed).not.toHaveBeenCalled();
    expect(ping).toHaveBeenCalledTimes(1);
  });
});

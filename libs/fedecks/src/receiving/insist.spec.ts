import { jest } from '@jest/globals';
import { insist } from './insist.js';

describe('insist', () => {
  let failures: string[];
  const onFailure = (error: unknown): unknown => failures.push((error as Error).message);
  beforeEach(() => {
    failures = [];
    jest.useFakeTimers();
  });
  afterEach(() => {
    jest.useRealTimers();
  });

  it('calls again after 100 ms, 200 ms ... when the call throws', async () => {
    let calls = 0;
    const call = (): number => {
      if (++calls < 3) throw new Error(`call ${calls}`);
      return calls;
    };
    const answer = insist(call, () => true, onFailure);
    await jest.advanceTimersByTimeAsync(100);
    expect(calls).toBe(2);
    await jest.advanceTimersByTimeAsync(199);
    expect(calls).toBe(2);
    await jest.advanceTimersByTimeAsync(1);
    await expect(answer).resolves.toBe(3);
    expect(failures).toEqual(['call 1', 'call 2']);
  });

  it('waits no longer than 10 s between two calls', async () => {
    let calls = 0;
    const call = (): Promise<never> => Promise.reject(new Error(String(++calls)));
    void insist(call, () => true, onFailure);
    await jest.advanceTimersByTimeAsync(60_000);
    const before = calls;
    await jest.advanceTimersByTimeAsync(10_000);
    expect(calls).toBe(before + 1);
  });

  it('calls again when a call hangs for 5 s', async () => {
    let calls = 0;
    const call = (): Promise<number> =>
      ++calls === 1 ? new Promise(() => undefined) : Promise.resolve(calls);
    const answer = insist(call, () => true, onFailure);
    await jest.advanceTimersByTimeAsync(5_100);
    await expect(answer).resolves.toBe(2);
    expect(failures).toEqual(['it has not answered within 5000 ms']);
    expect(jest.getTimerCount()).toBe(0);
  });

  it('gives up when the answer is not wanted any more', async () => {
    let isWanted = true;
    const answer = insist(
      () => Promise.reject(new Error('no')),
      () => isWanted,
      onFailure,
    );
    await jest.advanceTimersByTimeAsync(50);
    isWanted = false;
    await jest.advanceTimersByTimeAsync(50);
    await expect(answer).resolves.toBeUndefined();
    expect(failures).toEqual(['no']);
  });
});

import { ServiceUnavailableException } from '@nestjs/common';
import { jest } from '@jest/globals';
import { LoginQueue } from './login-queue.js';

describe('LoginQueue', () => {
  let queue: LoginQueue;
  /** The names of the started logins, in order. */
  let started: string[];
  /** Ends the oldest login in progress. */
  let finishers: (() => void)[];
  let refused: string[];

  beforeEach(() => {
    jest.useFakeTimers();
    [queue, started, finishers, refused] = [new LoginQueue(), [], [], []];
  });
  afterEach(() => jest.useRealTimers());

  function login(network: string, name: string, signal = new AbortController().signal): void {
    const work = (): Promise<void> => {
      started.push(name);
      return new Promise((resolve) => finishers.push(resolve));
    };
    queue.run(network, signal, work).catch((error: unknown) => {
      expect(error).toBeInstanceOf(ServiceUnavailableException);
      refused.push(name);
    });
  }

  async function finish(count: number): Promise<void> {
    for (let done = 0; done < count; done++) {
      finishers.shift()?.();
      await settle();
    }
  }

  async function settle(): Promise<void> {
    for (let turn = 0; turn < 5; turn++) await Promise.resolve();
  }

  const names = (prefix: string, count: number): string[] =>
    Array.from({ length: count }, (_, index) => `${prefix}${index}`);

  it('processes two logins at a time, in order', async () => {
    for (const name of names('a', 5)) login('a', name);
    expect(started).toEqual(['a0', 'a1']);
    await finish(5);
    expect(started).toEqual(names('a', 5));
  });

  it('does not start an aborted login', async () => {
    const gone = new AbortController();
    for (const name of names('a', 2)) login('a', name);
    login('a', 'gone', gone.signal);
    login('a', 'a2');
    gone.abort();
    await finish(3);
    expect([started, refused]).toEqual([names('a', 3), ['gone']]);
  });

  it('returns the result of the work, and rejects with its error', async () => {
    const { signal } = new AbortController();
    await expect(queue.run('a', signal, async () => 7)).resolves.toBe(7);
    const failure = new Error('the disk is gone');
    await expect(queue.run('a', signal, () => Promise.reject(failure))).rejects.toBe(failure);
    await expect(queue.run('a', signal, async () => 8)).resolves.toBe(8);
  });

  it('alternates between networks', async () => {
    for (const name of names('a', 6)) login('a', name);
    for (const name of names('b', 2)) login('b', name);
    await finish(8);
    expect(started).toEqual(['a0', 'a1', 'a2', 'b0', 'a3', 'b1', 'a4', 'a5']);
  });

  it('rejects a login when 100 of its network are queued', async () => {
    for (const name of names('a', 104)) login('a', name);
    await settle();
    expect(refused).toEqual(['a102', 'a103']);
  });

  it('makes room for another network by rejecting the newest login of the busiest one', async () => {
    for (const name of names('a', 102)) login('a', name);
    login('b', 'b0');
    await settle();
    expect(refused).toEqual(['a101']);
    await finish(3);
    expect(started).toContain('b0');
  });

  it('makes no room when each of 100 networks has one login', async () => {
    for (const name of names('a', 2)) login('a', name);
    for (const name of names('n', 100)) login(name, name);
    login('b', 'b0');
    await settle();
    expect(refused).toEqual(['b0']);
  });

  it('does not start a login that has waited for 10 s', async () => {
    for (const name of names('a', 3)) login('a', name);
    jest.advanceTimersByTime(9_999);
    login('a', 'young');
    jest.advanceTimersByTime(1);
    await finish(1);
    expect(refused).toEqual(['a2']);
    expect(started).toEqual(['a0', 'a1', 'young']);
  });
});

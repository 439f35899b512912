import { jest } from '@jest/globals';
import { drain, type Drainable } from './drain.js';

/** Records when it started to drain and when it was closed, in milliseconds since the start. */
class Device implements Drainable {
  toldAt: number | undefined;
  closedAt: number | undefined;
  private finish: (() => void) | undefined;

  constructor(
    private readonly busy = false,
    /** How long its @OnDisconnected takes. */
    private readonly endingMs = 0,
  ) {}

  async drain(): Promise<void> {
    this.toldAt = Date.now();
    if (this.busy) await new Promise<void>((resolve) => (this.finish = resolve));
    this.drainNow();
    if (this.endingMs > 0) await new Promise((resolve) => setTimeout(resolve, this.endingMs));
  }

  async gone(): Promise<void> {
    // Closed at once.
  }

  drainNow(): void {
    this.closedAt ??= Date.now();
  }

  handlersFinish(): void {
    this.finish?.();
  }
}

function devices(count: number): Device[] {
  return Array.from({ length: count }, () => new Device());
}

describe('drain', () => {
  beforeEach(() => jest.useFakeTimers({ now: 0 }));
  afterEach(() => jest.useRealTimers());

  async function finish(drained: Promise<void>, withinMs: number): Promise<void> {
    await jest.advanceTimersByTimeAsync(withinMs);
    await drained;
    expect(jest.getTimerCount()).toBe(0);
  }

  it('ends at once without devices', async () => {
    await finish(drain([], 10_000), 0);
  });

  it('closes ten devices at once, and does not use up its time', async () => {
    const few = devices(10);
    await finish(drain(few, 10_000), 0);
    expect(few.every(({ closedAt }) => closedAt === 0)).toBe(true);
  });

  it('closes many devices in stages of 100 ms, evenly over its time', async () => {
    const many = devices(1_000);
    await finish(drain(many, 1_000), 1_000);
    const stages = new Map<number | undefined, number>();
    for (const { closedAt } of many) stages.set(closedAt, (stages.get(closedAt) ?? 0) + 1);
    expect([...stages.keys()]).toEqual([0, 100, 200, 300, 400, 500, 600, 700, 800, 900]);
    expect([...stages.values()]).toEqual(new Array(10).fill(100));
  });

  it('waits for handlers in progress', async () => {
    const busy = new Device(true);
    const drained = drain([busy], 10_000);
    await jest.advanceTimersByTimeAsync(4_000);
    expect(busy.toldAt).toBe(0);
    expect(busy.closedAt).toBeUndefined();
    busy.handlersFinish();
    await finish(drained, 0);
    expect(busy.closedAt).toBe(4_000);
  });

  it('closes all remaining devices when its time is over', async () => {
    const busy = new Device(true);
    const drained = drain([busy, ...devices(3)], 2_000);
    await jest.advanceTimersByTimeAsync(2_000);
    expect(busy.closedAt).toBe(2_000);
    busy.handlersFinish();
    await finish(drained, 0);
  });

  it('then waits for @OnDisconnected, but for at most 1,200 ms', async () => {
    let isDone = false;
    const quick = new Device(true, 1_000);
    const drained = drain([quick, new Device(true)], 2_000).then(() => (isDone = true));
    await jest.advanceTimersByTimeAsync(2_000);
    quick.handlersFinish();
    await jest.advanceTimersByTimeAsync(1_199);
    expect(isDone).toBe(false);
    await jest.advanceTimersByTimeAsync(1);
    await drained;
  });

  it('keeps to its time when stages are slow, and when the wall clock is set', async () => {
    const slow = Array.from({ length: 1_000 }, () => new Device());
    const [first] = slow;
    first!.drain = async () => {
      jest.advanceTimersByTime(350);
      first!.drainNow();
    };
    const drained = drain(slow, 1_000);
    jest.setSystemTime(-3_600_000);
    await jest.advanceTimersByTimeAsync(650);
    await drained;
    expect(slow.every(({ closedAt }) => closedAt !== undefined)).toBe(true);
  });

  it('closes all devices at once with a time of 0', async () => {
    const all = [new Device(true), ...devices(5_000)];
    const drained = drain(all, 0);
    await jest.advanceTimersByTimeAsync(1);
    expect(all.every(({ closedAt }) => (closedAt ?? Infinity) <= 1)).toBe(true);
    all[0]?.handlersFinish();
    await finish(drained, 0);
  });
});

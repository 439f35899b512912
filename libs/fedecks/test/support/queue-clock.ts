/**
 * A clock and timers for several machines in one process. A timer runs on the machine on which it was set, and the time of
 * day is that of the machine that runs.
 *
 *     const clock = new SimulatedClock();
 *     const restore = clock.install();
 *     await clock.run(node, () => node.start());
 *     await clock.advance(1_000);
 *     restore();
 */
import { jest } from '@jest/globals';

export interface Machine {
  readonly name: string;
  readonly isAlive: boolean;
  /** How far its clock is ahead, in ms. */
  readonly aheadMs: number;
}

interface Timer {
  readonly machine: Machine;
  readonly atMs: number;
  readonly run: () => void;
}

/** When a history begins, in ms since 1970. */
const BEGIN_MS = Date.UTC(2026, 0, 1);

export class SimulatedClock {
  /** Since the history began. */
  nowMs = 0;
  private machine: Machine = { name: 'nobody', isAlive: true, aheadMs: 0 };
  private readonly timers = new Set<Timer>();

  /** @returns what gives the real ones back. */
  install(): () => void {
    const spies = [
      jest.spyOn(Date, 'now').mockImplementation(() => this.dateOf(this.machine.aheadMs)),
      jest.spyOn(performance, 'now').mockImplementation(() => this.nowMs),
      jest
        .spyOn(globalThis, 'setTimeout')
        .mockImplementation(((run: () => void, ms = 0) => this.set(run, ms)) as unknown as typeof setTimeout),
      jest.spyOn(globalThis, 'clearTimeout').mockImplementation((timer) => {
        this.timers.delete(timer as unknown as Timer);
      }),
    ];
    return () => {
      for (const spy of spies) spy.mockRestore();
    };
  }

  /** The time of day, by a clock that is so many ms ahead. */
  dateOf(aheadMs: number): number {
    return Math.floor(BEGIN_MS + this.nowMs) + aheadMs;
  }

  /** Runs code of a machine, and all that follows from it at once. */
  async run(machine: Machine, code: () => void): Promise<void> {
    this.machine = machine;
    code();
    await new Promise((resolve) => setImmediate(resolve));
  }

  /** Lets some time pass, but no more than until the next timer, which fires. */
  async advance(ms: number): Promise<void> {
    const next = this.next();
    if (!next || next.atMs > this.nowMs + ms) {
      this.nowMs += ms;
      return;
    }
    this.timers.delete(next);
    this.nowMs = Math.max(this.nowMs, next.atMs);
    await this.run(next.machine, next.run);
  }

  private next(): Timer | undefined {
    let next: Timer | undefined;
    for (const timer of this.timers) {
      if (!timer.machine.isAlive) this.timers.delete(timer);
      else if (!next || timer.atMs < next.atMs) next = timer;
    }
    return next;
  }

  private set(run: () => void, ms: number): Timer & { unref(): unknown } {
    const timer = { machine: this.machine, atMs: this.nowMs + ms, run, unref: () => timer };
    this.timers.add(timer);
    return timer;
  }
}

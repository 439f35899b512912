/**
 * Simulated time: runs as fast as the machine allows, in an order that depends on a seed. While `main` runs, timers, clocks
 * and `Math.random` are the simulation's: when nothing is left to do, time jumps to the next timer.
 *
 *     await simulate(42, async (simulation) => {
 *       const node = simulation.process();
 *       node.run(() => setInterval(tick, 1_000));
 *       await new Promise((resolve) => setTimeout(resolve, 3_600_000));    // returns at once
 *       node.pause();                                                      // as SIGSTOP: holds its timers and reads
 *     });
 *
 * It simulates timers, promises and `nextTick` only: no sockets, files or other processes.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { seeded } from './seeded.js';

const EPOCH_MS = 1_800_000_000_000;
/** The maximum simulated time: a test that waits longer never ends. */
const MAX_MS = 24 * 3_600_000;

const immediate = globalThis.setImmediate;

interface Event {
  at: number;
  order: number;
  readonly process: SimulatedProcess | undefined;
  readonly kind: 'timer' | 'io';
  readonly intervalMs: number | undefined;
  readonly happen: () => void;
  isCancelled: boolean;
}

/** A simulated process with its own clocks, which can be paused. It owns all work started inside `run`. */
export class SimulatedProcess {
  /** The offset of its wall clock; negative if it is behind. */
  clockAheadMs = 0;
  /** The start value of its monotonic clock: unrelated between processes. */
  readonly startedAtMs: number;
  private waiting: Event[] | undefined;

  constructor(private readonly simulation: Simulation) {
    this.startedAtMs = simulation.random() * 1_000_000;
  }

  run<T>(work: () => T): T {
    return this.simulation.current.run(this, work);
  }

  /** Pauses it, as SIGSTOP does: its clocks keep running. */
  pause(): void {
    this.waiting ??= [];
  }

  /** Resumes it. The seed decides whether it first handles received messages or due timers. */
  resume(): void {
    const waiting = this.waiting ?? [];
    this.waiting = undefined;
    const first = this.simulation.random() < 0.5 ? 'io' : 'timer';
    for (const kind of [first, first === 'io' ? 'timer' : 'io'])
      for (const event of waiting) if (event.kind === kind) this.simulation.repeat(event);
  }

  /** Whether the event has to wait until this process resumes. */
  holds(event: Event): boolean {
    this.waiting?.push(event);
    return this.waiting !== undefined;
  }
}

export class Simulation {
  readonly current = new AsyncLocalStorage<SimulatedProcess>();
  readonly random: () => number;
  /** Simulated milliseconds since the start. */
  now = 0;
  private readonly queue: Event[] = [];
  private count = 0;

  constructor(seed: number) {
    this.random = seeded(seed);
  }

  process(): SimulatedProcess {
    return new SimulatedProcess(this);
  }

  /** Delivers to a process after a delay, as a read from a socket. */
  arrive(process: SimulatedProcess | undefined, afterMs: number, happen: () => void): void {
    this.schedule(process, 'io', afterMs, undefined, happen);
  }

  /** Runs a held event now. */
  repeat(event: Event): void {
    event.at = this.now;
    event.order = ++this.count;
    this.push(event);
  }

  /** Runs until `main` has finished. */
  async run<T>(main: () => Promise<T>): Promise<T> {
    const restore = this.install();
    try {
      const state = { isDone: false };
      const result = main().finally(() => (state.isDone = true));
      // Awaited below: prevents an unhandled rejection until then.
      result.catch(() => undefined);
      await settled();
      while (!state.isDone) {
        const event = this.pop();
        if (!event) throw new Error('the simulation waits for something that no timer brings about');
        if (event.isCancelled) continue;
        this.now = Math.max(this.now, event.at);
        if (this.now > MAX_MS)
          throw new Error(`the simulation did not end within ${MAX_MS} ms of its own time`);
        if (event.process?.holds(event)) continue;
        if (event.intervalMs !== undefined) this.rearm(event, event.intervalMs);
        this.happen(event);
        await settled();
      }
      return await result;
    } finally {
      restore();
      // Each active AsyncLocalStorage slows down every promise of the process.
      this.current.disable();
    }
  }

  private happen({ process, happen }: Event): void {
    if (process) process.run(happen);
    else happen();
  }

  private schedule(
    process: SimulatedProcess | undefined,
    kind: Event['kind'],
    afterMs: number,
    intervalMs: number | undefined,
    happen: () => void,
  ): Event {
    const event: Event = {
      at: this.now + Math.max(0, afterMs),
      order: ++this.count,
      process,
      kind,
      intervalMs,
      happen,
      isCancelled: false,
    };
    this.push(event);
    return event;
  }

  private rearm(event: Event, intervalMs: number): void {
    // The same object, so that its holder can cancel it.
    queueMicrotask(() => {
      event.at = this.now + intervalMs;
      if (!event.isCancelled) this.push(event);
    });
  }

  /** Replaces clocks and timers; the returned function restores them. */
  private install(): () => void {
    const timer = (happen: () => void, ms: number, isInterval: boolean): object => {
      const afterMs = Math.max(1, ms);
      const process = this.current.getStore();
      const event = this.schedule(process, 'timer', afterMs, isInterval ? afterMs : undefined, happen);
      return new SimulatedTimer(event);
    };
    const clear = (timer?: unknown): void => {
      if (timer instanceof SimulatedTimer) timer.event.isCancelled = true;
    };
    const simulated = {
      setTimeout: (callback: (...args: unknown[]) => void, ms = 0, ...args: unknown[]) =>
        timer(() => callback(...args), ms, false),
      setInterval: (callback: (...args: unknown[]) => void, ms = 0, ...args: unknown[]) =>
        timer(() => callback(...args), ms, true),
      clearTimeout: clear,
      clearInterval: clear,
      performance: { now: () => this.now + (this.current.getStore()?.startedAtMs ?? 0) },
    };
    const names = Object.keys(simulated);
    const real = names.map((name) => Object.getOwnPropertyDescriptor(globalThis, name)!);
    for (const [name, value] of Object.entries(simulated))
      Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
    const { now } = Date;
    const { random } = Math;
    Date.now = () => Math.floor(EPOCH_MS + this.now + (this.current.getStore()?.clockAheadMs ?? 0));
    Math.random = this.random;
    return () => {
      for (const [index, name] of names.entries()) Object.defineProperty(globalThis, name, real[index]!);
      Date.now = now;
      Math.random = random;
    };
  }

  // --- A binary heap, by time and then by order ----------------------------------------------------------------

  private push(event: Event): void {
    const { queue } = this;
    let index = queue.length;
    queue.push(event);
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (!isBefore(event, queue[parent]!)) break;
      queue[index] = queue[parent]!;
      index = parent;
    }
    queue[index] = event;
  }

  private pop(): Event | undefined {
    const { queue } = this;
    const [first] = queue;
    const last = queue.pop();
    if (!last || queue.length === 0) return first;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= queue.length) break;
      if (child + 1 < queue.length && isBefore(queue[child + 1]!, queue[child]!)) child++;
      if (!isBefore(queue[child]!, last)) break;
      queue[index] = queue[child]!;
      index = child;
    }
    queue[index] = last;
    return first;
  }
}

class SimulatedTimer {
  constructor(readonly event: Event) {}

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }
}

function isBefore(one: Event, other: Event): boolean {
  return one.at < other.at || (one.at === other.at && one.order < other.order);
}

/** Resolves when no microtask or immediate is left. */
function settled(): Promise<void> {
  return new Promise((resolve) => immediate(resolve));
}

export async function simulate<T>(seed: number, main: (simulation: Simulation) => Promise<T>): Promise<T> {
  const simulation = new Simulation(seed);
  return simulation.run(() => main(simulation));
}

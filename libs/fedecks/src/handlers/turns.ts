/** Someone who may have more work than fits into one turn of the event loop. */
export interface Worker {
  /** Whether its next piece of work may take long: others go first. */
  readonly heavy: boolean;
  /** Works for one slice; calls {@link Turns.add} again if work is left that could be done now. Must not throw. */
  work(): void;
}

/** How long, in ms, a worker works at a stretch. One piece of work is never interrupted, so it may take longer. */
export const SLICE_MS = 0.5;

/** How long, in ms, workers may work before what else waits for the event loop is served. */
const TURN_MS = 8;

/**
 * Shares the turns of the event loop. Whoever has used up a slice waits here for the next turn, behind those that
 * came before; and once a turn is used up, everybody does. Light work is served first, so that a device with small
 * messages does not wait behind others with large ones.
 */
export class Turns {
  private light: Worker[] = [];
  private heavy: Worker[] = [];
  private spentMs = 0;
  private scheduled = false;
  private serving = false;

  constructor(private readonly now: () => number = () => performance.now()) {}

  /** Whether this turn is used up: what arrives waits for the next one. */
  get used(): boolean {
    return this.spentMs >= TURN_MS;
  }

  /**
   * Whether heavy work has to queue: behind other heavy work, and if it is found in a turn of light work, in which
   * each such piece would hold up all light work behind it.
   */
  get busy(): boolean {
    return this.serving || this.heavy.length > 0;
  }

  /** Counts time that was used in this turn. Very little does not count: most turns have only that. */
  spend(ms: number): void {
    if (ms < SLICE_MS / 4) return;
    this.spentMs += ms;
    this.schedule();
  }

  /** Gives a worker a slice of a later turn. It must not be added twice. */
  add(worker: Worker): void {
    (worker.heavy ? this.heavy : this.light).push(worker);
    this.schedule();
  }

  private schedule(): void {
    if (this.scheduled) return;
    this.scheduled = true;
    setImmediate(() => this.serve());
  }

  private serve(): void {
    this.scheduled = false;
    this.spentMs = 0;
    const until = this.now() + TURN_MS;
    // Those that add themselves again meanwhile are in the next turn.
    const { light, heavy } = this;
    this.light = [];
    this.heavy = [];
    this.serving = true;
    try {
      this.workOff(light, 0, until);
      // At least one, or heavy work would never be done beside much light work.
      this.workOff(heavy, 1, until);
    } finally {
      this.serving = false;
      // What was spent in here does not hold up what arrives next.
      this.spentMs = 0;
      // Also after one that has thrown: it must not take the others with it.
      this.light = [...light, ...this.light];
      this.heavy = [...heavy, ...this.heavy];
      if (this.light.length + this.heavy.length > 0) this.schedule();
    }
  }

  /** Serves workers, at least so many, and takes them out. */
  private workOff(workers: Worker[], atLeast: number, until: number): void {
    let served = 0;
    try {
      while (served < workers.length && (served < atLeast || this.now() < until)) workers[served++]?.work();
    } finally {
      workers.splice(0, served);
    }
  }
}

/** The turns of this process. */
export const turns = new Turns();

/**
 * The priority. `light` work comes first, so that small messages do not wait behind large ones. Then `bulk`: much work in
 * small pieces. Then `heavy`: one piece may take long.
 */
export type Weight = 'light' | 'bulk' | 'heavy';

/** May have more work than fits into one turn of the event loop. */
export interface Worker {
  /** The weight of its next piece of work. */
  readonly weight: Weight;
  /** Works for one slice. Calls {@link Turns.add} again if work is left. Must not throw. */
  work(): void;
}

/** The maximum time, in ms, of one slice. A piece of work is never interrupted, so a slice may take longer. */
export const SLICE_MS = 0.5;

/** The duration of a turn, in ms, before it yields to the event loop. */
const TURN_MS = 8;

/**
 * A fair scheduler for event loop turns. A worker that has used up its slice waits for the next turn, behind earlier
 * workers of its weight. When a turn is used up, all workers wait.
 */
export class Turns {
  private waiting: Record<Weight, Worker[]> = { light: [], bulk: [], heavy: [] };
  /** When the turn began; undefined before the first call in a turn. */
  private startedAt: number | undefined;
  private scheduled = false;
  private serving = false;

  constructor(private readonly now: () => number = () => performance.now()) {}

  /**
   * Whether heavy work must queue: behind other heavy work, and during a turn, where each heavy piece would delay the
   * lighter work behind it.
   */
  get busy(): boolean {
    return this.serving || this.waiting.heavy.length > 0;
  }

  /**
   * Whether this turn is used up, so that new work waits for the next one. A turn begins at the first call. All time since
   * then counts, including promises and Node itself: the event loop continues only afterwards, and never idles within a
   * turn.
   */
  isUsed(now = this.now()): boolean {
    if (this.startedAt === undefined) {
      this.startedAt = now;
      this.schedule();
    }
    return now - this.startedAt >= TURN_MS;
  }

  /** Schedules a worker for a slice of a later turn. Do not add it twice. */
  add(worker: Worker): void {
    this.waiting[worker.weight].push(worker);
    this.schedule();
  }

  /** Runs bulk work now, or in a later turn if this one is used up. The work must not throw. */
  run(work: () => void): void {
    if (this.isUsed()) this.add({ weight: 'bulk', work });
    else work();
  }

  private schedule(): void {
    if (this.scheduled) return;
    this.scheduled = true;
    setImmediate(() => this.serve());
  }

  private serve(): void {
    this.scheduled = false;
    const until = (this.startedAt = this.now()) + TURN_MS;
    // Workers that add themselves again belong to the next turn.
    const { light, bulk, heavy } = this.waiting;
    this.waiting = { light: [], bulk: [], heavy: [] };
    this.serving = true;
    try {
      this.workOff(light, 0, until);
      // At least one each, so that light work does not starve them.
      this.workOff(bulk, 1, until);
      this.workOff(heavy, 1, until);
    } finally {
      this.serving = false;
      // The next work starts a new turn.
      this.startedAt = undefined;
      // Even if a worker has thrown: the others must still run.
      const added = this.waiting;
      this.waiting = {
        light: [...light, ...added.light],
        bulk: [...bulk, ...added.bulk],
        heavy: [...heavy, ...added.heavy],
      };
      if (Object.values(this.waiting).some(({ length }) => length > 0)) this.schedule();
    }
  }

  /** Runs and removes workers: at least `atLeast`, then until the time is used up. */
  private workOff(workers: Worker[], atLeast: number, until: number): void {
    let served = 0;
    try {
      while (served < workers.length && (served < atLeast || this.now() < until)) workers[served++]?.work();
    } finally {
      workers.splice(0, served);
    }
  }
}

/** The scheduler of this process. */
export const turns = new Turns();

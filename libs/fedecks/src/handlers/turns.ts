/**
 * The priority: `light` work first, so that small messages do not wait behind large ones;
 * then `bulk`, much work that can be done bit by bit; then `heavy` work, one piece of which may take long.
 */
export type Weight = 'light' | 'bulk' | 'heavy';

/** Someone who may have more work than fits into one turn of the event loop. */
export interface Worker {
  /** Of its next piece of work. */
  readonly weight: Weight;
  /** Works for one slice; calls {@link Turns.add} again if work is left that could be done now. Must not throw. */
  work(): void;
}

/** How long, in ms, a worker works at a stretch. One piece of work is never interrupted, so it may take longer. */
export const SLICE_MS = 0.5;

/** The duration of a turn, in ms, before it yields to the event loop. */
const TURN_MS = 8;

/**
 * A fair scheduler for event loop turns. A worker that has used up its slice waits for the next turn, behind earlier
 * ones of its
 * weight that came before; and once a turn is used up, everybody does.
 */
export class Turns {
  private waiting: Record<Weight, Worker[]> = { light: [], bulk: [], heavy: [] };
  /** When the turn began; undefined while nobody has asked in it. */
  private startedAt: number | undefined;
  private scheduled = false;
  private serving = false;

  constructor(private readonly now: () => number = () => performance.now()) {}

  /**
   * Whether heavy work has to queue: behind other heavy work, and if it is found in a turn of lighter work, in which
   * each such piece would hold up all that is behind it.
   */
  get busy(): boolean {
    return this.serving || this.waiting.heavy.length > 0;
  }

  /**
   * Whether this turn is used up: then what arrives waits for the next one. A turn begins when this is first asked.
   * All time since then counts, also that of promises and of Node itself: the event loop comes round only after it,
   * and while a turn is under way it never idles.
   */
  isUsed(now = this.now()): boolean {
    if (this.startedAt === undefined) {
      this.startedAt = now;
      this.schedule();
    }
    return now - this.startedAt >= TURN_MS;
  }

  /** Gives a worker a slice of a later turn. It must not be added twice. */
  add(worker: Worker): void {
    this.waiting[worker.weight].push(worker);
    this.schedule();
  }

  /** Does bulk work: at once, or in a later turn if this one is used up. It must not throw. */
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
    // Those that add themselves again meanwhile are in the next turn.
    const { light, bulk, heavy } = this.waiting;
    this.waiting = { light: [], bulk: [], heavy: [] };
    this.serving = true;
    try {
      this.workOff(light, 0, until);
      // At least one each, or they would never be served beside much light work.
      this.workOff(bulk, 1, until);
      this.workOff(heavy, 1, until);
    } finally {
      this.serving = false;
      // What arrives next has a turn of its own.
      this.startedAt = undefined;
      // Also after one that has thrown: it must not take the others with it.
      const added = this.waiting;
      this.waiting = {
        light: [...light, ...added.light],
        bulk: [...bulk, ...added.bulk],
        heavy: [...heavy, ...added.heavy],
      };
      if (Object.values(this.waiting).some(({ length }) => length > 0)) this.schedule();
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

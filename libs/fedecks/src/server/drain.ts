/** What a drain needs of a connection. */
export interface Drainable {
  /** Stops reading, lets running handlers finish, closes with 4000, and lets `@OnDisconnected` finish. */
  drain(): Promise<void>;
  /** Closes with 4000 now. */
  drainNow(): void;
  /** Resolves when the socket is closed. */
  gone(): Promise<void>;
}

const STAGE_MS = 100;
const MIN_PER_STAGE = 10;

/** How long to wait after `drainMs` for `@OnDisconnected` handlers, and for peers to end TCP. */
const ENDING_MS = 1_200;

/**
 * Closes connections in stages of 100 ms, evenly over `drainMs`, at least ten per stage. Closes the rest after `drainMs`,
 * and resolves at most 1,200 ms after that.
 */
export async function drain(connections: readonly Drainable[], drainMs: number): Promise<void> {
  const perStage = Math.max(MIN_PER_STAGE, Math.ceil((connections.length * STAGE_MS) / Math.max(1, drainMs)));
  const startedAt = performance.now();
  const remainingMs = (untilMs: number): number => Math.max(0, startedAt + untilMs - performance.now());
  const drained: Promise<void>[] = [];
  for (let next = 0, stage = 0; next < connections.length; next += perStage, stage++) {
    if (stage > 0) await new Promise((resolve) => setTimeout(resolve, remainingMs(stage * STAGE_MS)));
    drained.push(...connections.slice(next, next + perStage).map((connection) => connection.drain()));
  }
  await waitAtMost(remainingMs(drainMs), drained);
  for (const connection of connections) connection.drainNow();
  await waitAtMost(ENDING_MS, [...drained, ...connections.map((connection) => connection.gone())]);
}

/** Waits until all have settled, or for `ms`. */
async function waitAtMost(ms: number, all: readonly Promise<void>[]): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const timeIsUp = new Promise((resolve) => (timer = setTimeout(resolve, ms)));
  await Promise.race([Promise.allSettled(all), timeIsUp]);
  clearTimeout(timer);
}

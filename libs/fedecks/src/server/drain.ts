/** What a drain needs of a connection. */
export interface Drainable {
  /** Reads no more, lets the handlers of what was read finish, closes with 4000, and lets `@OnDisconnected` finish. */
  drain(): Promise<void>;
  /** Closes with 4000 now. */
  drainNow(): void;
  /** Resolves when the socket is closed. */
  gone(): Promise<void>;
}

const STAGE_MS = 100;
const MIN_PER_STAGE = 10;

/** After `drainMs`, how long `@OnDisconnected` handlers and the peers' ends of TCP are waited for. */
const ENDING_MS = 1_200;

/**
 * Closes connections in stages of 100 ms, evenly over `drainMs`, and at least ten in each: a few devices leave
 * at once. What has not finished by then is closed as it is. Resolves at most 1,200 ms after that.
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
  await within(remainingMs(drainMs), drained);
  for (const connection of connections) connection.drainNow();
  await within(ENDING_MS, [...drained, ...connections.map((connection) => connection.gone())]);
}

/** Waits for all of them, for so many milliseconds at most. */
async function within(ms: number, all: readonly Promise<void>[]): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const timeIsUp = new Promise((resolve) => (timer = setTimeout(resolve, ms)));
  await Promise.race([Promise.allSettled(all), timeIsUp]);
  clearTimeout(timer);
}

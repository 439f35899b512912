/** What a drain needs of a connection. */
export interface Drainable {
  /** Reads no more, lets the handlers of what was read finish, and closes with 4000. */
  drain(): Promise<void>;
  /** Closes with 4000 now. */
  drainNow(): void;
}

const STAGE_MS = 100;
const MIN_PER_STAGE = 10;

/**
 * Closes connections in stages of 100 ms, evenly over `drainMs`, and at least ten in each: a few devices leave
 * at once. What has not finished by then is closed as it is.
 */
export async function drain(connections: readonly Drainable[], drainMs: number): Promise<void> {
  const perStage = Math.max(MIN_PER_STAGE, Math.ceil((connections.length * STAGE_MS) / Math.max(1, drainMs)));
  const deadline = Date.now() + drainMs;
  const drained: Promise<void>[] = [];
  for (let next = 0; next < connections.length; next += perStage) {
    if (next > 0) await new Promise((resolve) => setTimeout(resolve, STAGE_MS));
    drained.push(...connections.slice(next, next + perStage).map((connection) => connection.drain()));
  }
  let timer: NodeJS.Timeout | undefined;
  const timeIsUp = new Promise((resolve) => {
    timer = setTimeout(resolve, Math.max(0, deadline - Date.now()));
  });
  await Promise.race([Promise.all(drained), timeIsUp]);
  clearTimeout(timer);
  for (const connection of connections) connection.drainNow();
}

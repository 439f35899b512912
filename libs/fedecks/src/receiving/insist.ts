/** How long, in ms, a call of the store may take. */
const TIMEOUT_MS = 5_000;
const FIRST_DELAY_MS = 100;
const MAX_DELAY_MS = 10_000;

/**
 * Calls until it is answered, with backoff.
 * @param isWanted whether to try again; asked after each failure.
 * @param onFailure told of what was thrown, and of a call that takes too long.
 * @returns undefined when it has failed, and is not wanted any more.
 */
export async function insist<T>(
  call: () => T | Promise<T>,
  isWanted: () => boolean,
  onFailure: (error: unknown) => void,
): Promise<T | undefined> {
  for (let delayMs = FIRST_DELAY_MS; ; delayMs = Math.min(2 * delayMs, MAX_DELAY_MS)) {
    try {
      return await inTime(call);
    } catch (error) {
      onFailure(error);
    }
    if (isWanted()) await new Promise((resolve) => setTimeout(resolve, delayMs).unref());
    if (!isWanted()) return undefined;
  }
}

/** Rejects when the call takes longer than 5 s. */
export async function inTime<T>(call: () => T | Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  try {
    return await Promise.race([
      call(),
      new Promise<never>((_resolve, reject) => {
        const late = (): void => reject(new Error(`it has not answered within ${TIMEOUT_MS} ms`));
        timer = setTimeout(late, TIMEOUT_MS).unref();
      }),
    ]);
  } finally {
    clearTimeout(timer);
  }
}

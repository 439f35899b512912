/** Polls until a value is as expected, for states without an event. */
const POLL_MS = 20;

/** Resolves with the first value that `fits`; rejects after `deadlineMs` with the last one. */
export async function eventually<T>(
  look: () => T | Promise<T>,
  fits: (value: T) => boolean,
  deadlineMs = 30_000,
): Promise<T> {
  const deadline = Date.now() + deadlineMs;
  for (;;) {
    let seen: unknown;
    try {
      const value = await look();
      if (fits(value)) return value;
      seen = value;
    } catch (error) {
      seen = error;
    }
    if (Date.now() > deadline) {
      const shown = seen instanceof Error ? String(seen) : JSON.stringify(seen);
      throw new Error(`not within ${deadlineMs} ms; last seen: ${shown}`);
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

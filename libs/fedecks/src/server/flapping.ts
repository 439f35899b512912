const WINDOW_MS = 60_000;
const REPLACEMENTS = 5;

/** Detects a device id whose connections replace each other repeatedly. */
export class Flapping {
  private windowEnds = 0;
  private readonly replaced = new Map<string, number>();

  /**
   * Notes that a connection of the device was replaced; true, once a minute, when that makes the fifth time within it.
   * @param now by a monotonic clock.
   */
  notice(deviceId: string, now = performance.now()): boolean {
    if (now >= this.windowEnds) {
      this.windowEnds = now + WINDOW_MS;
      this.replaced.clear();
    }
    const times = (this.replaced.get(deviceId) ?? 0) + 1;
    this.replaced.set(deviceId, times);
    return times === REPLACEMENTS;
  }
}

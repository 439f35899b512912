const WINDOW_MS = 60_000;
const FAILURES_OF_DEVICE_AT_NETWORK = 5;
const FAILURES_OF_NETWORK = 60;
const FAILURES_OF_DEVICE = 60;

/**
 * Limits failed logins, before a password is hashed or the database is asked: in a minute 5 for one device id from one network, and 60 from
 * one network. After 60 for one device id, networks that have failed in that minute are refused; one that has not
 * still has its first attempt. So nobody locks a device out by trying its id, from however many networks.
 *
 * An attempt counts as failed until it is known to be good: attempts that wait are counted, too. Windows are fixed. The
 * maps are bounded by what a minute admits: 60,000 upgrades by `upgradesPerSecond`.
 */
export class LoginLimits {
  private windowEnds = 0;
  private readonly ofPair = new Map<string, number>();
  private readonly ofNetwork = new Map<string, number>();
  private readonly ofDevice = new Map<string, number>();

  /** Counts an attempt, or returns false: over a limit. Whoever gets true calls {@link forgive} unless the attempt fails. */
  admit(network: string, deviceId: string, now = performance.now()): boolean {
    if (now >= this.windowEnds) {
      this.windowEnds = now + WINDOW_MS;
      for (const counts of [this.ofPair, this.ofNetwork, this.ofDevice]) counts.clear();
    }
    const failuresOfNetwork = countOf(this.ofNetwork, network);
    if (failuresOfNetwork >= FAILURES_OF_NETWORK) return false;
    if (countOf(this.ofPair, pair(network, deviceId)) >= FAILURES_OF_DEVICE_AT_NETWORK) return false;
    if (countOf(this.ofDevice, deviceId) >= FAILURES_OF_DEVICE && failuresOfNetwork > 0) return false;
    this.add(network, deviceId, 1);
    return true;
  }

  /** Removes an attempt that succeeded, or never ran. */
  forgive(network: string, deviceId: string): void {
    this.add(network, deviceId, -1);
  }

  private add(network: string, deviceId: string, change: 1 | -1): void {
    add(this.ofPair, pair(network, deviceId), change);
    add(this.ofNetwork, network, change);
    add(this.ofDevice, deviceId, change);
  }
}

function pair(network: string, deviceId: string): string {
  return JSON.stringify([network, deviceId]);
}

function countOf(counts: ReadonlyMap<string, number>, key: string): number {
  return counts.get(key) ?? 0;
}

function add(counts: Map<string, number>, key: string, change: 1 | -1): void {
  const count = countOf(counts, key) + change;
  // What was forgiven may have been counted in the window before.
  if (count > 0) counts.set(key, count);
  else counts.delete(key);
}

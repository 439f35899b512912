import { type ConnectedDevice, type Fedecks } from '@fedecks/nest';

/** How long, in milliseconds, an upgrade may be under way that has asked before the revocation was known. */
const UPGRADE_MS = 30_000;

/**
 * Disconnects devices of which a revocation becomes known that another node made, or that could not be read before. Those
 * whose token is good come back at once.
 */
export class RevokedConnections {
  /** When their revocations became known, by a monotonic clock in ms, the oldest first. */
  private readonly recent = new Map<string, number>();

  constructor(
    private readonly fedecks: Fedecks,
    private readonly onFailure: (error: unknown) => void,
  ) {
    fedecks.connections$.subscribe(({ type, device }) => {
      if (type === 'connected') this.onConnected(device);
    });
  }

  /** @param deviceIds of which a newer revocation has just become known. */
  disconnect(deviceIds: ReadonlySet<string>): void {
    const now = performance.now();
    for (const [id, since] of this.recent) {
      if (now - since < UPGRADE_MS) break;
      this.recent.delete(id);
    }
    for (const id of deviceIds) {
      this.recent.delete(id);
      this.recent.set(id, now);
    }
    for (const { id } of this.fedecks.devices()) if (deviceIds.has(id)) this.close(id);
  }

  /** Its upgrade may have asked before: once, it has to come again. */
  private onConnected({ id }: ConnectedDevice): void {
    const since = this.recent.get(id);
    if (since === undefined) return;
    this.recent.delete(id);
    // Not within the upgrade that opens it.
    if (performance.now() - since < UPGRADE_MS) setImmediate(() => this.close(id));
  }

  private close(deviceId: string): void {
    this.fedecks.disconnect(deviceId).catch(this.onFailure);
  }
}

/**
 * The last revisions that this node wrote for devices that have left it. Most reconnect to the same node: their next
 * write is a compare-and-set on that revision, without a read. If another node has written since,
 * the compare-and-set fails.
 */
export class LastWrites {
  /** The oldest first. */
  private readonly revisions = new Map<string, number>();

  /** @param limit how many are kept. */
  constructor(private readonly limit: number) {}

  keep(deviceId: string, revision: number): void {
    this.revisions.delete(deviceId);
    this.revisions.set(deviceId, revision);
    if (this.revisions.size <= this.limit) return;
    for (const oldest of this.revisions.keys()) {
      this.revisions.delete(oldest);
      return;
    }
  }

  take(deviceId: string): number | undefined {
    const revision = this.revisions.get(deviceId);
    this.revisions.delete(deviceId);
    return revision;
  }

  clear(): void {
    this.revisions.clear();
  }
}

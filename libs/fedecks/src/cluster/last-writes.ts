/**
 * The revisions that this node wrote last of devices that have left it. Most come back to where they were: what they
 * are written with then follows that revision, and nothing has to be read before. If somebody else has written since,
 * the write lands on nothing.
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

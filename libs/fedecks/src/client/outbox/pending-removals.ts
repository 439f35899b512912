import { type Removal } from './record.js';

/** Removals that are not yet written, as few ranges as possible. */
export class PendingRemovals {
  private readonly byLane = new Map<string, Removal[]>();

  get isEmpty(): boolean {
    return this.byLane.size === 0;
  }

  add(removal: Removal): void {
    const { lane, from, through } = removal;
    const ranges = (this.byLane.get(lane) ?? []).filter((each) => each.from < from || each.through > through);
    this.byLane.set(lane, ranges);
    const last = ranges.at(-1);
    if (last?.through === from - 1) ranges[ranges.length - 1] = { lane, from: last.from, through };
    else ranges.push(removal);
  }

  list(): Removal[] {
    return [...this.byLane.values()].flat();
  }

  /** These, and those that came later. */
  and(later: PendingRemovals): this {
    for (const removal of later.list()) this.add(removal);
    return this;
  }
}

/** Lets work with a name settle in the order in which it was begun. */
export class InTurn {
  /** The last of each name. Never rejects. */
  private readonly last = new Map<string, Promise<unknown>>();

  /** Settles as `work` does, and not before what was given earlier with this name has settled. */
  async inTurn<T>(name: string, work: Promise<T>): Promise<T> {
    // It may reject while another is waited for.
    work.catch(() => undefined);
    const before = this.last.get(name) ?? Promise.resolve();
    const turn = before.then(() => work);
    const settled = turn.catch(() => undefined);
    this.last.set(name, settled);
    try {
      return await turn;
    } finally {
      if (this.last.get(name) === settled) this.last.delete(name);
    }
  }
}

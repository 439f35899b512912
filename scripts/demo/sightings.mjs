/** Received items and pending waits. Every wait has a deadline, and its error names what was expected. */
export class Sightings {
  #seen = [];
  #waits = new Set();

  add(item) {
    this.#seen.push(item);
    for (const wait of [...this.#waits]) wait(item);
  }

  /** Drops all items, so that only later ones match. */
  forget() {
    this.#seen.length = 0;
  }

  /** The first item that `matches`, received already or later. */
  until(what, matches, deadlineMs = 15_000) {
    const found = this.#seen.find(matches);
    if (found !== undefined) return Promise.resolve(found);
    return new Promise((resolve, reject) => {
      const settle = (act) => {
        clearTimeout(timer);
        this.#waits.delete(wait);
        act();
      };
      const wait = (item) => {
        if (matches(item)) settle(() => resolve(item));
      };
      const timer = setTimeout(
        () => settle(() => reject(new Error(`${what}: not seen within ${deadlineMs / 1000} s`))),
        deadlineMs,
      );
      this.#waits.add(wait);
    });
  }
}

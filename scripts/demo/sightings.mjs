/** What has been seen and what is still awaited. Every wait has a deadline, and says what it waited for. */
export class Sightings {
  #seen = [];
  #waits = new Set();

  add(item) {
    this.#seen.push(item);
    for (const wait of [...this.#waits]) wait(item);
  }

  /** What is seen from here on is new: earlier sightings no longer count. */
  forget() {
    this.#seen.length = 0;
  }

  /** The first item, seen already or yet to come, that `matches`. */
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

/**
 * A queue of values and pending reads: `put` on one side, `next` on the other, in order.
 * `next` has a deadline, and its error names what was expected.
 */
export class Inbox<T> {
  private readonly arrived: T[] = [];
  private readonly waiting: ((value: T) => void)[] = [];

  /** @param what the name of a value, for the error of `next`. */
  constructor(private readonly what: string) {}

  put(value: T): void {
    const waiter = this.waiting.shift();
    if (waiter) waiter(value);
    else this.arrived.push(value);
  }

  /** Takes the oldest value. Rejects after `deadlineMs` milliseconds, 20,000 by default. */
  async next(deadlineMs = 20_000): Promise<T> {
    if (this.arrived.length > 0) return this.arrived.shift() as T;
    return new Promise<T>((resolve, reject) => {
      const waiter = (value: T): void => {
        clearTimeout(timer);
        resolve(value);
      };
      const timer = setTimeout(() => {
        this.waiting.splice(this.waiting.indexOf(waiter), 1);
        reject(new Error(`no ${this.what} within ${deadlineMs} ms`));
      }, deadlineMs);
      this.waiting.push(waiter);
    });
  }

  /** Drops all values, so that a test does not see those of the previous one. */
  clear(): void {
    this.arrived.length = 0;
  }

  /** The number of values not taken yet. */
  get size(): number {
    return this.arrived.length;
  }
}

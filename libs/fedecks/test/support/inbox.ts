/**
 * What has arrived and what is still awaited: `put` on one side, `next` on the other, in order.
 * A wait has a deadline, and a failed one says what was waited for.
 */
export class Inbox<T> {
  private readonly arrived: T[] = [];
  private readonly waiting: ((value: T) => void)[] = [];

  /** @param what named in the error of a wait that came to nothing. */
  constructor(private readonly what: string) {}

  put(value: T): void {
    const waiter = this.waiting.shift();
    if (waiter) waiter(value);
    else this.arrived.push(value);
  }

  /** The oldest value nobody has taken. Rejects after `deadlineMs` milliseconds, 5,000 by default. */
  async next(deadlineMs = 5_000): Promise<T> {
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

  /** Forgets what nobody has taken: what one test has left is no matter of the next. */
  clear(): void {
    this.arrived.length = 0;
  }

  /** How many have arrived that nobody has taken. */
  get size(): number {
    return this.arrived.length;
  }
}

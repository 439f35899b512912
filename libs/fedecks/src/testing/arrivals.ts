interface Waiting<T> {
  readonly arrived: (value: T) => void;
  readonly never: (why: string) => void;
}

/** What arrives at a device, oldest first, for tests that wait for it. */
export class Arrivals<T> {
  private readonly values: T[] = [];
  private readonly waiting: Waiting<T>[] = [];
  private ended: string | undefined;

  /**
   * @param nothing says that none has come, for the errors: `No message from the cloud for device 'd1'`.
   * @param hint what to look at if none comes.
   */
  constructor(
    private readonly nothing: string,
    private readonly hint: string,
  ) {}

  put(value: T): void {
    const waiting = this.waiting.shift();
    if (waiting) waiting.arrived(value);
    else this.values.push(value);
  }

  /** No value will come. @param why as a sentence. */
  end(why: string): void {
    this.ended = why;
    for (const { never } of this.waiting.splice(0)) never(why);
  }

  async next(deadlineMs: number): Promise<T> {
    if (this.values.length > 0) return this.values.shift() as T;
    if (this.ended !== undefined) throw new Error(`${this.nothing}. ${this.ended}`);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.waiting.splice(this.waiting.indexOf(waiting), 1);
        reject(new Error(`${this.nothing} within ${deadlineMs} ms: ${this.hint}`));
      }, deadlineMs);
      const waiting: Waiting<T> = {
        arrived: (value) => {
          clearTimeout(timer);
          resolve(value);
        },
        never: (why) => {
          clearTimeout(timer);
          reject(new Error(`${this.nothing}. ${why}`));
        },
      };
      this.waiting.push(waiting);
    });
  }
}

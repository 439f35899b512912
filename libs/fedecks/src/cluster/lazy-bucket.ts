import { type Bucket, type Entries, type Store } from './bucket.js';

/** How long, in ms, a node remembers that a bucket does not exist. */
const ABSENT_MS = 5_000;

/** A bucket that exists only once something was written to it. */
export class LazyBucket<T> {
  private bucket: Bucket<T> | undefined;
  private opening: Promise<Bucket<T>> | undefined;
  private looking: Promise<Bucket<T> | undefined> | undefined;
  private absentUntil = -Infinity;
  /** What was asked before it changed is not remembered. */
  private generation = 0;

  constructor(
    private readonly store: Pick<Store, 'open' | 'find'>,
    private readonly name: string,
    private readonly entries: Entries<T>,
  ) {}

  /** Creates the bucket where there is none. @throws {BackplaneError} */
  async write<R>(work: (bucket: Bucket<T>) => Promise<R>): Promise<R> {
    return this.use(this.bucket ?? (await (this.opening ??= this.open())), work);
  }

  /** Undefined where there is no bucket. @throws {BackplaneError} */
  async read<R>(work: (bucket: Bucket<T>) => Promise<R>): Promise<R | undefined> {
    if (!this.bucket && performance.now() < this.absentUntil) return undefined;
    const bucket = this.bucket ?? (await (this.looking ??= this.look()));
    return bucket && this.use(bucket, work);
  }

  /** The connection is lost: the bucket is opened anew. */
  pause(): void {
    this.bucket = this.opening = undefined;
    this.forgetAbsence();
  }

  /** Another node may have created the bucket. */
  forgetAbsence(): void {
    this.generation++;
    this.looking = undefined;
    this.absentUntil = -Infinity;
  }

  private async open(): Promise<Bucket<T>> {
    const { generation } = this;
    try {
      const bucket = await this.store.open(this.name, this.entries);
      if (generation === this.generation) this.bucket = bucket;
      return bucket;
    } finally {
      if (generation === this.generation) this.opening = undefined;
    }
  }

  private async look(): Promise<Bucket<T> | undefined> {
    const { generation } = this;
    try {
      const bucket = await this.store.find(this.name, this.entries);
      if (generation === this.generation) {
        this.bucket ??= bucket;
        if (!bucket) this.absentUntil = performance.now() + ABSENT_MS;
      }
      return bucket;
    } finally {
      if (generation === this.generation) this.looking = undefined;
    }
  }

  private async use<R>(bucket: Bucket<T>, work: (bucket: Bucket<T>) => Promise<R>): Promise<R> {
    try {
      return await work(bucket);
    } catch (error) {
      // Somebody may have deleted it: it is created again.
      if (this.bucket === bucket) this.bucket = undefined;
      throw error;
    }
  }
}

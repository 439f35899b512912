import { type DeviceQueue } from '../delivery/index.js';
import { type Bucket } from './bucket.js';
import { queueOf, type QueueRecord } from './queue-record.js';
import { type Subjects } from './subjects.js';

/** Which node looks for what is due. */
interface Watchman {
  readonly watchman: string;
}

/** What the bucket of queues holds. */
export type QueueBucketEntry = QueueRecord | Watchman;

/** No key of a device: those have two tokens. */
const WATCHMAN_KEY = 'watchman';

export function isWatchman(key: string, value: unknown): value is Watchman {
  return key === WATCHMAN_KEY && typeof (value as Partial<Watchman> | null)?.watchman === 'string';
}

/** How often a node finds the entry of the watchman unchanged before it takes its place: one may be late. */
const PATIENCE = 2;

/** How many queues are fetched at a time: they may be large. */
const PAGE = 64;

/**
 * Finds the queues that are due. All nodes ask at the same intervals, and one of them looks: the watchman, who writes an
 * entry each time. One that finds this entry unchanged for the second time takes its place. No clocks are compared, and
 * two that look by accident only find the same.
 *
 * The watchman keeps in memory when each queue is due, and reads what was written since: so a look costs as much as has
 * changed, whatever is kept. An index by time in the bucket would cost a second write for each queue, which a crash can
 * separate from the first.
 */
export class DueQueues {
  /** By key. As many as there are queues: 50,000 take 8 MB. */
  private readonly dueAt = new Map<string, number>();
  private incarnation: string | undefined;
  /** The last revision that was read. */
  private seen = 0;
  /** That of the watchman's entry, when this node asked last. */
  private lastWatch = 0;
  /** How often it was the same since. */
  private unchanged = 0;
  private reading: Promise<void> | undefined;

  constructor(
    private readonly node: string,
    private readonly subjects: Subjects,
  ) {}

  /** @throws {BackplaneError} */
  async find(bucket: Bucket<QueueBucketEntry>, now: number, limit: number): Promise<readonly string[]> {
    if (!(await this.isWatching(bucket))) return [];
    // The first read may take longer than the caller waits: the next call then waits for the same one.
    this.reading ??= this.read(bucket).finally(() => (this.reading = undefined));
    await this.reading;
    const found: string[] = [];
    for (const key of [...this.dueAt.keys()].filter((each) => this.isDue(each, now))) {
      if (found.length >= limit) break;
      // It was removed, or is not due any more. Those that are go to the end, so that the next call begins with others.
      this.keep(key, queueOf((await bucket.get(key)).value));
      if (this.isDue(key, now)) found.push(this.subjects.textOf(key));
    }
    return found;
  }

  private async isWatching(bucket: Bucket<QueueBucketEntry>): Promise<boolean> {
    const { value, revision } = await bucket.get(WATCHMAN_KEY);
    this.unchanged = revision === this.lastWatch ? this.unchanged + 1 : 0;
    this.lastWatch = revision;
    const isOwn = isWatchman(WATCHMAN_KEY, value) && value.watchman === this.node;
    if (!isOwn && revision !== 0 && this.unchanged < PATIENCE) return false;
    const own = await bucket.put(WATCHMAN_KEY, { watchman: this.node }, revision);
    if (own === undefined) return false;
    this.lastWatch = own;
    return true;
  }

  /** Reads what was written since the last read. One that fails goes on from there. */
  private async read(bucket: Bucket<QueueBucketEntry>): Promise<void> {
    const { incarnation, revision } = await bucket.state();
    if (incarnation !== this.incarnation) {
      this.incarnation = incarnation;
      this.dueAt.clear();
      this.seen = 0;
    }
    const isIdle = this.seen === this.lastWatch - 1 && revision === this.lastWatch;
    if (!isIdle) {
      for await (const { key, value, revision: own } of bucket.scan(
        this.subjects.keys,
        this.seen + 1,
        PAGE,
      )) {
        if (key !== WATCHMAN_KEY) this.keep(key, queueOf(value));
        this.seen = own;
      }
    }
    this.seen = Math.max(this.seen, revision);
  }

  private keep(key: string, queue: DeviceQueue | undefined): void {
    this.dueAt.delete(key);
    if (queue) this.dueAt.set(key, queue.dueAt);
  }

  private isDue(key: string, now: number): boolean {
    return (this.dueAt.get(key) ?? Infinity) <= now;
  }
}

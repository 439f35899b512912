import {
  type DeviceQueue,
  EMPTY_QUEUE,
  type FinalDelivery,
  isEmpty,
  type LanePosition,
  type WaitingDelivery,
} from '../../delivery/index.js';
import { type QueueStore } from './delivery-store.js';
import { inTime } from '../../receiving/index.js';

/** How often a write is tried because other nodes have written the same queue meanwhile. */
const MAX_WRITES = 20;
/** How often the store may fail. */
const MAX_FAILURES = 3;
const RETRY_MS = 100;
/** Of how many devices writes without an answer are remembered, and how many of each. */
const MAX_UNSURE_DEVICES = 10_000;
const MAX_UNSURE = 10;

/** A message that has become final, with the name of its bytes. */
export type Ended = FinalDelivery & { readonly message: string };

/** What a write has changed. */
export interface Written {
  readonly ended?: readonly Ended[];
  /** The message that was put in or sent. */
  readonly entry?: WaitingDelivery | undefined;
}

/** A change of a queue, and what came of it. */
export interface Changed<T> extends Written {
  readonly queue: DeviceQueue;
  readonly result: T;
}

/** A write that was not answered: it may be done, or be done later. */
interface Unsure {
  /** The revision that it replaces. */
  readonly after: number;
  readonly ended: readonly Ended[];
  /** What it puts in, if nobody tries again. */
  readonly added: readonly WaitingDelivery[];
}

type Outcome = Changed<unknown> | { readonly error: unknown };

interface Job {
  /** Resolves when what the queue is to name is kept. */
  readonly ready: Promise<unknown>;
  readonly change: (queue: DeviceQueue, now: number) => Changed<unknown>;
  readonly done: (result: unknown) => void;
  readonly failed: (error: unknown) => void;
}

/** A queue after the changes of several jobs. */
interface Applied {
  readonly queue: DeviceQueue;
  readonly outcomes: readonly Outcome[];
}

/**
 * Writes the queues of the devices of an endpoint by compare-and-set, as other nodes write them too. The changes that are
 * asked for during a write go into the next one together.
 */
export class QueueWriter {
  private readonly jobs = new Map<string, Job[]>();
  private readonly unsure = new Map<string, readonly Unsure[]>();
  private store!: QueueStore;

  constructor(
    private readonly endpoint: string,
    /** Called with what is written, in order. */
    private readonly onWritten: (deviceId: string, changes: readonly Written[]) => void,
  ) {}

  keepIn(store: QueueStore): void {
    this.store = store;
  }

  /** The queue of a device. Tells of what writes without an answer have changed. @throws what the store throws. */
  async read(deviceId: string): Promise<DeviceQueue | undefined> {
    // A store of the application may say null.
    const queue = (await inTime(async () => this.store.readQueue(this.endpoint, deviceId))) ?? undefined;
    this.tellUnsure(deviceId, queue);
    return queue;
  }

  private tellUnsure(deviceId: string, queue: DeviceQueue | undefined): void {
    const all = this.unsure.get(deviceId);
    if (!all) return;
    const { revision, waiting, final } = queue ?? EMPTY_QUEUE;
    // Nothing was written since, as far as an answer that was slow can say.
    const isOpen = ({ after }: Unsure): boolean => revision <= after;
    const open = all.filter(isOpen);
    if (open.length > 0) this.unsure.set(deviceId, open);
    else this.unsure.delete(deviceId);
    for (const unsure of all) {
      if (isOpen(unsure)) continue;
      const { ended, added } = unsure;
      // The final state may be that of another node.
      const isKept = (one: Ended): boolean =>
        final.some((each) => isSame(each, one) && each.finalAt === one.finalAt && each.state === one.state);
      const entries = added.filter((one) => waiting.some((each) => isSame(each, one) && each.attempts === 0));
      const changes = [{ ended: ended.filter(isKept) }, ...entries.map((entry) => ({ entry }))];
      this.onWritten(deviceId, changes);
    }
  }

  private addUnsure(deviceId: string, unsure: Unsure): void {
    const all = this.unsure.get(deviceId) ?? [];
    this.unsure.set(deviceId, [...all, unsure].slice(-MAX_UNSURE));
    const [oldest] = this.unsure.keys();
    if (this.unsure.size > MAX_UNSURE_DEVICES && oldest !== undefined) this.unsure.delete(oldest);
  }

  /** The devices of which a write was not answered. */
  get unsureDevices(): string[] {
    return [...this.unsure.keys()];
  }

  /**
   * Applies a change after those that were asked for before. It may be applied several times, to newer queues.
   * @param ready what has to be kept before the queue is written.
   * @throws what the change or the store throws.
   */
  change<T>(
    deviceId: string,
    change: (queue: DeviceQueue, now: number) => Changed<T>,
    ready: Promise<unknown> = Promise.resolve(),
  ): Promise<T> {
    // Whoever waits for the change is told.
    ready.catch(() => undefined);
    return new Promise<T>((resolve, reject) => {
      const job: Job = { ready, change, done: (result) => resolve(result as T), failed: reject };
      const jobs = this.jobs.get(deviceId);
      if (jobs) jobs.push(job);
      else {
        this.jobs.set(deviceId, [job]);
        void this.work(deviceId);
      }
    });
  }

  /** Resolves when nothing is being written, or after so many ms. */
  async quiet(timeoutMs: number): Promise<void> {
    const endAt = performance.now() + timeoutMs;
    while (this.jobs.size > 0 && performance.now() < endAt)
      await new Promise((resolve) => setTimeout(resolve, 10));
  }

  private async work(deviceId: string): Promise<void> {
    for (let jobs = this.jobs.get(deviceId); jobs && jobs.length > 0; jobs = this.jobs.get(deviceId)) {
      this.jobs.set(deviceId, []);
      await this.perform(deviceId, await keptOf(jobs));
    }
    this.jobs.delete(deviceId);
  }

  private async perform(deviceId: string, jobs: readonly Job[]): Promise<void> {
    if (jobs.length === 0) return;
    try {
      this.finish(deviceId, jobs, await this.applyAndWrite(deviceId, jobs));
    } catch (error) {
      for (const job of jobs) job.failed(error);
    }
  }

  private async applyAndWrite(deviceId: string, jobs: readonly Job[]): Promise<Applied> {
    let failures = 0;
    for (let writes = 0; writes < MAX_WRITES; writes++) {
      let unsure: Unsure | undefined;
      try {
        const before = await this.read(deviceId);
        const applied = applyAll(jobs, before ?? EMPTY_QUEUE);
        unsure = unsureOf(applied, before?.revision ?? 0);
        if (await this.write(deviceId, applied.queue, before)) return applied;
      } catch (error) {
        const isLast = ++failures === MAX_FAILURES;
        // The next try finds what was put in, and tells of it.
        if (unsure) this.addUnsure(deviceId, isLast ? unsure : { ...unsure, added: [] });
        if (isLast) throw error;
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS).unref());
      }
    }
    throw new Error(`The queue of device '${deviceId}' was not written: other nodes keep writing it.`);
  }

  private async write(
    deviceId: string,
    queue: DeviceQueue,
    before: DeviceQueue | undefined,
  ): Promise<boolean> {
    if (queue === (before ?? EMPTY_QUEUE)) return true;
    const kept = isEmpty(queue) ? undefined : queue;
    return inTime(async () => this.store.writeQueue(this.endpoint, deviceId, kept, before?.revision));
  }

  private finish(deviceId: string, jobs: readonly Job[], { outcomes }: Applied): void {
    this.onWritten(
      deviceId,
      outcomes.filter((outcome) => 'queue' in outcome),
    );
    for (const [index, outcome] of outcomes.entries()) {
      if ('error' in outcome) jobs[index]?.failed(outcome.error);
      else jobs[index]?.done(outcome.result);
    }
  }
}

/** Those whose messages are kept. */
async function keptOf(all: readonly Job[]): Promise<readonly Job[]> {
  const jobs: Job[] = [];
  for (const job of all) {
    await job.ready.then(
      () => jobs.push(job),
      (error: unknown) => job.failed(error),
    );
  }
  return jobs;
}

function unsureOf({ outcomes }: Applied, after: number): Unsure {
  const changes = outcomes.filter((outcome) => 'queue' in outcome);
  const entries = changes.flatMap(({ entry }) => entry ?? []);
  return {
    after,
    ended: changes.flatMap(({ ended }) => ended ?? []),
    added: entries.filter(({ attempts }) => attempts === 0),
  };
}

function isSame(one: LanePosition, other: LanePosition): boolean {
  return one.seq === other.seq && one.lane === other.lane && one.epoch === other.epoch;
}

/** Applies one change after another. One that throws changes nothing. */
function applyAll(jobs: readonly Job[], before: DeviceQueue): Applied {
  const now = Date.now();
  let queue = before;
  const outcomes = jobs.map(({ change }): Outcome => {
    try {
      const changed = change(queue, now);
      ({ queue } = changed);
      return changed;
    } catch (error) {
      return { error };
    }
  });
  return { queue, outcomes };
}

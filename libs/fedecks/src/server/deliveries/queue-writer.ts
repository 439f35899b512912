import { isDeepStrictEqual } from 'node:util';
import {
  type DeviceQueue,
  EMPTY_QUEUE,
  type FinalDelivery,
  isEmpty,
  type WaitingDelivery,
} from '../../delivery/index.js';
import { type QueueStore } from './delivery-store.js';
import { inTime } from '../../receiving/index.js';

/** How often a write is tried because other nodes have written the same queue meanwhile. */
const MAX_WRITES = 20;
/** How often the store may fail. */
const MAX_FAILURES = 3;
const RETRY_MS = 100;

/** A message that has become final, with the name of its bytes. */
export type Ended = FinalDelivery & { readonly message: string };

/** A change of a queue, and what came of it. */
export interface Changed<T> {
  readonly queue: DeviceQueue;
  readonly ended?: readonly Ended[];
  /** The message that was put in or sent. */
  readonly entry?: WaitingDelivery | undefined;
  readonly result: T;
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
  private store!: QueueStore;

  constructor(
    private readonly endpoint: string,
    /** Called with what is written, in order. */
    private readonly onWritten: (deviceId: string, changes: readonly Changed<unknown>[]) => void,
  ) {}

  keepIn(store: QueueStore): void {
    this.store = store;
  }

  /** @throws what the store throws. */
  async read(deviceId: string): Promise<DeviceQueue | undefined> {
    // A store of the application may say null.
    return (await inTime(async () => this.store.readQueue(this.endpoint, deviceId))) ?? undefined;
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
    let last: Applied | undefined;
    for (let writes = 0; writes < MAX_WRITES; writes++) {
      try {
        const before = await this.read(deviceId);
        // The write whose answer did not come was done. Another node may have given the same revision.
        if (last && isDeepStrictEqual(before, last.queue)) return last;
        last = applyAll(jobs, before ?? EMPTY_QUEUE);
        if (await this.write(deviceId, last.queue, before)) return last;
        last = undefined;
      } catch (error) {
        if (++failures === MAX_FAILURES) throw error;
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
      outcomes.filter((outcome): outcome is Changed<unknown> => !('error' in outcome)),
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

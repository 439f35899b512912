import { DeliverPolicy, JetStreamApiError, jetstream, type JetStreamClient } from '@nats-io/jetstream';
import { type KV, Kvm, KvWatchInclude } from '@nats-io/kv';
import { type NatsConnection, TimeoutError } from '@nats-io/transport-node';
import { type BackplaneError } from '../server/index.js';
import { messageOf, timeout, unavailable } from './link.js';
import { type ResolvedNatsOptions } from './nats-options.js';

/** What is kept under a key. Without a value it was removed, or never there: then the revision is 0. */
export interface Kept<T> {
  readonly key: string;
  readonly value: T | undefined;
  readonly revision: number;
}

/** What a scan comes upon. */
export interface Scanned<T> extends Kept<T> {
  /** How many come after it. */
  readonly pending: number;
}

const WRONG_LAST_SEQUENCE = 10071;
const PAGE = 500;

/** A JetStream KV bucket of JSON, of which only the newest value of a key is kept. */
export class Bucket<T> {
  private constructor(
    private readonly js: JetStreamClient,
    private readonly kv: KV,
    private readonly name: string,
    private readonly timeoutMs: number,
  ) {}

  /** Makes the bucket if there is none. @throws {BackplaneError} */
  static async open<T>(
    nc: NatsConnection,
    name: string,
    { replicas, requestTimeoutMs }: ResolvedNatsOptions,
  ): Promise<Bucket<T>> {
    const js = jetstream(nc, { timeout: requestTimeoutMs });
    // Answers of the leader only: one of a replica may be of a moment ago.
    const kv = await new Kvm(js)
      .create(name, { history: 1, replicas, allow_direct: false })
      .catch(failed(requestTimeoutMs));
    return new Bucket<T>(js, kv, name, requestTimeoutMs);
  }

  /** @throws {BackplaneError} */
  async get(key: string): Promise<Kept<T>> {
    const entry = await this.kv.get(key).catch(failed(this.timeoutMs));
    if (!entry) return { key, value: undefined, revision: 0 };
    return {
      key,
      value: entry.operation === 'PUT' ? entry.json<T>() : undefined,
      revision: entry.revision,
    };
  }

  /**
   * Writes a value, and returns its revision. With `after`, only if that is the revision it follows; undefined
   * where it is not.
   * @throws {BackplaneError} when it may have been written or not.
   */
  async put(key: string, value: T, after?: number): Promise<number | undefined> {
    try {
      return await this.kv.put(key, JSON.stringify(value), after === undefined ? {} : { previousSeq: after });
    } catch (error) {
      if (error instanceof JetStreamApiError && error.code === WRONG_LAST_SEQUENCE) return undefined;
      throw failure(error, this.timeoutMs);
    }
  }

  /** @throws {BackplaneError} */
  async remove(key: string): Promise<void> {
    await this.kv.purge(key).catch(failed(this.timeoutMs));
  }

  /** What is kept, from a revision on, in the order it was written. @throws {BackplaneError} */
  async *scan(keys: string, from = 1): AsyncGenerator<Scanned<T>> {
    const prefix = `$KV.${this.name}.`;
    const stream = `KV_${this.name}`;
    const consumer = await this.js.consumers
      .get(stream, {
        filter_subjects: prefix + keys,
        deliver_policy: DeliverPolicy.StartSequence,
        opt_start_seq: from,
      })
      .catch(failed(this.timeoutMs));
    try {
      let pending = (await consumer.info(true)).num_pending;
      while (pending > 0) {
        let got = 0;
        const page = await consumer.fetch({ max_messages: PAGE, expires: this.timeoutMs });
        for await (const message of page) {
          pending = message.info.pending;
          const put = !message.headers?.has('KV-Operation');
          yield {
            key: message.subject.slice(prefix.length),
            value: put ? message.json<T>() : undefined,
            revision: message.seq,
            pending,
          };
          if (++got === PAGE || pending === 0) break;
        }
        if (got === 0) throw timeout(this.timeoutMs);
      }
    } catch (error) {
      throw failure(error, this.timeoutMs);
    } finally {
      await consumer.delete().catch(() => undefined);
    }
  }

  /** Tells of every change from now on, until the function it returns is called. @throws {BackplaneError} */
  async watch(keys: string, changed: (kept: Kept<T>) => void): Promise<() => void> {
    const changes = await this.kv
      .watch({ key: keys, include: KvWatchInclude.UpdatesOnly })
      .catch(failed(this.timeoutMs));
    void (async () => {
      for await (const entry of changes) {
        const value = entry.operation === 'PUT' ? entry.json<T>() : undefined;
        changed({ key: entry.key, value, revision: entry.revision });
      }
    })().catch(() => undefined);
    return () => changes.stop();
  }
}

function failed(timeoutMs: number): (error: unknown) => never {
  return (error) => {
    throw failure(error, timeoutMs);
  };
}

function failure(error: unknown, timeoutMs: number): BackplaneError {
  if ((error as Partial<BackplaneError>).name === 'BackplaneError') return error as BackplaneError;
  return error instanceof TimeoutError ? timeout(timeoutMs) : unavailable(messageOf(error), error);
}

import {
  DeliverPolicy,
  JetStreamApiError,
  jetstream,
  type JetStreamClient,
  type JetStreamManager,
  type Republish,
  type StreamConfig,
} from '@nats-io/jetstream';
import { type KV, Kvm, KvWatchInclude } from '@nats-io/kv';
import { nanos, type NatsConnection, TimeoutError } from '@nats-io/transport-node';
import {
  type Bucket,
  type BucketState,
  type Entries,
  type Kept,
  messageOf,
  type Scanned,
  type Store,
  timeout,
  unavailable,
  type Watcher,
} from '../cluster/index.js';
import { BackplaneError } from '../server/index.js';
import { type NatsLink } from './nats-link.js';
import { type ResolvedNatsOptions } from './nats-options.js';

const STREAM_NOT_FOUND = 10059;
const WRONG_LAST_SEQUENCE = 10071;
/** The maximum entry size by default, so that a page of entries fits into memory. */
const MAX_VALUE_BYTES = 64 * 1024;
/** What the headers of a write take of what the server carries. */
const MAX_HEADER_BYTES = 256;
/** Within which JetStream looks for messages that were sent twice: it must not be longer than they are kept. */
const MAX_DUPLICATE_WINDOW_MS = 120_000;
const PAGE = 500;
/**
 * A cluster places a consumer on a random server, for a while even on one that has silently
 * failed. So the request is retried soon.
 */
const PLACE_WITHIN_MS = 1_000;
const PLACES_TRIED = 6;

/** Opens buckets over the connection of a link. */
export class NatsStore implements Store {
  readonly name = 'JetStream';

  constructor(
    private readonly link: NatsLink,
    private readonly options: ResolvedNatsOptions,
  ) {}

  async open<T>(name: string, entries: Entries<T>): Promise<Bucket<T>> {
    return NatsBucket.open(this.link.connection, name, this.options, entries);
  }

  async find<T>(name: string, entries: Entries<T>): Promise<Bucket<T> | undefined> {
    return NatsBucket.find(this.link.connection, name, this.options, entries);
  }
}

/** A bucket of JetStream's KV. */
export class NatsBucket<T> implements Bucket<T> {
  private constructor(
    private readonly js: JetStreamClient,
    private readonly kv: KV,
    /** For what has to be placed. */
    private readonly placing: { readonly js: JetStreamClient; readonly kv: KV },
    private readonly name: string,
    private readonly timeoutMs: number,
    private readonly entries: Entries<T>,
    private readonly maxBytes: number,
  ) {}

  /** Makes the bucket if there is none, and has one that is there keep what it should. @throws {BackplaneError} */
  static async open<T>(
    nc: NatsConnection,
    name: string,
    options: ResolvedNatsOptions,
    entries: Entries<T>,
  ): Promise<NatsBucket<T>> {
    const { replicas, requestTimeoutMs } = options;
    const js = jetstream(nc, { timeout: requestTimeoutMs });
    await provide(js, name, replicas, entries).catch(failed(requestTimeoutMs));
    return NatsBucket.bind(nc, name, options, entries);
  }

  /** Undefined if there is no such bucket. @throws {BackplaneError} */
  static async find<T>(
    nc: NatsConnection,
    name: string,
    options: ResolvedNatsOptions,
    entries: Entries<T>,
  ): Promise<NatsBucket<T> | undefined> {
    const { requestTimeoutMs } = options;
    const manager = await jetstream(nc, { timeout: requestTimeoutMs }).jetstreamManager(false);
    const config = await configOf(manager, `KV_${name}`).catch(failed(requestTimeoutMs));
    return config && NatsBucket.bind(nc, name, options, entries);
  }

  private static async bind<T>(
    nc: NatsConnection,
    name: string,
    { replicas, requestTimeoutMs }: ResolvedNatsOptions,
    entries: Entries<T>,
  ): Promise<NatsBucket<T>> {
    const js = jetstream(nc, { timeout: requestTimeoutMs });
    const impatient = jetstream(nc, { timeout: Math.min(PLACE_WITHIN_MS, requestTimeoutMs) });
    const direct = readsDirectly(replicas);
    const kv = await new Kvm(js).open(name, { allow_direct: direct }).catch(failed(requestTimeoutMs));
    const watching = await new Kvm(impatient).open(name).catch(failed(requestTimeoutMs));
    const maxPayload = (nc.info?.max_payload ?? Infinity) - MAX_HEADER_BYTES;
    const maxBytes = Math.min(entries.maxBytes ?? MAX_VALUE_BYTES, maxPayload);
    const placing = { js: impatient, kv: watching };
    return new NatsBucket<T>(js, kv, placing, name, requestTimeoutMs, entries, maxBytes);
  }

  async get(key: string): Promise<Kept<T>> {
    const entry = await this.kv.get(key).catch(failed(this.timeoutMs));
    if (!entry) return { key, value: undefined, revision: 0, writtenAt: 0 };
    return {
      writtenAt: entry.created.getTime(),
      key,
      value: entry.operation === 'PUT' ? this.valueOf(key, entry.value) : undefined,
      revision: entry.revision,
    };
  }

  async put(key: string, value: T, after?: number): Promise<number | undefined> {
    const json = Buffer.from(JSON.stringify(value));
    if (json.length > this.maxBytes) {
      throw new BackplaneError(
        'too-large',
        `An entry of the bucket '${this.name}' would have ${json.length} bytes; at most ${this.maxBytes} fit, and no more than max_payload of the NATS server.`,
      );
    }
    try {
      return await this.kv.put(key, json, after === undefined ? {} : { previousSeq: after });
    } catch (error) {
      if (error instanceof JetStreamApiError && error.code === WRONG_LAST_SEQUENCE) return undefined;
      throw failure(error, this.timeoutMs);
    }
  }

  async remove(key: string, upTo?: number): Promise<void> {
    const manager = await this.js.jetstreamManager(false);
    const filter = `$KV.${this.name}.${key}`;
    await manager.streams
      .purge(`KV_${this.name}`, upTo === undefined ? { filter } : { filter, seq: upTo + 1 })
      .catch(failed(this.timeoutMs));
  }

  async *scan(keys: string, from = 1, wanted = PAGE): AsyncGenerator<Scanned<T>> {
    const prefix = `$KV.${this.name}.`;
    const stream = `KV_${this.name}`;
    const size = Math.min(wanted, PAGE);
    const consumer = await placed(() =>
      this.placing.js.consumers.get(stream, {
        // NATS 2.9 walks all of a stream for a filter, though it lets everything through.
        ...(keys !== this.entries.keys && { filter_subjects: prefix + keys }),
        deliver_policy: DeliverPolicy.StartSequence,
        opt_start_seq: from,
      }),
    ).catch(failed(this.timeoutMs));
    try {
      let pending = (await consumer.info(true)).num_pending;
      let last = 0;
      while (pending > 0) {
        let got = 0;
        const page = await consumer.fetch({ max_messages: size, expires: this.timeoutMs });
        for await (const message of page) {
          pending = message.info.pending;
          const put = !message.headers?.has('KV-Operation');
          const key = message.subject.slice(prefix.length);
          yield {
            key,
            value: put ? this.valueOf(key, message.data) : undefined,
            revision: message.seq,
            writtenAt: message.time.getTime(),
            pending,
          };
          // NATS 2.9 goes on counting as pending what was written anew meanwhile, though it has come under its new revision.
          if (pending > 0 && message.seq >= last) {
            last = (await this.state()).revision;
            if (message.seq >= last) pending = 0;
          }
          if (++got === size || pending === 0) break;
        }
        if (got === 0) throw timeout(this.timeoutMs);
      }
    } catch (error) {
      throw failure(error, this.timeoutMs);
    } finally {
      // Not awaited: a consumer that is not deleted expires.
      consumer.delete().catch(() => undefined);
    }
  }

  async watch(keys: string, watcher: Watcher<T>, after?: number): Promise<() => void> {
    const changes = await placed(() =>
      this.placing.kv.watch({
        key: keys,
        include: KvWatchInclude.UpdatesOnly,
        ...(after !== undefined && { resumeFromRevision: after + 1 }),
      }),
    ).catch(failed(this.timeoutMs));
    let isStopped = false;
    const read = async (): Promise<void> => {
      for await (const entry of changes) {
        const { key, revision, operation } = entry;
        const value = operation === 'PUT' ? this.valueOf(key, entry.value) : undefined;
        watcher.changed({ key, revision, value, writtenAt: entry.created.getTime() });
      }
      throw unavailable('JetStream ended a watch');
    };
    read().catch((error: unknown) => {
      changes.stop();
      if (!isStopped) watcher.ended(error);
    });
    return () => {
      isStopped = true;
      changes.stop();
    };
  }

  async state(): Promise<BucketState> {
    const manager = await this.js.jetstreamManager(false);
    const { created, state } = await manager.streams.info(`KV_${this.name}`).catch(failed(this.timeoutMs));
    return { incarnation: created, revision: state.last_seq };
  }

  private valueOf(key: string, bytes: Uint8Array): T | undefined {
    let value: unknown;
    try {
      value = JSON.parse(Buffer.from(bytes).toString());
    } catch {
      // No entry is undefined.
    }
    if (this.entries.isOne(key, value)) return value;
    this.entries.stray(key);
    return undefined;
  }
}

/** Makes a bucket, or sets how long one that is there keeps an entry, how large that may be, and where it is published. */
async function provide(
  js: JetStreamClient,
  name: string,
  replicas: number,
  { retentionMs = 0, publishAs, maxBytes = MAX_VALUE_BYTES }: Entries<unknown>,
): Promise<void> {
  const stream = `KV_${name}`;
  const allow_direct = readsDirectly(replicas);
  const limits = { max_age: nanos(retentionMs), max_msg_size: maxBytes, allow_direct };
  const republish = publishAs === undefined ? undefined : republishOf(name, publishAs);
  const manager = await js.jetstreamManager(false);
  const config = await configOf(manager, stream);
  if (!config) {
    const created = { history: 1, replicas, allow_direct, maxValueSize: maxBytes };
    await new Kvm(js).create(name, { ...created, ttl: retentionMs, ...(republish && { republish }) });
    return;
  }
  const publishes = config.republish?.src === republish?.src && config.republish?.dest === republish?.dest;
  const isLimited =
    config.max_age === limits.max_age &&
    config.max_msg_size === limits.max_msg_size &&
    config.allow_direct === allow_direct;
  if (isLimited && publishes) return;
  const windowMs = Math.min(retentionMs || Infinity, MAX_DUPLICATE_WINDOW_MS);
  try {
    const changes = { ...limits, duplicate_window: nanos(windowMs), ...(republish && { republish }) };
    await manager.streams.update(stream, changes);
  } catch (error) {
    if (publishes) throw error;
    // NATS 2.9 sets that only when a stream is made.
    throw unavailable(
      `stream '${stream}' does not republish to '${republish?.dest}', and this version of NATS cannot change that: delete the stream, and the node creates it again`,
      error,
    );
  }
}

/** Undefined if the stream does not exist. */
async function configOf(manager: JetStreamManager, stream: string): Promise<StreamConfig | undefined> {
  try {
    return (await manager.streams.info(stream)).config;
  } catch (error) {
    if (error instanceof JetStreamApiError && error.code === STREAM_NOT_FOUND) return undefined;
    throw error;
  }
}

/**
 * Whether entries are read past the API of JetStream, for half of its cost. Any replica answers such a read, one that
 * lags with what was so a moment ago: so only where there is one copy.
 */
function readsDirectly(replicas: number): boolean {
  return replicas === 1;
}

/** Has a stream publish what is written under keys of two tokens. */
function republishOf(bucket: string, publishAs: string): Republish {
  const dest = publishAs.replace(/\{(\d)\}/g, '{{wildcard($1)}}');
  return { src: `$KV.${bucket}.*.*`, dest, headers_only: true };
}

async function placed<Placed>(place: () => Promise<Placed>): Promise<Placed> {
  for (let tried = 1; ; tried++) {
    try {
      return await place();
    } catch (error) {
      if (tried === PLACES_TRIED || !(error instanceof TimeoutError)) throw error;
    }
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

import { type DeviceQueue, type FinalDelivery, type QueueEntry } from '../../src/delivery/index.js';
import { type CloudNode } from './queue-node.js';

/** How the handler treats a message. */
export type Kind = 'ok' | 'returns' | 'invalid' | { readonly failures: number };

interface Message {
  readonly id: number;
  readonly kind: Kind;
  /** The times each device has handled it, and how often that may be more than once, with the reasons. */
  readonly handled: Map<string, number>;
  readonly excuses: Map<string, string[]>;
  failed: number;
  /** A device has refused it for good. */
  isRefused: boolean;
  /** `deliver` has resolved, or rejected. */
  isKept: boolean;
  isRejected: boolean;
  isCancelWanted: boolean;
  /** It was final in a store that an older copy has replaced. */
  wasFinal: boolean;
}

/**
 * The reference model: what has truly become of each message, and what the store said of it. It knows nothing of windows,
 * acks, connections or numbers.
 */
export class QueueOracle {
  readonly messages: Message[] = [];
  /** What was wrong first. Code of a node may catch what is thrown. */
  failure: string | undefined;
  /** Who made each message final. */
  readonly settledBy = new Map<number, { readonly node: CloudNode; readonly state: string }>();
  private kept = new Map<number, QueueEntry>();
  private revision = 0;
  private readonly positions = new Map<string, number>();

  /** @param dateOf the latest time of day that any clock has shown. */
  constructor(private readonly latestDate: () => number) {}

  fail(what: string): void {
    this.failure ??= what;
  }

  add(kind: Kind): number {
    const id = this.messages.length;
    const counts = { handled: new Map<string, number>(), excuses: new Map<string, string[]>(), failed: 0 };
    const facts = {
      isRefused: false,
      isKept: false,
      isRejected: false,
      isCancelWanted: false,
      wasFinal: false,
    };
    this.messages.push({ id, kind, ...counts, ...facts });
    return id;
  }

  of(id: number): Message {
    return this.messages[id]!;
  }

  /** What the store says of a message. */
  entryOf(id: number): QueueEntry | undefined {
    return this.kept.get(id);
  }

  entries(): [number, QueueEntry][] {
    return [...this.kept];
  }

  isSettled(): boolean {
    return [...this.kept.values()].every(isFinal);
  }

  // --- The application ---

  onKept(id: number): void {
    this.of(id).isKept = true;
    if (!this.kept.has(id)) this.fail(`kept: deliver resolved for ${id}, and the store does not have it`);
  }

  /** Something on a node says this of a message. */
  onTold(id: number, state: string, attempts: number, where: string): void {
    const entry = this.kept.get(id);
    if (!entry) return this.fail(`told: ${where} says ${state} of ${id}, which the store does not have`);
    const isTold = state !== 'queued' && state !== 'sent';
    if (isTold && (!isFinal(entry) || entry.state !== state))
      this.fail(`told: ${where} says ${state} of ${id}, and the store ${describe(entry)}`);
    if (attempts > entry.attempts) this.fail(`told: ${where} says ${id} was sent ${attempts} times`);
  }

  // --- The device ---

  resultOf(id: number): 'handled' | 'invalid' | 'failed' {
    const { kind, failed } = this.of(id);
    if (typeof kind === 'object') return failed < kind.failures ? 'failed' : 'handled';
    return kind === 'invalid' ? 'invalid' : 'handled';
  }

  returnsSomething(id: number): boolean {
    return this.of(id).kind === 'returns';
  }

  onSent(id: number): void {
    const entry = this.kept.get(id);
    if (entry?.attempts === 0) this.fail(`sent: ${id} is sent, and the store says it was not`);
  }

  onStart(id: number): void {
    const entry = this.kept.get(id);
    // An older copy of the store does not know it.
    if (!entry) return;
    if (isFinal(entry) && entry.attempts === 0)
      this.fail(`honest: ${id} is handled, and was ${entry.state} before it was sent`);
    for (const [before, each] of this.kept)
      if (each.lane === entry.lane && each.seq < entry.seq && !isFinal(each) && !this.isOver(before))
        this.fail(`order: ${id} starts before ${before} is over`);
  }

  private isOver(id: number): boolean {
    const { handled, isRefused, wasFinal } = this.of(id);
    return handled.size > 0 || isRefused || wasFinal;
  }

  onRefused(id: number, how: 'invalid' | 'failed'): void {
    const message = this.of(id);
    if (how === 'failed') message.failed++;
    message.isRefused ||= how === 'invalid' || message.failed >= 5;
  }

  onHandled(id: number, device: string): void {
    const { handled, excuses } = this.of(id);
    const times = (handled.get(device) ?? 0) + 1;
    handled.set(device, times);
    const reasons = excuses.get(device) ?? [];
    if (times > 1 + reasons.length)
      this.fail(`once: ${device} handles ${id} ${times} times (excuses: ${reasons.join()})`);
  }

  excuse(id: number, device: string, why: string): void {
    const { excuses } = this.of(id);
    excuses.set(device, [...(excuses.get(device) ?? []), why]);
  }

  // --- The store ---

  onRestored(queue: DeviceQueue | undefined, devices: readonly string[]): void {
    for (const [id, entry] of this.kept) this.of(id).wasFinal ||= isFinal(entry);
    this.kept = entriesOf(queue);
    this.revision = queue?.revision ?? 0;
    this.settledBy.clear();
    for (const [id, entry] of this.kept) {
      if (isFinal(entry)) continue;
      // It may have been handled, or be on its way.
      for (const device of devices) this.excuse(id, device, 'an older store was restored');
    }
  }

  onWritten(queue: DeviceQueue | undefined, node: CloudNode): void {
    if (queue && queue.revision <= this.revision)
      this.fail(`revision: ${queue.revision} after ${this.revision}`);
    this.revision = queue?.revision ?? this.revision;
    const next = entriesOf(queue);
    const count = (queue?.waiting.length ?? 0) + (queue?.final.length ?? 0);
    if (next.size < count) this.fail('once: the queue has a message twice');
    for (const [index, each] of queue?.waiting.entries() ?? [])
      if (queue!.waiting.slice(0, index).some(({ lane, seq }) => lane === each.lane && seq >= each.seq))
        this.fail(`order: ${each.event} is behind a later one`);
    for (const [id, before] of this.kept) this.compare(id, before, next.get(id), node);
    for (const [id, entry] of next) if (!this.kept.has(id)) this.onNew(id, entry, next, node);
    this.kept = next;
  }

  private onNew(id: number, entry: QueueEntry, next: ReadonlyMap<number, QueueEntry>, node: CloudNode): void {
    const { lane, epoch, seq, key } = entry;
    const position = `${lane}/${epoch}/${seq}`;
    const known = this.positions.get(position);
    if (known !== undefined) this.fail(`position: ${position} is that of ${known} and of ${id}`);
    this.positions.set(position, id);
    for (const [other, each] of next) {
      if (other === id || each.lane !== lane) continue;
      if (each.seq >= seq && this.kept.has(other))
        this.fail(`order: ${id} has ${position}, and ${other} has ${each.seq}`);
      const isUnsent = !isFinal(entry) && !isFinal(each) && each.attempts === 0;
      if (isUnsent && key !== undefined && each.key === key) this.fail(`key: ${other} waits beside ${id}`);
    }
    if (isFinal(entry)) this.onFinal(id, entry, node);
  }

  private compare(id: number, before: QueueEntry, after: QueueEntry | undefined, node: CloudNode): void {
    if (!after) return this.fail(`lost: nothing is known of ${id} any more, which was ${describe(before)}`);
    if (isFinal(before)) {
      if (!isFinal(after) || after.state !== before.state || after.finalAt !== before.finalAt)
        this.fail(`final: ${id} was ${describe(before)} and is ${describe(after)}`);
      return;
    }
    if (after.lane !== before.lane || after.epoch !== before.epoch || after.seq !== before.seq)
      this.fail(`position: ${id} has another one`);
    if (after.attempts < before.attempts) this.fail(`sent: ${id} was sent fewer times`);
    if (isFinal(after)) return this.onFinal(id, after, node);
    if (before.isCancelled && (!after.isCancelled || after.attempts > before.attempts))
      this.fail(`cancelled: ${id} was cancelled, and is sent again`);
  }

  private onFinal(id: number, entry: FinalDelivery, node: CloudNode): void {
    const { state, code, attempts, result, seq, key } = entry;
    const message = this.of(id);
    this.settledBy.set(id, { node, state });
    const isTrue = {
      // A device passes what it has refused, and an older copy of the store does not know that.
      done: message.handled.size > 0 || message.wasFinal,
      // What was removed, as `deliver` rejected, may have been kept.
      rejected: message.isRefused || (code === 'lost' && message.isRejected),
      cancelled: code === 'replaced' ? attempts === 0 && key !== undefined : message.isCancelWanted,
      expired: this.latestDate() >= this.expiresAt(id),
    }[state];
    if (!isTrue) this.fail(`honest: ${id} is ${state} (${code})`);
    const isRight = result === undefined || (message.kind === 'returns' && result === encoded(seq));
    if (!isRight) this.fail(`result: that of ${id} is ${result}`);
  }

  private expiresAt(id: number): number {
    const entry = this.kept.get(id);
    return entry && 'expiresAt' in entry ? entry.expiresAt : Infinity;
  }
}

function isFinal(entry: QueueEntry): entry is FinalDelivery {
  return 'finalAt' in entry;
}

function describe(entry: QueueEntry): string {
  return isFinal(entry) ? entry.state : `sent ${entry.attempts} times`;
}

/** By the message, which is the name of its event. */
function entriesOf(queue: DeviceQueue | undefined): Map<number, QueueEntry> {
  return new Map(
    [...(queue?.waiting ?? []), ...(queue?.final ?? [])].map((each) => [Number(each.event), each]),
  );
}

/** NEW_FLOAT or SMALL_BIG, by hand: a number of milliseconds is larger than an INTEGER_EXT. */
function encoded(seq: number): string {
  const bytes = Buffer.alloc(10);
  let size = 0;
  for (let rest = BigInt(seq); rest > 0n; rest >>= 8n) bytes[size++] = Number(rest & 255n);
  return Buffer.concat([Buffer.from([131, 110, size, 0]), bytes.subarray(0, size)]).toString('base64');
}

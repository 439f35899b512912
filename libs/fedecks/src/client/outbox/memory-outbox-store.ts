import { type FoundLane } from '../../delivery/index.js';
import { newEpoch } from './epoch.js';
import { notOpen, OutboxStoreError } from './errors.js';
import { type Moment, momentNow } from './moment.js';
import {
  type Durability,
  type Expired,
  type OutboxListener,
  type OutboxMessage,
  type OutboxRecord,
  type OutboxState,
  type OutboxStore,
} from './outbox-store.js';
import { frameBytes, type Opening } from './record.js';
import { type OutboxLimits, Waiting } from './waiting.js';

/** Keeps messages for as long as the process runs: for tests, and for devices without a disk. All degrees are `memory`. */
export class MemoryOutboxStore implements OutboxStore {
  private listener: OutboxListener | undefined;
  private readonly waiting: Waiting;
  private openings: readonly Opening[] = [];
  private readonly records = new Map<string, Map<number, OutboxRecord>>();
  private readonly now: () => Moment;

  /** @param now what a test replaces. */
  constructor(limits: OutboxLimits = {}, now: () => Moment = momentNow) {
    this.waiting = new Waiting(limits);
    this.now = now;
  }

  async open(listener: OutboxListener): Promise<OutboxState> {
    if (this.listener !== undefined) {
      throw new OutboxStoreError(
        'outbox-locked',
        'Another client uses this MemoryOutboxStore already: stop it, or give each client a store of its own.',
      );
    }
    this.listener = listener;
    this.openings = this.waiting.open(this.openings, newEpoch());
    return this.state();
  }

  async append(message: OutboxMessage, _durability: Durability): Promise<number> {
    const { listener, waiting } = this.required();
    const { lane, key, ttlMs } = message;
    waiting.check(message);
    const bytes = frameBytes(message);
    waiting.makeRoom(bytes, (oldestLane, oldest) => {
      this.remove(oldestLane, oldest);
      listener.onRemoved(oldestLane, oldest, 'dropped');
    });
    const putAt = this.now();
    const seq = waiting.takeNumber(lane);
    waiting.add(lane, seq, { segment: 1, offset: 0, bytes }, putAt.monotonicMs + ttlMs);
    const ofLane = this.records.get(lane) ?? new Map<number, OutboxRecord>();
    // A copy: the caller may use its bytes again.
    this.records.set(lane, ofLane.set(seq, { ...message, message: message.message.slice(), seq, putAt }));
    const replaced = key === undefined ? undefined : waiting.claimKey(lane, seq, key);
    if (replaced !== undefined) {
      this.remove(lane, replaced);
      listener.onRemoved(lane, replaced, 'replaced');
    }
    return seq;
  }

  async read(lane: string, seq: number): Promise<OutboxRecord | undefined> {
    this.required();
    return this.records.get(lane)?.get(seq);
  }

  following(lane: string, seq: number): number | undefined {
    return this.required().waiting.following(lane, seq);
  }

  remove(lane: string, seq: number): void {
    this.required().waiting.remove(lane, seq);
    this.records.get(lane)?.delete(seq);
  }

  acknowledge(lane: string, through: number): void {
    let seq = this.following(lane, 0);
    for (; seq !== undefined && seq <= through; seq = this.following(lane, seq)) this.remove(lane, seq);
  }

  expired(limit: number): Expired {
    return this.required().waiting.expired(this.now().monotonicMs, limit);
  }

  /** What waits. */
  state(): OutboxState {
    return { epoch: this.openings.at(-1)?.epoch ?? '', lanes: this.required().waiting.state() };
  }

  numberOf(lane: string): number {
    return this.required().waiting.numberOf(lane);
  }

  positions(): readonly FoundLane[] {
    return this.required().waiting.positions(this.openings);
  }

  async newEpoch(): Promise<OutboxState> {
    this.openings = this.required().waiting.reopen(newEpoch());
    return this.state();
  }

  async flush(): Promise<void> {
    this.required();
  }

  async close(): Promise<void> {
    this.required();
    this.listener = undefined;
  }

  private required(): { readonly listener: OutboxListener; readonly waiting: Waiting } {
    if (this.listener === undefined) throw notOpen();
    return { listener: this.listener, waiting: this.waiting };
  }
}

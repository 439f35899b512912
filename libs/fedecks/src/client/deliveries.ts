import {
  type FoundLane,
  nextSender,
  openSender,
  type SenderEffect,
  type SenderEvent,
  type SenderState,
} from '../delivery/index.js';
import { type DeliveryControl, encodeDeliverAfter } from '../wire/internal.js';
import { type ClientEvent } from './client-event.js';
import { resolveDeliverOptions } from './deliver-options.js';
import { type Delivery, type DeliverOptions, type OutboxDetails, type OutboxFlow } from './delivery.js';
import { DeliveryOutcomes } from './delivery-outcomes.js';
import { ExpiryScan } from './expiry-scan.js';
import { InTurn } from './in-turn.js';
import { OutboxFullError } from './outbox/errors.js';
import { ageOf, momentNow } from './outbox/moment.js';
import { type OutboxRecord, type OutboxStore } from './outbox/outbox-store.js';
import { OutboxGuard } from './outbox-guard.js';
import { checkedNumber, checkedRecord } from './store-answers.js';
import { type Trace } from './trace.js';

/** How long until a store that has failed is asked again. */
const RETRY_MS = 5_000;
/** A cloud takes 256 KiB in a frame, and closes the connection for more: it would be delivered, in vain, for ever. */
const MAX_MESSAGE_BYTES = 255 * 1_024;
/** The longest that `finish` waits for the store: a disk may hang. */
const FINISH_WITHIN_MS = 3_000;

/** What begins the deliveries of the cloud. */
export type Resume = Extract<DeliveryControl, { readonly type: 'resume' }>;

/** The part of a connection that deliveries use. */
export interface DeliverySocket {
  readonly protocol: 1 | 2;
  /** The resume of the cloud, once this side has sent its own. */
  readonly resumed: Resume | undefined;
  /** Sends the resume of this side, unless it was. */
  resume(): void;
  sendDelivery(bytes: Uint8Array): void;
  breach(reason: string): void;
}

interface Link {
  readonly connection: number;
  readonly socket: DeliverySocket;
  hasBegun: boolean;
}

/** Carries out what the sending side of the lanes decides (`nextSender`), with a store and a connection (PROTOCOL.md §6.4). */
export class Deliveries {
  private sender: SenderState | undefined;
  private readonly events: SenderEvent[] = [];
  private isDispatching = false;
  private link: Link | undefined;

  private opening: Promise<void> | undefined;
  private hasFailed = false;
  private isFinished = false;
  /** The lanes that the store had when it was opened, for the ids of what an earlier process has put in. */
  private positions: readonly FoundLane[] = [];
  private readonly names = new Map<number, string>();
  /** A message of degree `memory` is kept sooner than the one of degree `power` before it, and must not overtake it. */
  private readonly keeping = new InTurn();
  /** The message of each lane that is delivered next. */
  private readonly loaded = new Map<number, OutboxRecord>();

  private readonly guard: OutboxGuard;
  private readonly outcomes: DeliveryOutcomes;
  private wakeTimer: NodeJS.Timeout | undefined;
  private readonly expiry: ExpiryScan;

  constructor(
    private readonly store: OutboxStore,
    report: (event: ClientEvent) => void,
    private readonly trace: Pick<Trace, 'onDelivery'>,
  ) {
    this.guard = new OutboxGuard(report);
    this.outcomes = new DeliveryOutcomes(report);
    this.expiry = new ExpiryScan(store, this.guard, (name, seq) => this.onRemoved(name, seq, 'expired'));
  }

  get details(): OutboxDetails {
    const lanes = this.sender ? (this.guard.attempt(() => this.store.state().lanes) ?? []) : [];
    const sum = (what: 'count' | 'bytes'): number => lanes.reduce((total, lane) => total + lane[what], 0);
    return { size: sum('count'), bytes: sum('bytes'), state: this.flow, losses: { ...this.outcomes.losses } };
  }

  private get flow(): OutboxFlow {
    if (this.hasFailed) return 'failed';
    if (!this.link) return 'offline';
    if (this.link.socket.protocol === 1) return 'not_supported';
    return this.sender?.status === 'resumed' ? 'flowing' : 'waiting';
  }

  /** Opens the store, unless it is open. Rejects with why it cannot be: the next call tries again. */
  open(): Promise<void> {
    this.opening ??= this.load().catch((error: unknown) => {
      this.opening = undefined;
      this.hasFailed = true;
      this.guard.failed('unusable', error instanceof Error ? error.message : String(error));
      // What it has may be delivered once the disk has room again, for example.
      setTimeout(() => void this.reopen(), RETRY_MS).unref();
      throw error;
    });
    return this.opening;
  }

  private async reopen(): Promise<void> {
    if (!this.isFinished) await this.open().catch(() => undefined);
  }

  private async load(): Promise<void> {
    await this.guard.watch(
      'Opening the outbox',
      this.store.open({
        onFailure: ({ cause, reason }) => this.guard.failed(cause, reason),
        onRemoved: (lane, seq, cause) => this.onRemoved(lane, seq, cause === 'dropped' ? 'full' : cause),
      }),
    );
    this.positions = this.store.positions();
    this.outcomes.open(this.positions);
    this.begin();
    this.expiry.scan();
  }

  /** Takes what the store has, and begins on the connection if there is one. */
  private begin(): void {
    this.hasFailed = false;
    for (const { lane, number } of this.store.state().lanes) this.names.set(number, lane);
    this.sender = openSender(this.store.positions());
    this.resume();
  }

  /** @param message encoded, with its version byte. */
  async deliver(message: Uint8Array, options: DeliverOptions = {}): Promise<Delivery> {
    const { ttlMs, key, lane, durable } = resolveDeliverOptions(options);
    if (message.length > MAX_MESSAGE_BYTES) {
      throw new RangeError(
        `Not kept: the message has ${message.length} bytes, and at most ${MAX_MESSAGE_BYTES} can be delivered. Split it, or send a URL.`,
      );
    }
    await this.open();
    const kept = this.guard.watch(
      'Keeping a message',
      this.store.append({ lane, key, ttlMs, message }, durable),
    );
    try {
      const seq = checkedNumber(await this.keeping.inTurn(lane, kept));
      this.trace.onDelivery(lane, seq, `kept, ${message.length} bytes`);
      return this.onKept(lane, seq, ttlMs);
    } catch (error) {
      if (error instanceof OutboxFullError) this.outcomes.losses.full++;
      throw error;
    }
  }

  private onKept(name: string, seq: number, ttlMs: number): Delivery {
    const lane = this.store.numberOf(name);
    this.names.set(lane, name);
    const { epoch } = this.store.state();
    const id = `${epoch}/${lane}/${seq}`;
    // Not in a result that is awaited.
    const done = this.outcomes.track(lane, seq, id, name);
    // A new beginning may have found it before it was known to be kept.
    if (this.outcomes.isOpen(lane, seq) && !this.isPut(lane, seq))
      this.dispatch({ type: 'put', lane, epoch, seq });
    this.expiry.within(ttlMs);
    return { id, done };
  }

  private isPut(lane: number, seq: number): boolean {
    return seq <= (this.sender?.lanes.get(lane)?.last ?? 0);
  }

  private onRemoved(name: string, seq: number, cause: string): void {
    this.drop(this.guard.attempt(() => this.store.numberOf(name)) ?? 0, seq, cause);
  }

  private drop(lane: number, seq: number, code: string): void {
    const outcome = code === 'expired' ? code : 'dropped';
    this.dispatch({ type: 'dropped', lane, seq, outcome, code });
  }

  /** A connection is open. @param connection greater than those before. */
  onConnected(connection: number, socket: DeliverySocket): void {
    this.link = { connection, socket, hasBegun: false };
    if (this.sender) this.resume();
    // It has failed before.
    else void this.reopen();
  }

  /** Asks for the resume of this side, and delivers once both sides have sent theirs. */
  resume(): void {
    const { link } = this;
    if (!link || !this.sender || link.hasBegun || link.socket.protocol === 1) return;
    link.socket.resume();
    const { resumed } = link.socket;
    if (!resumed) return;
    link.hasBegun = true;
    const { connection } = link;
    this.dispatch({ type: 'connected', connection });
    this.dispatch({ ...resumed, connection, grant: resumed.window });
  }

  /** Takes an answer to what was delivered. */
  onControl(control: Extract<DeliveryControl, { readonly type: 'ack' | 'nack' }>): void {
    const connection = this.link?.connection ?? 0;
    switch (control.type) {
      case 'ack':
        this.trace.onDelivery(this.nameOf(control.lane), control.seq, 'acknowledged, and all before it');
        return this.dispatch({ ...control, connection, grant: control.window });
      case 'nack':
        this.trace.onDelivery(this.nameOf(control.lane), control.seq, `not handled: ${control.code}`);
        return this.dispatch({ ...control, connection });
    }
  }

  /** The connection has ended. What waits in memory only is written: an outage may be long. */
  onLost(): void {
    const { link } = this;
    this.link = undefined;
    if (!link || !this.sender) return;
    if (link.hasBegun) this.dispatch({ type: 'lost', connection: link.connection });
    // The listener of the store is told of a failure.
    const flushed = this.isFinished ? undefined : this.guard.attempt(() => this.store.flush());
    if (flushed) this.guard.watch('Writing the outbox', flushed).catch(() => undefined);
  }

  /** Writes what is in memory only, and lets go of the store. */
  async finish(): Promise<void> {
    this.isFinished = true;
    clearTimeout(this.wakeTimer);
    this.expiry.stop();
    if (!this.opening) return;
    const closing = this.opening.then(() => this.store.close());
    await this.guard.within(FINISH_WITHIN_MS, 'Closing the outbox', closing);
  }

  /** Handles one event at a time: what a subscriber does meanwhile waits until the effects are done. */
  private dispatch(event: SenderEvent): void {
    this.events.push(event);
    if (this.isDispatching) return;
    this.isDispatching = true;
    try {
      for (let each = this.events.shift(); each; each = this.events.shift())
        if (!this.isFinished) this.handle(each);
    } finally {
      this.isDispatching = false;
    }
  }

  private handle(event: SenderEvent): void {
    // No sender knows it: a new epoch is being taken, or the message is not yet known to be kept.
    if (event.type === 'dropped' && !this.isHeld(event.lane, event.seq)) {
      const { lane, seq, outcome, code } = event;
      return this.settle({
        do: 'settle',
        lane,
        from: seq,
        to: seq,
        outcome,
        ...(code !== undefined && { code }),
      });
    }
    if (!this.sender) return;
    const { state, effects } = nextSender(this.sender, event, performance.now());
    this.sender = state;
    for (const effect of effects) this.perform(effect);
  }

  private isHeld(lane: number, seq: number): boolean {
    return this.sender?.lanes.get(lane)?.held.some(({ from, to }) => from <= seq && seq <= to) === true;
  }

  private perform(effect: SenderEffect): void {
    switch (effect.do) {
      case 'load':
        void this.loadMessage(effect.lane, effect.seq);
        return;
      case 'deliver':
        return this.send(effect);
      case 'settle':
        return this.settle(effect);
      case 'wake':
        clearTimeout(this.wakeTimer);
        this.wakeTimer = setTimeout(
          () => this.dispatch({ type: 'tick' }),
          Math.max(1, Math.ceil(effect.atMs - performance.now())),
        );
        return;
      case 'renumber':
        return this.renumber();
      case 'close':
        return this.link?.socket.breach(effect.reason);
    }
  }

  private async loadMessage(lane: number, seq: number): Promise<void> {
    let record: OutboxRecord | undefined;
    try {
      const read = this.store.read(this.nameOf(lane), seq);
      record = checkedRecord(await this.guard.watch('Reading a message', read));
    } catch (error) {
      if (this.isFinished) return;
      this.guard.failed('read_failed', `A message cannot be read: ${String(error)}. Check the disk.`);
      setTimeout(() => void this.loadMessage(lane, seq), RETRY_MS).unref();
      return;
    }
    // Nobody waits for it any more.
    if (this.sender?.lanes.get(lane)?.loading !== seq) return;
    if (!record) {
      this.drop(lane, seq, 'damaged');
      return;
    }
    this.loaded.set(lane, record);
    this.dispatch({ type: 'loaded', lane, seq, bytes: record.message.length });
  }

  private send({ lane, seq, epoch = '', attempt, nacks }: Extract<SenderEffect, { do: 'deliver' }>): void {
    const record = this.loaded.get(lane);
    this.loaded.delete(lane);
    if (!record) return;
    const ageMs = Math.round(ageOf(record.putAt, momentNow()));
    const head = { lane, seq, epoch, attempt, nacks, ageMs };
    this.link?.socket.sendDelivery(encodeDeliverAfter(0, head, record.message));
    this.trace.onDelivery(record.lane, seq, `delivered, attempt ${attempt}`);
  }

  /** What is settled is written before what follows is sent. */
  private settle(effect: Extract<SenderEffect, { do: 'settle' }>): void {
    const { lane, from, to, outcome } = effect;
    const name = this.nameOf(lane);
    this.guard.attempt(() => {
      if (outcome === 'handled') this.store.acknowledge(name, to);
      else for (let seq = from; seq <= to; seq++) this.store.remove(name, seq);
    });
    const spans = this.positions[lane]?.spans ?? [];
    this.outcomes.settle(effect, name, (seq) => {
      const epoch = spans.findLast((span) => span.from <= seq)?.epoch ?? '';
      return `${epoch}/${lane}/${seq}`;
    });
  }

  private renumber(): void {
    this.sender = undefined;
    this.link?.socket.breach('it has handled messages that this device has never sent');
    void this.beginEpoch();
  }

  private async beginEpoch(): Promise<void> {
    try {
      await this.guard.watch('Beginning a new epoch', this.store.newEpoch());
    } catch (error) {
      if (this.isFinished) return;
      this.hasFailed = true;
      this.guard.failed('write_failed', String(error));
      setTimeout(() => void this.beginEpoch(), RETRY_MS).unref();
      return;
    }
    this.begin();
  }

  private nameOf(lane: number): string {
    return this.names.get(lane) ?? '';
  }
}

import {
  type DeliveryClaim,
  type HandledPosition,
  INITIAL_RECEIVER,
  isDeliveryClaim,
  nextReceiver,
  type ReceiverEffect,
  type ReceiverEvent,
  type Window,
} from '../delivery/index.js';
import { type DeliverHead, type DeliveryControl } from '../wire/internal.js';
import { type DeliveryOutcome, DeliveryTurn } from './delivery-turn.js';
import { insist } from './insist.js';

/** A connection whose other side delivers. */
export interface DeliveryPeer {
  /** Runs the handler of a delivery, when its turn among what else is to be done has come. */
  takeTurn(turn: DeliveryTurn): void;
  sendDeliveryControl(control: DeliveryControl): void;
  /** Closes for what the other side sent. */
  breach(reason: string): void;
  /** Closes since a newer connection delivers. */
  replaced(): void;
}

/** What a receiver needs of its side. */
export interface ReceiverOwner {
  claim(deviceId: string): DeliveryClaim | Promise<DeliveryClaim>;
  setHandled(deviceId: string, generation: number, handled: HandledPosition): boolean | Promise<boolean>;
  /** As `setHandled`, in a transaction of the application. */
  setHandledIn(tx: unknown, deviceId: string, generation: number, handled: HandledPosition): Promise<boolean>;
  onStoreFailure(deviceId: string, error: unknown): void;
  /** What is granted for each lane at first; nothing where no deliveries are taken. */
  readonly grant: Window;
  /** Nothing is connected, and nothing runs. @param isEmpty whether there is nothing to remember either. */
  onIdle(deviceId: string, isEmpty: boolean): void;
  /** Whether the app ends: no handler begins any more. */
  readonly isClosing: boolean;
  /** Whether it has ended: the store is not called any more. */
  readonly isClosed: boolean;
}

/** A delivery that waits for its turn in the lane. */
interface Waiting {
  readonly lane: number;
  readonly frame: Buffer;
  readonly ageMs: number;
  readonly arrivedAt: number;
}

type Effect<Do extends ReceiverEffect['do']> = Extract<ReceiverEffect, { readonly do: Do }>;

/** What is printable and not a space: the other side gets its epoch back as it has sent it. */
const EPOCH = /^[!-~]+$/;

/**
 * The receiving side of a device, over all its connections: in the cloud of what it delivers to this node, on the device
 * of what the cloud delivers to it. Performs what `nextReceiver` decides.
 */
export class DeviceReceiver {
  private state = INITIAL_RECEIVER;
  /** The open connections that deliver, or have asked to. */
  private readonly peers = new Set<DeliveryPeer>();
  /** The connection that may deliver. */
  private current: { readonly peer: DeliveryPeer; readonly number: number; generation: number } | undefined;
  private readonly waiting = new Map<string, Waiting>();
  private readonly running = new Map<number, DeliveryTurn>();
  private writes = 0;
  private readonly events: ReceiverEvent[] = [];
  private isDispatching = false;
  private onQuiet: (() => void)[] = [];

  constructor(
    private readonly deviceId: string,
    private readonly owner: ReceiverOwner,
  ) {}

  /** A connection begins to deliver: claims it in the store, and then sends the resume of this side. */
  async connect(peer: DeliveryPeer): Promise<void> {
    this.peers.add(peer);
    await insist(
      async () => this.onClaim(peer, await this.owner.claim(this.deviceId)),
      () => this.peers.has(peer),
      (error) => this.owner.onStoreFailure(this.deviceId, error),
    );
  }

  /**
   * Takes a delivery of a connection that has sent its resume.
   * @returns whether it counts against the window. Other deliveries were sent in vain.
   */
  deliver(peer: DeliveryPeer, head: DeliverHead, frame: Buffer): boolean {
    const { current } = this;
    if (current?.peer !== peer) {
      peer.breach('it delivers before the resume');
      return false;
    }
    const { lane, seq, epoch, attempt, nacks, ageMs } = head;
    if (epoch !== '' && !EPOCH.test(epoch)) {
      peer.breach('an epoch is not printable');
      return false;
    }
    const key = `${lane}/${seq}`;
    const isWaiting = this.waiting.has(key);
    const before = this.queued(lane);
    if (!isWaiting) this.waiting.set(key, { lane, frame, ageMs, arrivedAt: performance.now() });
    this.dispatch({
      type: 'deliver',
      connection: current.number,
      lane,
      seq,
      epoch: epoch === '' ? undefined : epoch,
      attempt,
      nacks,
      bytes: frame.length,
    });
    const isQueued = this.queued(lane) > before;
    if (!isQueued && !isWaiting) this.waiting.delete(key);
    return isQueued;
  }

  /** The connection has ended. */
  lost(peer: DeliveryPeer): void {
    if (!this.peers.delete(peer)) return;
    if (this.current?.peer === peer) {
      this.waiting.clear();
      this.dispatch({ type: 'lost', connection: this.current.number });
      // The mailbox of the connection may be stuck for ever.
      for (const turn of [...this.running.values()]) turn.abandon();
    } else this.settle();
  }

  /** Resolves when no handler runs, and what was handled is stored and acknowledged. */
  quiet(): Promise<void> {
    if (this.isQuiet) return Promise.resolve();
    return new Promise((resolve) => this.onQuiet.push(resolve));
  }

  /** Tells the handlers that run to stop. */
  abort(): void {
    for (const turn of [...this.running.values()]) turn.abort();
  }

  private queued(lane: number): number {
    return this.state.lanes.get(lane)?.queue.length ?? 0;
  }

  private get isQuiet(): boolean {
    return this.running.size === 0 && this.writes === 0;
  }

  private onClaim(peer: DeliveryPeer, claim: DeliveryClaim): void {
    if (!isDeliveryClaim(claim))
      throw new TypeError(
        'claim() must return { generation, handled: [{ lane, epoch, seq }] }, with whole numbers',
      );
    const { current } = this;
    const { generation, handled } = claim;
    if (!this.peers.has(peer)) return;
    if (current?.peer === peer) {
      // The answer to a call that had taken too long.
      current.generation = Math.max(current.generation, generation);
      return;
    }
    const isOtherOpen = current !== undefined && this.peers.has(current.peer);
    if (isOtherOpen && generation < current.generation) return peer.replaced();
    if (isOtherOpen) current.peer.replaced();
    this.waiting.clear();
    const number = (current?.number ?? 0) + 1;
    this.current = { peer, number, generation };
    this.dispatch({ type: 'connected', connection: number, handled, grant: this.owner.grant });
  }

  /** Effects may cause events at once: those come after the effects of the event before. */
  private dispatch(event: ReceiverEvent): void {
    this.events.push(event);
    if (this.isDispatching) return;
    this.isDispatching = true;
    for (let next = this.events.shift(); next; next = this.events.shift()) {
      const { state, effects } = nextReceiver(this.state, next, performance.now());
      this.state = state;
      for (const effect of effects) this.perform(effect);
    }
    this.isDispatching = false;
    this.settle();
  }

  private perform(effect: ReceiverEffect): void {
    const { current } = this;
    if (!current) return;
    const { peer } = current;
    switch (effect.do) {
      case 'resume':
        peer.sendDeliveryControl({ type: 'resume', handled: effect.handled, window: effect.grant });
        return;
      case 'handle':
        this.handle(peer, effect);
        return;
      case 'store':
        void this.store(effect, current.generation);
        return;
      case 'ack': {
        const { lane, seq, grant } = effect;
        this.waiting.delete(`${lane}/${seq}`);
        peer.sendDeliveryControl({ type: 'ack', lane, seq, window: grant });
        return;
      }
      case 'nack': {
        const { lane, seq, code, text } = effect;
        for (const [key, waiting] of this.waiting) if (waiting.lane === lane) this.waiting.delete(key);
        peer.sendDeliveryControl({ type: 'nack', lane, seq, code, text });
        return;
      }
      case 'stop':
        this.abort();
        peer.replaced();
        return;
      case 'close':
        peer.breach(effect.reason);
    }
  }

  private handle(peer: DeliveryPeer, { lane, epoch, seq, attempt }: Effect<'handle'>): void {
    const key = `${lane}/${seq}`;
    const waiting = this.waiting.get(key);
    this.waiting.delete(key);
    if (!waiting || this.owner.isClosing) return;
    const ageMs =
      waiting.ageMs < 0 ? undefined : Math.round(waiting.ageMs + performance.now() - waiting.arrivedAt);
    const turn = new DeliveryTurn(
      waiting.frame,
      {
        lane,
        seq,
        epoch,
        attempt,
        ageMs,
        sentAt: ageMs === undefined ? undefined : dateBefore(ageMs),
        key: `${this.deviceId}/${encodeURIComponent(epoch)}/${lane}/${seq}`,
        commit: (tx) => this.commit(tx, { lane, epoch, seq }),
      },
      (outcome) => this.onOutcome({ lane, epoch, seq }, outcome),
    );
    this.running.set(lane, turn);
    peer.takeTurn(turn);
  }

  private async commit(tx: unknown, position: HandledPosition): Promise<void> {
    const generation = this.current?.generation ?? 0;
    if (await this.owner.setHandledIn(tx, this.deviceId, generation, position)) return;
    throw new Error(
      'A newer connection of the device delivers this message again: roll the transaction back.',
    );
  }

  private onOutcome(position: HandledPosition, outcome: DeliveryOutcome): void {
    this.running.delete(position.lane);
    this.dispatch({ type: 'finished', ...position, ...outcome });
  }

  private async store({ connection, lane, epoch, seq }: Effect<'store'>, generation: number): Promise<void> {
    const position = { lane, epoch, seq };
    this.writes++;
    const isStored = await insist(
      async () => {
        const answer: unknown = await this.owner.setHandled(this.deviceId, generation, position);
        if (typeof answer !== 'boolean') throw new TypeError('setHandled() must return a boolean');
        return answer;
      },
      () => !this.owner.isClosed,
      (error) => this.owner.onStoreFailure(this.deviceId, error),
    );
    this.writes--;
    if (isStored === undefined) this.settle();
    else this.dispatch({ type: isStored ? 'stored' : 'refused', connection, ...position });
  }

  /** Called when something may have come to rest. */
  private settle(): void {
    if (this.isDispatching || !this.isQuiet) return;
    for (const resolve of this.onQuiet.splice(0)) resolve();
    if (this.peers.size > 0) return;
    const isEmpty = [...this.state.lanes.values()].every(({ running }) => running === undefined);
    this.owner.onIdle(this.deviceId, isEmpty);
  }
}

/** Undefined where that is before all dates. */
function dateBefore(ageMs: number): Date | undefined {
  const date = new Date(Date.now() - ageMs);
  return Number.isNaN(date.getTime()) ? undefined : date;
}

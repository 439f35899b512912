import {
  type DeviceQueue,
  type Ending,
  type FoundLane,
  type HandledPosition,
  type LanePosition,
  type QueueLane,
  nextSender,
  openSender,
  type SenderEffect,
  type SenderEvent,
  type SenderState,
  type WaitingDelivery,
  type Window,
} from '../../delivery/index.js';
import { type DeliverHead, type DeliveryControl, encodeTerm, type Term } from '../../wire/internal.js';
import { type DeviceQueues } from './device-queues.js';

/** The largest result of a handler on a device, in bytes of its term. */
const MAX_RESULT_BYTES = 16 * 1_024;

/** What a device has sent as its resume. */
export interface DeviceResume {
  /** The last of this side's messages that it has handled, in each lane. */
  readonly handled: readonly HandledPosition[];
  readonly window: Window;
}

/** The part of a connection that takes messages to the device. */
export interface SenderPeer {
  readonly protocol: 1 | 2;
  /** Undefined until the device has sent it. */
  readonly deviceResume: DeviceResume | undefined;
  /** Sends the resume of this side, unless it was sent. The device answers with its own. */
  beginDeliveries(): void;
  sendDelivery(head: Omit<DeliverHead, 'type'>, message: Uint8Array): void;
  /** Closes the connection, as the device breaks the protocol. */
  breach(reason: string): void;
}

type Effect<Do extends SenderEffect['do']> = Extract<SenderEffect, { readonly do: Do }>;
type Reply = Extract<DeliveryControl, { readonly type: 'result' | 'ack' | 'nack' }>;

interface Held extends LanePosition {
  readonly queuedAt: number;
  /** What the attempts on earlier connections add. */
  readonly earlierAttempts: number;
}

/** A sender has one connection only. */
const CONNECTION = 1;

/** Takes what waits for a device to one connection of it: performs what `nextSender` decides. */
export class DeviceSender {
  private sender: SenderState | undefined;
  /** What the sender holds. */
  private readonly held = new Map<string, Held>();
  /** The message of each lane that is sent next. */
  private readonly loaded = new Map<number, Uint8Array>();
  /** By lane what is being rejected: what follows is sent after that is kept, as its position covers what was before. */
  private readonly rejecting = new Map<number, Promise<void>>();
  private readonly results = new Map<number, { readonly seq: number; readonly value: Term }>();
  private isLooking = false;
  private mustLookAgain = false;
  private isLost = false;
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly deviceId: string,
    private readonly peer: SenderPeer,
    private readonly queues: DeviceQueues,
  ) {}

  /** Something may wait for the device, or it has sent its resume. */
  look(): void {
    this.mustLookAgain = true;
    if (!this.isLooking) void this.lookUntilSeen();
  }

  private async lookUntilSeen(): Promise<void> {
    this.isLooking = true;
    while (this.mustLookAgain && this.isOpen()) {
      this.mustLookAgain = false;
      const what = 'reading what waits for a device';
      const queue = await this.queues.insist(
        what,
        () => this.queues.read(this.deviceId),
        () => this.isOpen(),
      );
      if (queue && queue.waiting.length > 0 && this.isOpen()) this.take(queue);
    }
    this.isLooking = false;
  }

  private isOpen(): boolean {
    return !this.isLost;
  }

  private take(queue: DeviceQueue): void {
    const { protocol, deviceResume } = this.peer;
    if (protocol === 1) {
      const text = 'The device speaks protocol 1 only';
      void this.keep(queue.waiting, { state: 'rejected', code: 'not_supported', text });
    } else if (!deviceResume) this.peer.beginDeliveries();
    else if (deviceResume.window.messages === 0) return;
    else if (!this.sender) this.begin(queue, deviceResume);
    else this.addNew(queue, this.sender);
  }

  private begin(queue: DeviceQueue, { handled, window }: DeviceResume): void {
    // The sender takes what it finds as sent once already.
    for (const each of queue.waiting) this.hold(each, each.attempts - 1);
    this.sender = openSender(queue.lanes.map((lane) => foundIn(lane, queue)));
    const known = handled.map((position) => knownOf(position, queue));
    this.dispatch({ type: 'connected', connection: CONNECTION });
    this.dispatch({ type: 'resume', connection: CONNECTION, handled: known, grant: window });
  }

  private addNew({ waiting }: DeviceQueue, { lanes }: SenderState): void {
    for (const each of waiting) {
      const { lane, epoch, seq } = each;
      if (seq <= (lanes.get(lane)?.last ?? 0)) continue;
      this.hold(each, 0);
      this.dispatch({ type: 'put', lane, epoch, seq });
    }
  }

  private hold({ lane, epoch, seq, queuedAt }: WaitingDelivery, earlierAttempts: number): void {
    this.held.set(keyOf(lane, seq), { lane, epoch, seq, queuedAt, earlierAttempts });
  }

  /** The device answers. */
  onReply(control: Reply): void {
    if (!this.sender) return this.peer.breach(`it answers with ${control.type} what was never delivered`);
    switch (control.type) {
      case 'result':
        return this.onResult(control);
      case 'ack':
        return this.dispatch({ ...control, connection: CONNECTION, grant: control.window });
      case 'nack':
        return this.dispatch({ ...control, connection: CONNECTION });
    }
  }

  private onResult({ lane, seq, value }: Extract<Reply, { readonly type: 'result' }>): void {
    if (encodeTerm(value).length > MAX_RESULT_BYTES) this.peer.breach('a result is too large');
    else this.results.set(lane, { seq, value });
  }

  /** The connection has ended, or a newer one of the device takes over. */
  stop(): void {
    this.isLost = true;
    clearTimeout(this.timer);
    this.loaded.clear();
  }

  /** No effect causes an event at once: the store answers later. */
  private dispatch(event: SenderEvent): void {
    if (!this.sender || this.isLost) return;
    const { state, effects } = nextSender(this.sender, event, performance.now());
    this.sender = state;
    for (const effect of effects) this.perform(effect);
  }

  private perform(effect: SenderEffect): void {
    switch (effect.do) {
      case 'load':
        void this.load(effect);
        return;
      case 'deliver':
        return this.deliver(effect);
      case 'settle':
        return this.settle(effect);
      case 'wake':
        clearTimeout(this.timer);
        this.timer = setTimeout(
          () => this.dispatch({ type: 'tick' }),
          Math.max(1, Math.ceil(effect.atMs - performance.now())),
        ).unref();
        return;
      case 'renumber':
        // No position is beyond the numbers of the queue.
        return this.peer.breach('it has handled messages that were never sent');
      case 'close':
        return this.peer.breach(effect.reason);
    }
  }

  private async load({ lane, seq }: Effect<'load'>): Promise<void> {
    const isWanted = (): boolean => !this.isLost && this.sender?.lanes.get(lane)?.loading === seq;
    const held = this.held.get(keyOf(lane, seq));
    const read = async (): Promise<Uint8Array | undefined> => held && this.readMessage(held);
    const message = await this.queues.insist('reading a message for a device', read, isWanted);
    if (!isWanted()) return;
    if (message) {
      this.loaded.set(lane, message);
      this.dispatch({ type: 'loaded', lane, seq, bytes: message.length });
    } else this.dispatch({ type: 'dropped', lane, seq, outcome: 'dropped' });
  }

  /** Undefined if the message is not to be sent any more. */
  private async readMessage(position: LanePosition): Promise<Uint8Array | undefined> {
    const sent = await this.queues.take(this.deviceId, position);
    if (!sent) return undefined;
    const message = await this.queues.readMessage(this.deviceId, sent.message);
    const ending: Ending = { state: 'rejected', code: 'lost', text: 'the store has lost the message' };
    if (!message) await this.queues.settle(this.deviceId, [sent], ending);
    return message;
  }

  private deliver({ lane, seq, epoch = '', attempt, nacks }: Effect<'deliver'>): void {
    const message = this.loaded.get(lane);
    const held = this.held.get(keyOf(lane, seq));
    this.loaded.delete(lane);
    if (!message || !held) return;
    const send = (): void => {
      if (this.isLost) return;
      // The wall clock may have been set back.
      const ageMs = Math.max(Date.now() - held.queuedAt, -1);
      const head = { lane, seq, epoch, attempt: attempt + held.earlierAttempts, nacks, ageMs };
      this.peer.sendDelivery(head, message);
    };
    const rejecting = this.rejecting.get(lane);
    if (rejecting) void rejecting.then(send);
    else send();
  }

  private settle({ lane, from, to, outcome, code, text = '' }: Effect<'settle'>): void {
    const positions = [...this.held.values()].filter(
      (each) => each.lane === lane && from <= each.seq && each.seq <= to,
    );
    for (const { seq } of positions) this.held.delete(keyOf(lane, seq));
    if (outcome === 'handled') return this.settleHandled(lane, positions);
    // Without a code it has its final state.
    if (code === undefined) return;
    // The device cannot reject one more before that is kept: it is not sent.
    this.rejecting.set(lane, this.keep(positions, { state: 'rejected', code, text }));
  }

  private settleHandled(lane: number, positions: readonly LanePosition[]): void {
    const result = this.results.get(lane);
    const withResult = positions.filter(({ seq }) => seq === result?.seq);
    const others = positions.filter(({ seq }) => seq !== result?.seq);
    void this.keep(others, { state: 'done' });
    if (withResult.length === 0 || !result) return;
    this.results.delete(lane);
    void this.keep(withResult, { state: 'done', result: encodeTerm(result.value).toString('base64') });
  }

  private async keep(positions: readonly LanePosition[], ending: Ending): Promise<void> {
    if (positions.length === 0) return;
    const keep = (): Promise<void> => this.queues.settle(this.deviceId, positions, ending);
    await this.queues.insist('keeping what became of messages for a device', keep);
  }
}

function keyOf(lane: number, seq: number): string {
  return `${lane}/${seq}`;
}

/** A lane of a queue, for the sender. */
function foundIn({ lane, last, spans }: QueueLane, { waiting }: DeviceQueue): FoundLane {
  const held = waiting.filter((each) => each.lane === lane);
  return { lane, held: held.map(({ seq }) => ({ from: seq, to: seq })), spans, next: last + 1 };
}

/** The position as far as the queue knows its numbers: a store that was restored has forgotten the last ones. */
function knownOf(position: HandledPosition, { lanes }: DeviceQueue): HandledPosition {
  const lane = lanes.find((each) => each.lane === position.lane);
  if (lane?.spans.at(-1)?.epoch !== position.epoch) return position;
  return { ...position, seq: Math.min(position.seq, lane.last) };
}

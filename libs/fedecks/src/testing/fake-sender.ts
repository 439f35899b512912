import { randomBytes } from 'node:crypto';
import { unknownOption } from '../options/index.js';
import { LANES, nextSender, openSender, type SenderEffect, type SenderEvent } from '../delivery/index.js';
import { type DeliveryControl, encodeDeliverAfter } from '../wire/internal.js';

/** How a fake device delivers a message. */
export interface FakeDeliverOptions {
  /** A newer message takes the place of one of its lane with the same key that was not sent yet. @default none */
  readonly key?: string | undefined;
  /** Order holds within a lane. At most 8 names. @default 'default' */
  readonly lane?: string | undefined;
}

/** What became of a delivery of a fake device. */
export interface FakeDeliveryOutcome {
  /** `handled`: the handler of the cloud has finished. `rejected`: `code` says why not. */
  readonly outcome: 'handled' | 'rejected';
  /**
   * - `invalid`: a pipe or guard has refused it, or it could not be read.
   * - `no_handler`: no handler takes this event.
   * - `failed`: the handler failed. A real device delivers it up to four times more.
   * - `replaced`: a newer message with its key was delivered before it was sent.
   */
  readonly code?: string;
  /** What the cloud says about it, for people. */
  readonly text?: string;
}

/** The connection of a fake device, as its deliveries use it. */
export interface DeliveryLink {
  /** Sends a control message. Does nothing when the connection has ended. */
  send(control: Buffer): void;
  /** Closes the connection with 1002: the cloud breaks the protocol. */
  breach(): void;
}

/** A fake device has one connection only. */
export const CONNECTION = 1;

interface Pending {
  readonly lane: number;
  readonly seq: number;
  readonly key: string | undefined;
  /** Encoded, with its version byte. */
  readonly message: Buffer;
  readonly putAtMs: number;
  readonly resolve: (outcome: FakeDeliveryOutcome) => void;
  readonly reject: (error: Error) => void;
}

/** The deliveries of a fake device to the cloud: performs what `nextSender` decides. */
export class FakeSender {
  private state = openSender([]);
  private readonly epoch = randomBytes(9).toString('base64url');
  /** The name of each lane, at its number. */
  private readonly lanes: string[] = [];
  private readonly pending = new Map<string, Pending>();

  constructor(private readonly link: DeliveryLink) {}

  /** @throws {RangeError} for a ninth lane, or an option that does not exist. */
  deliver(message: Buffer, options: FakeDeliverOptions): Promise<FakeDeliveryOutcome> {
    const unknown = unknownOption(options, ['key', 'lane']);
    if (unknown !== undefined) throw new RangeError(`deliver() of a fake device: ${unknown}.`);
    const { key, lane: name = 'default' } = options;
    const lane = this.laneOf(name);
    const seq = (this.state.lanes.get(lane)?.last ?? 0) + 1;
    const old = [...this.pending.values()].find((each) => each.lane === lane && each.key === key);
    return new Promise((resolve, reject) => {
      const putAtMs = performance.now();
      this.pending.set(keyOf(lane, seq), { lane, seq, key, message, putAtMs, resolve, reject });
      if (old && key !== undefined)
        this.dispatch({ type: 'dropped', lane, seq: old.seq, outcome: 'dropped', code: 'replaced' });
      this.dispatch({ type: 'put', lane, epoch: this.epoch, seq });
    });
  }

  private laneOf(name: string): number {
    if (!this.lanes.includes(name)) {
      if (this.lanes.length === LANES)
        throw new RangeError(`A device has at most ${LANES} lanes (have: ${this.lanes.join(', ')}).`);
      this.lanes.push(name);
    }
    return this.lanes.indexOf(name);
  }

  /** The resume of this side was sent. */
  connect(): void {
    this.dispatch({ type: 'connected', connection: CONNECTION });
  }

  onControl(control: Extract<DeliveryControl, { readonly type: 'resume' | 'ack' | 'nack' }>): void {
    switch (control.type) {
      case 'resume':
      case 'ack':
        return this.dispatch({ ...control, connection: CONNECTION, grant: control.window });
      case 'nack': {
        this.dispatch({ ...control, connection: CONNECTION });
        const { lane, seq, code, text } = control;
        // A test wants to know at once, and not after all attempts.
        if (code === 'failed') this.dispatch({ type: 'dropped', lane, seq, outcome: 'dropped', code, text });
      }
    }
  }

  /** The connection has ended. @param why as a sentence. */
  end(why: string): void {
    for (const { reject } of this.pending.values())
      reject(new Error(`Nobody knows whether the delivery was handled. ${why}`));
    this.pending.clear();
  }

  private dispatch(event: SenderEvent): void {
    const { state, effects } = nextSender(this.state, event, performance.now());
    this.state = state;
    for (const effect of effects) this.perform(effect);
  }

  private perform(effect: SenderEffect): void {
    switch (effect.do) {
      case 'load': {
        const { lane, seq } = effect;
        const bytes = this.pending.get(keyOf(lane, seq))?.message.length ?? 0;
        return this.dispatch({ type: 'loaded', lane, seq, bytes });
      }
      case 'deliver':
        return this.send(effect);
      case 'settle':
        return this.settle(effect);
      case 'wake':
        // Nothing is tried again.
        return;
      case 'renumber':
      case 'close':
        return this.link.breach();
    }
  }

  private send({ lane, seq, epoch = '', attempt, nacks }: Extract<SenderEffect, { do: 'deliver' }>): void {
    const pending = this.pending.get(keyOf(lane, seq));
    if (!pending) return;
    const ageMs = Math.round(performance.now() - pending.putAtMs);
    this.link.send(encodeDeliverAfter(0, { lane, seq, epoch, attempt, nacks, ageMs }, pending.message));
  }

  private settle({ lane, from, to, outcome, code, text }: Extract<SenderEffect, { do: 'settle' }>): void {
    for (let seq = from; seq <= to; seq++) {
      const pending = this.pending.get(keyOf(lane, seq));
      this.pending.delete(keyOf(lane, seq));
      pending?.resolve({
        outcome: outcome === 'handled' ? outcome : 'rejected',
        ...(code !== undefined && { code }),
        ...(text !== undefined && { text }),
      });
    }
  }
}

function keyOf(lane: number, seq: number): string {
  return `${lane}/${seq}`;
}

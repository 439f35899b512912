import { type Position } from '../../src/delivery/index.js';

/** How the handler treats a message. */
export type Kind = 'ok' | 'invalid' | { readonly failures: number };

interface Message {
  readonly id: number;
  readonly lane: number;
  readonly kind: Kind;
  /** The times a handler has handled it. */
  handled: number;
  /** The times a handler has failed. */
  failed: number;
  /** A store has kept that it is handled. */
  isStored: boolean;
  /** Why it may be handled once more: each reason allows one more time. */
  readonly excuses: string[];
  /** Outcomes other than `handled`, of any copy. */
  readonly ends: string[];
}

/** The reference model: what has truly become of each message. It knows nothing of windows, acks or connections. */
export class DeliveryOracle {
  readonly messages: Message[] = [];
  /** Two copies of a store were at work: each of them may hold, and deliver, the same message. */
  isForked = false;
  private readonly positions = new Map<string, number>();
  private readonly lastStored = new Map<number, number>();

  put(lane: number, kind: Kind): number {
    const id = this.messages.length;
    this.messages.push({ id, lane, kind, handled: 0, failed: 0, isStored: false, excuses: [], ends: [] });
    return id;
  }

  /** A message has this position for ever: no other message has it. */
  name(id: number, lane: number, { epoch, seq }: Position): void {
    this.positions.set(`${lane}/${epoch}/${seq}`, id);
  }

  idAt(lane: number, { epoch, seq }: Position): number {
    const id = this.positions.get(`${lane}/${epoch}/${seq}`);
    if (id === undefined) throw new Error(`position: nothing was put in lane ${lane} at ${epoch}/${seq}`);
    return id;
  }

  of(id: number): Message {
    return this.messages[id]!;
  }

  /** @param outstanding the messages before it in its lane that its sender still holds. */
  onStart(id: number, outstanding: readonly number[]): void {
    const early = outstanding.find((each) => !this.of(each).isStored);
    if (early !== undefined) throw new Error(`order: ${id} starts before ${early} has an outcome`);
  }

  onHandled(id: number): void {
    const message = this.of(id);
    message.handled++;
    if (message.handled > 1 + message.excuses.length)
      throw new Error(`once: ${id} is handled ${message.handled} times (excuses: ${message.excuses.join()})`);
  }

  onStored(id: number): void {
    const message = this.of(id);
    if (message.handled === 0) throw new Error(`honest: ${id} is stored as handled, and never was`);
    message.isStored = true;
    if (!this.isForked && (this.lastStored.get(message.lane) ?? -1) > id)
      throw new Error(`order: ${id} is stored after ${this.lastStored.get(message.lane)}`);
    this.lastStored.set(message.lane, Math.max(id, this.lastStored.get(message.lane) ?? -1));
  }

  /** The receiver acknowledges it. */
  onAck(id: number): void {
    if (!this.of(id).isStored) throw new Error(`ack: ${id} is acknowledged before it is stored as handled`);
  }

  /** @param isSure the sender has not restarted since the message was put in, so it must know. */
  onOutcome(id: number, outcome: string, code: string | undefined, isSure: boolean): void {
    const message = this.of(id);
    // What a copy, or the life before a power cut, has ended otherwise may be passed over by the receiver.
    if (outcome === 'handled' && !message.isStored && message.ends.length === 0)
      throw new Error(`lost: ${id} has the outcome handled, and never was`);
    if (outcome === 'rejected' && message.kind !== 'invalid') throw new Error(`true: ${id} is rejected`);
    if (outcome === 'dropped' && code === 'failed' && message.failed < 5)
      throw new Error(`true: ${id} is dropped after ${message.failed} failures`);
    if (outcome !== 'handled' && message.isStored && isSure && !this.isForked)
      throw new Error(`true: ${id} is ${outcome}, and was handled`);
    if (outcome !== 'handled') message.ends.push(outcome);
  }

  excuse(id: number, reason: string): void {
    this.of(id).excuses.push(reason);
  }
}
